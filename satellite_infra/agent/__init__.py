"""What runs on a host: standard library only, Python 3.9 or later, no word of Pulumi."""

"""What runs on a host: standard library only, Python 3.9 or later; it imports nothing of Pulumi."""

"""Stand-in for the command provider 1.2.1: commands and copies over SSH, and local commands."""

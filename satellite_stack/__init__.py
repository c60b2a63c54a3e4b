"""A stack's file of settings, read and written through Pulumi's CLI, for `make` and `satellite`."""

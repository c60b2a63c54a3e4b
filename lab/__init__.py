"""The lab: emulated EC2 whose instances really exist, and an engine for Pulumi programs."""

"""The lab: emulated EC2 whose instances really exist, and an engine to run Pulumi programs in it."""

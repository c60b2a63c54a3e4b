"""Stand-in for the Python language host: it runs the user's program for the engine."""

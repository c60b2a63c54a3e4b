"""Thousands of jobs while everything happens to their workers: what `make endurance` runs."""

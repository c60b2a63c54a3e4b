"""Measurements for docs/benchmarks; run by hand, and by no test for their speed."""

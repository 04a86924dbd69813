"""Measurements anyone can repeat with ``make bench``; the results go to docs/benchmarks.md."""

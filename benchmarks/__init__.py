"""Figures that the project means to reach, measured: `python -m benchmarks`, or `make bench`."""

"""A long run of mixed traffic: `python -m benchmarks.soak`."""

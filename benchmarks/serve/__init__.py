"""The service under load: `python -m benchmarks.serve`, one command for each claim."""

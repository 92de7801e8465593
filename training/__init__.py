"""Offline training: reviews in, the artifact that `app` serves out. Run `python -m training --help`."""

"""The service: loads the artifact in `model/`, answers over HTTP, logs every request. Run `python -m app`."""

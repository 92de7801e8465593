"""Offline work: `python -m app.bulk score|generate` answers for whole files of reviews, on one machine or with Ray.

The rows go through the same tasks, engine and artifact as requests do, so an answer has the same bits as over HTTP.
"""

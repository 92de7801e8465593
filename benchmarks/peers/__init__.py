"""Side by side with what people would serve the model with instead: `python -m benchmarks.peers`."""

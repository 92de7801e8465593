"""Models to compare the network with: what it has to beat to be worth its training."""

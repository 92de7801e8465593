"""Language models that people would use instead, trained on the same data, vocabulary and minutes."""

"""The lecture's language models, from the trigram to the RNN, trained and measured on the same reviews."""

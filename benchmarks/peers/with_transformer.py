"""A GPT-style transformer, which generates with its KV cache behind plain FastAPI.

The one of `benchmarks/quality/transformer.py`, as large as the LSTM that it is compared with there, with random
weights: a quality run leaves figures, not weights, and a step takes the same time whatever they are.
"""

from benchmarks.beside.listening import listen
from benchmarks.peers.writer import artifact_vocabulary, writer
from benchmarks.quality.transformer import Transformer, TransformerShape

if __name__ == "__main__":
    vocabulary = artifact_vocabulary()
    network = Transformer(TransformerShape(), vocabulary.size).eval()
    listen(writer(vocabulary, network.next_token))

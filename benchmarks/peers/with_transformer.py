"""A GPT-style transformer of as many parameters as the LSTM it is compared with, which generates with its KV cache behind plain FastAPI.

The one of `benchmarks/quality/transformer.py`, with random weights: a quality run leaves figures, not weights, and a
step takes the same time whatever they are.
"""

from benchmarks.beside.listening import listen
from benchmarks.peers.writer import artifact_vocabulary, writer
from benchmarks.quality.transformer import Transformer, TransformerShape

if __name__ == "__main__":
    vocabulary = artifact_vocabulary()
    network = Transformer(TransformerShape(), vocabulary.size).eval()
    listen(writer(vocabulary, network.next_token))

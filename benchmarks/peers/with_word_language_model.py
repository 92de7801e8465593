"""The recipe of pytorch/examples, `word_language_model`, which generates a token a step behind plain FastAPI.

The one of `benchmarks/quality/word_language_model.py`, with random weights, as the transformer; a step is what the
recipe's own `generate.py` does (https://github.com/pytorch/examples/tree/main/word_language_model).
"""

from torch import Tensor

from benchmarks.beside.listening import listen
from benchmarks.peers.writer import artifact_vocabulary, writer
from benchmarks.quality.word_language_model import State, WordLanguageModel, WordLanguageModelOptions

if __name__ == "__main__":
    vocabulary = artifact_vocabulary()
    network = WordLanguageModel(WordLanguageModelOptions(), vocabulary.size).eval()

    def next_token(tokens: Tensor, state: State | None) -> tuple[Tensor, State]:
        outputs, after = network(tokens.t(), network.initial_state(1) if state is None else state)
        return network.decoder(outputs[-1]).log_softmax(dim=1), after

    listen(writer(vocabulary, next_token))

"""The LSTM recipe of pytorch/examples, `word_language_model`, with its own defaults.

Two layers of `nn.LSTM`, a full softmax with weights of its own, and plain SGD whose learning rate is quartered whenever
the validation loss has not improved. The recipe looks at that once an epoch; a budget of minutes is shorter than an
epoch, so here it is after every tenth of the budget. As in the recipe, the best weights by validation count.
"""

import copy
import itertools
import math
from pathlib import Path

import torch
from pydantic import BaseModel, Field
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.quality.results import Trained
from benchmarks.quality.softmax import log_probabilities_of
from benchmarks.quality.training_time import TrainingTime
from training.corpus import Batch, ReviewStreams, Split, corpus_vocabulary
from training.errors import TrainingError
from training.evaluate import Scorer, evaluate, measurable_split
from training.vocabulary import END

VALIDATIONS = 10
VALIDATION_REVIEWS = 500

State = tuple[Tensor, Tensor]
"""h and c of the LSTM, `[layers, B, H]` each."""


class WordLanguageModelOptions(BaseModel):
    embedding: int = Field(200, ge=1, description="size of word embeddings (emsize)")
    hidden: int = Field(200, ge=1, description="hidden units of each layer (nhid)")
    layers: int = Field(2, ge=1, description="layers of the LSTM (nlayers)")
    dropout: float = Field(0.2, ge=0, lt=1, description="share of the units dropped before, between and after layers")
    learning_rate: float = Field(20.0, gt=0, description="learning rate of SGD at first (lr)")
    clip: float = Field(0.25, gt=0, description="largest norm of the gradient")
    steps: int = Field(35, ge=1, description="steps of truncated back-propagation through time (bptt)")
    lanes: int = Field(20, ge=1, description="parallel streams of reviews (batch_size)")
    hidden_ratings: float = Field(0.3, ge=0, le=1, description="share of reviews that hide their rating in training")
    seed: int = Field(1111, ge=0, description="of initial weights, order of reviews and dropout")


class WordLanguageModel(nn.Module):
    """`forward` takes `tokens [T, B]` and a state; returns what `decoder` makes logits of, `[T, B, H]`, and a state."""

    def __init__(self, options: WordLanguageModelOptions, vocabulary_size: int) -> None:
        super().__init__()
        self.drop = nn.Dropout(options.dropout)
        self.encoder = nn.Embedding(vocabulary_size, options.embedding)
        self.rnn = nn.LSTM(options.embedding, options.hidden, options.layers, dropout=options.dropout)
        self.decoder = nn.Linear(options.hidden, vocabulary_size)
        nn.init.uniform_(self.encoder.weight, -0.1, 0.1)
        nn.init.uniform_(self.decoder.weight, -0.1, 0.1)
        nn.init.zeros_(self.decoder.bias)

    def initial_state(self, lanes: int) -> State:
        zeros = self.decoder.weight.new_zeros(self.rnn.num_layers, lanes, self.rnn.hidden_size)
        return zeros, zeros

    def forward(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        outputs, state = self.rnn(self.drop(self.encoder(tokens)), state)
        return self.drop(outputs), state


class Annealing:
    """The recipe's learning rate: a quarter of it after every validation that is no better than the best so far."""

    def __init__(self, learning_rate: float) -> None:
        self.learning_rate, self.best = learning_rate, math.inf

    def improved(self, loss: float) -> bool:
        if loss < self.best:
            self.best = loss
            return True
        self.learning_rate /= 4
        return False


class WordLanguageModelFit:
    """A training run of the recipe: the model, and the state that each stream has come to."""

    def __init__(self, options: WordLanguageModelOptions, vocabulary_size: int) -> None:
        torch.manual_seed(options.seed)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.options = options
        self.model = WordLanguageModel(options, vocabulary_size).to(self.device)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=options.learning_rate)
        self.state = self.model.initial_state(options.lanes)

    def update(self, batch: Batch, learning_rate: float) -> float:
        """Makes one update; returns its mean loss in nats per token."""
        self.model.train()
        self.optimizer.param_groups[0]["lr"] = learning_rate
        outputs, (h, c) = self.model(batch.inputs.to(self.device), self.state)
        self.state = h.detach(), c.detach()
        logits = self.model.decoder(outputs).flatten(0, 1)
        loss = functional.cross_entropy(logits, batch.targets.to(self.device).flatten(), ignore_index=-1)
        if not math.isfinite(value := loss.item()):
            raise TrainingError(f"The loss became {value}; lower --learning-rate and train again.")
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.options.clip)
        self.optimizer.step()
        return value


def word_language_model_scorer(model: WordLanguageModel) -> Scorer:
    """Scores reviews, each after an end mark, as in the stream that the model was trained on."""
    device = model.decoder.weight.device

    @torch.inference_mode()
    def score(tokens: Tensor, lengths: Tensor) -> Tensor:
        model.eval()
        inputs, targets = tokens.to(device).t()[:-1], tokens.to(device).t()[1:]
        _, state = model(torch.full_like(inputs[:1], END), model.initial_state(len(tokens)))
        outputs, _ = model(inputs, state)
        return log_probabilities_of(targets, outputs, model.decoder.weight, model.decoder.bias).t().cpu()

    return score


def train_word_language_model(options: WordLanguageModelOptions, corpus: Path, minutes: float) -> Trained:
    """Trains for `minutes`; returns the best weights by validation."""
    tokenizer, validation = corpus_vocabulary(corpus), Split(corpus, "valid")
    fit = WordLanguageModelFit(options, tokenizer.get_vocab_size())
    scorer = word_language_model_scorer(fit.model)
    batches = iter(
        ReviewStreams(Split(corpus, "train"), options.lanes, options.steps, options.hidden_ratings, options.seed)
    )
    time, annealing, tokens = TrainingTime(minutes), Annealing(options.learning_rate), 0
    best = fit.model.state_dict()
    for turn in range(1, VALIDATIONS + 1):
        while time.share < turn / VALIDATIONS:
            batch = next(batches)
            with time.running():
                fit.update(batch, annealing.learning_rate)
            tokens += batch.inputs.numel()
        measured = evaluate(scorer, itertools.islice(measurable_split(validation, tokenizer), VALIDATION_REVIEWS))
        print(f"{tokens:>12,} tokens: {measured.bits_per_character:.4f} bits per character", flush=True)
        if annealing.improved(measured.bits_per_character):
            best = copy.deepcopy(fit.model.state_dict())
    fit.model.load_state_dict(best)
    parameters = sum(parameter.numel() for parameter in fit.model.parameters())
    return Trained(scorer, parameters, 0, tokens, time.seconds, options.model_dump())

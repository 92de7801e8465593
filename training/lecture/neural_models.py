"""The lecture's neural models, and the network that is shipped."""

from collections.abc import Callable
from functools import partial
from itertools import islice

import torch
from torch import Tensor

from training.baselines.convolution import Convolution
from training.baselines.descent import STEPS, Budget, Losses, descend, recurrent_losses, window_losses
from training.baselines.kneser_ney import token_stream
from training.baselines.neural import Encoder, NeuralLanguageModel, Window, neural_scorer
from training.baselines.output import ClassFactored, Output, Softmax
from training.baselines.recurrent import RecurrentLanguageModel, recurrent_scorer
from training.corpus import Split
from training.errors import TrainingError
from training.evaluate import Scorer, artifact_scorer, evaluate, measurable_split
from training.export import load_artifact, read_metrics
from training.lecture.measure import measure
from training.lecture.part import Described, Ground, Result, Trained
from training.lecture.recipe import Recipe, Train

SEED = 1
EPOCHS = 10
"""At most, which only small trainings reach."""
VALIDATED_REVIEWS = 100
EMBEDDING, HIDDEN, CONTEXT = 64, 128, 4
KERNEL, FILTERS, PLACE, LONG_CONTEXT = 3, 128, 8, 8
RECURRENT_EMBEDDING, RECURRENT_HIDDEN, CLASSES = 128, 256, 126


def _sampled(counts: Tensor, features: int) -> Output:
    return Softmax(features, counts, SEED)


def _by_classes(counts: Tensor, features: int) -> Output:
    return ClassFactored(features, counts, CLASSES)


def _neural(encoder: Callable[[], Encoder], direct: bool) -> Train:
    def train(ground: Ground, split: Split, seconds: float) -> Trained:
        torch.manual_seed(SEED)
        output = partial(_sampled, split.target_counts(ground.vocabulary_size))
        model = NeuralLanguageModel(ground.vocabulary_size, EMBEDDING, HIDDEN, encoder(), output, direct)
        losses = window_losses(model, torch.from_numpy(token_stream(split)), SEED)
        return _descended(ground, split, model, losses, neural_scorer(model), seconds)

    return train


def _recurrent(make_output: Callable[[Tensor, int], Output]) -> Train:
    def train(ground: Ground, split: Split, seconds: float) -> Trained:
        torch.manual_seed(SEED)
        output = partial(make_output, split.target_counts(ground.vocabulary_size))
        model = RecurrentLanguageModel(ground.vocabulary_size, RECURRENT_EMBEDDING, RECURRENT_HIDDEN, output)
        losses = recurrent_losses(model, split, SEED)
        return _descended(ground, split, model, losses, recurrent_scorer(model), seconds)

    return train


def _descended(
    ground: Ground,
    split: Split,
    model: NeuralLanguageModel | RecurrentLanguageModel,
    losses: Losses,
    scorer: Scorer,
    seconds: float,
) -> Trained:
    valid = list(islice(measurable_split(ground.split("valid"), ground.tokenizer, rated=False), VALIDATED_REVIEWS))
    budget = Budget(seconds, EPOCHS * (len(split.tokens) + len(split)))
    spent = descend(model, losses, budget, lambda: evaluate(scorer, valid).bits_per_character)
    parameters = sum(weights.numel() for weights in model.parameters())
    return Trained(model, scorer, parameters, spent.seconds, spent.tokens)


def _described(name: str, formula: str, source: str, module: str, note: str) -> Described:
    return Described(name=name, formula=formula, source=source, module=f"training/baselines/{module}.py", note=note)


BENGIO = "Bengio et al. 2003"
DIRECT = Recipe(
    _described(
        "Neural, with direct connections",
        "y = b + W x + U tanh(d + H x), x the embeddings of the tokens before",
        BENGIO,
        "neural",
        f"{CONTEXT} tokens before, embeddings of {EMBEDDING} numbers, {HIDDEN} hidden units.",
    ),
    _neural(lambda: Window(CONTEXT, EMBEDDING), direct=True),
)
INDIRECT = Recipe(
    _described(
        "Neural, without direct connections", "y = b + U tanh(d + H x)", BENGIO, "neural", "Otherwise as the last."
    ),
    _neural(lambda: Window(CONTEXT, EMBEDDING), direct=False),
    curve=True,
)
CONVOLUTIONAL = Recipe(
    _described(
        "Neural, convolutional",
        "y = b + U tanh(d + H f), f = max_i A (x_i, …, x_{i+k-1}) + a",
        "Collobert et al. 2011",
        "convolution",
        f"{LONG_CONTEXT} tokens before, {FILTERS} filters of k = {KERNEL} tokens; otherwise as the last.",
    ),
    _neural(lambda: Convolution(LONG_CONTEXT, EMBEDDING, KERNEL, FILTERS, PLACE), direct=False),
)
RECURRENCE = "s(t) = tanh(U w(t) + W s(t - 1))"
RECURRENT = Recipe(
    _described(
        "Recurrent",
        f"{RECURRENCE}, y(t) = softmax(V s(t))",
        "Elman 1990; Mikolov et al. 2010",
        "recurrent",
        f"{RECURRENT_HIDDEN} units; back-propagation through {STEPS} steps.",
    ),
    _recurrent(_sampled),
)
CLASS_FACTORED = Recipe(
    _described(
        "Recurrent, by classes",
        f"{RECURRENCE}, P(w | s) = P(c(w) | s) P(w | c(w), s)",
        "Goodman 2001; Mikolov et al. 2011",
        "output",
        f"{CLASSES} classes by frequency; otherwise as the last, and trained on the exact probabilities.",
    ),
    _recurrent(_by_classes),
    curve=True,
)


def shipped(ground: Ground, seconds: float) -> Result:
    """The network that this repository ships; its training is told, not done again."""
    module, tokenizer = load_artifact(ground.artifact)
    if tokenizer.to_str() != ground.tokenizer.to_str():
        raise TrainingError(f"{ground.artifact} has another vocabulary than {ground.corpus} was prepared with.")
    metrics = read_metrics(ground.artifact)
    training = metrics["training"]
    described = Described(
        name=f"LSTM, as shipped ({metrics['model']})",
        formula="c ← f ⊙ c + i ⊙ g, h ← o ⊙ tanh(c), y = b + C (Q h + q)",
        source="Hochreiter & Schmidhuber 1997",
        module="training/network.py",
        note="σ and tanh of W x + V h are the gates i, f, o and g; C is the embedding. Tables of frequent pairs and "
        "triples of tokens beside it; in int8.",
    )
    trained = Trained(module, artifact_scorer(module), metrics["parameters"], training["seconds"], training["tokens"])
    return Result(rows=[measure(ground, described, trained)])

import copy
import itertools
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.quality.word_language_model import (
    Annealing,
    WordLanguageModel,
    WordLanguageModelFit,
    WordLanguageModelOptions,
    train_word_language_model,
    word_language_model_scorer,
)
from training.corpus import Batch, ReviewStreams, Split, corpus_vocabulary
from training.errors import TrainingError
from training.evaluate import evaluate, measurable_split
from training.vocabulary import END


def options(**changes: Any) -> WordLanguageModelOptions:
    return WordLanguageModelOptions(**{"embedding": 24, "hidden": 24, "lanes": 4, "steps": 10, **changes})


def test_the_model_is_the_recipe_s() -> None:
    model = WordLanguageModel(WordLanguageModelOptions(), 16_000)
    layer = 4 * 200 * (200 + 200) + 2 * 4 * 200
    assert sum(parameter.numel() for parameter in model.parameters()) == 2 * 16_000 * 200 + 16_000 + 2 * layer
    for weight in (model.encoder.weight, model.decoder.weight):
        assert 0.099 < weight.abs().max() <= 0.1
    assert not model.decoder.bias.any()


def test_the_rate_is_quartered_after_a_validation_that_is_no_better() -> None:
    annealing = Annealing(20.0)
    assert [annealing.improved(loss) for loss in (5.0, 4.0, 4.0, 4.5, 3.9)] == [True, True, False, False, True]
    assert annealing.learning_rate == 20 / 16
    assert annealing.best == 3.9


def test_an_update_is_a_clipped_step_down_the_gradient() -> None:
    fit = WordLanguageModelFit(options(dropout=0.0), 40)
    batch = Batch(torch.randint(0, 40, (10, 4)), torch.randint(0, 40, (10, 4)))
    batch.targets[3, 1] = batch.targets[8, 2] = -1
    model = copy.deepcopy(fit.model)
    log_probabilities = model.decoder(model(batch.inputs, model.initial_state(4))[0]).log_softmax(-1)
    counted = batch.targets >= 0
    loss = -log_probabilities[counted].gather(1, batch.targets[counted][:, None]).mean()
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    norm = torch.cat([gradient.flatten() for gradient in gradients]).norm()
    assert norm > 0.05
    fit.options.clip = norm.item() / 2
    assert fit.update(batch, learning_rate=3.0) == pytest.approx(loss.item(), rel=1e-5)
    for before, gradient, after in zip(model.parameters(), gradients, fit.model.parameters(), strict=True):
        torch.testing.assert_close(after, before - 3.0 * gradient / 2, rtol=1e-4, atol=1e-6)


def test_the_state_is_carried_from_batch_to_batch(train_split: Split, vocabulary_size: int) -> None:
    fit = WordLanguageModelFit(options(dropout=0.0), vocabulary_size)
    first, second = itertools.islice(ReviewStreams(train_split, 4, 10, 0.3, seed=1), 2)
    for batch in (first, second):
        fit.update(batch, learning_rate=1e-12)
    _, expected = fit.model(torch.cat([first.inputs, second.inputs]), fit.model.initial_state(4))
    torch.testing.assert_close(fit.state, expected)
    assert not any(part.requires_grad for part in fit.state)


def test_the_loss_falls(train_split: Split, vocabulary_size: int) -> None:
    fit = WordLanguageModelFit(options(lanes=8, steps=35), vocabulary_size)
    batches = itertools.islice(ReviewStreams(train_split, 8, 35, 0.3, seed=1), 150)
    losses = [fit.update(batch, 20.0) for batch in batches]
    assert sum(losses[-20:]) / 20 < 0.6 * losses[0]


def test_a_loss_that_is_no_number_ends_in_advice(train_split: Split, vocabulary_size: int) -> None:
    fit = WordLanguageModelFit(options(), vocabulary_size)
    batches = itertools.islice(ReviewStreams(train_split, 4, 10, 0.3, seed=1), 20)
    with pytest.raises(TrainingError, match="lower --learning-rate"):
        [fit.update(batch, math.inf) for batch in batches]


def test_a_review_is_scored_token_by_token_after_an_end_mark(corpus: Path, vocabulary_size: int) -> None:
    torch.manual_seed(1)
    model = WordLanguageModel(options(dropout=0.5), vocabulary_size)
    tokenizer = corpus_vocabulary(corpus)
    measured = list(itertools.islice(measurable_split(Split(corpus, "valid"), tokenizer), 5))
    scorer = word_language_model_scorer(model)
    found = evaluate(scorer, measured).log_probability
    expected = 0.0
    with torch.no_grad():
        for review in measured:
            _, state = model(torch.tensor([[END]]), model.initial_state(1))
            for token, following in itertools.pairwise(review.tokens.tolist()):
                output, state = model(torch.tensor([[token]]), state)
                expected += float(model.decoder(output)[0, 0].log_softmax(0)[following])
    assert found == pytest.approx(expected, rel=1e-5)


def test_training_ends_with_the_best_weights_by_validation(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    erratic = options(learning_rate=300.0, clip=1.0)
    trained = train_word_language_model(erratic, corpus, minutes=0.02)
    validated = [float(bits) for bits in re.findall(r"([\d.]+) bits per character", capsys.readouterr().out)]
    assert len(validated) == 10
    assert validated != sorted(validated, reverse=True)
    split = Split(corpus, "valid")
    measured = evaluate(trained.scorer, measurable_split(split, corpus_vocabulary(corpus)))
    assert measured.bits_per_character == pytest.approx(min(validated), abs=1e-4)
    assert trained.seconds >= 1.2
    assert trained.tokens % 40 == 0

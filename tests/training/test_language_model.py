from pathlib import Path
from typing import Any

import torch

from tests.conftest import TinyRun
from training.corpus import Split
from training.evaluate import artifact_scorer, evaluate, measurable_split
from training.export import load_artifact
from training.language_model import step_scorer, walk


def test_stepping_scores_as_the_artifact_does(tiny_run: TinyRun) -> None:
    module, tokenizer = load_artifact(tiny_run.artifact)
    model: Any = module
    reviews = list(measurable_split(Split(tiny_run.corpus, "test"), tokenizer))[:10]
    stepped = evaluate(step_scorer(model), reviews)
    scored = evaluate(artifact_scorer(module), reviews)
    assert stepped.log_probability == scored.log_probability


def test_a_walk_takes_every_token_but_the_last(tiny_artifact: Path) -> None:
    module, _ = load_artifact(tiny_artifact)
    model: Any = module
    tokens = torch.tensor([[5, 20, 30, 6], [0, 40, 6, 6]])
    seen = list(walk(model, tokens))
    state = model.initial_state(2)
    assert len(seen) == 3
    for (log_probabilities, after), column in zip(seen, tokens.t(), strict=False):
        expected, state = model.step(column, state)
        assert torch.equal(log_probabilities, expected)
        assert torch.equal(after, state)

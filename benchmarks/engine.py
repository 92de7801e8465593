"""A step of the module against the time that reading its weights takes: `python -m benchmarks.engine`.

Every weight is read once in a step, however many rows it has; so the bytes of the weights over the rate at which one
thread reads memory bound the time of a step from below.
"""

import math
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from app.language_model import LanguageModel, load_language_model
from app.memory import keep_freed_memory
from app.ranking import TokenSet
from app.sampling import SamplingRow, SamplingSettings, choose
from app.settings import Settings
from benchmarks.serve import results

ROWS = (1, 8, 32)
REPEATS = 300
LARGE = 2**28
"""Bytes that no cache holds."""


def milliseconds(call: Callable[[], object]) -> float:
    """The median time of a call."""
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times[REPEATS // 10 :])


def bytes_per_second(size: int) -> float:
    """How fast one thread reads so many bytes, over and over: from memory, or from a cache that holds them."""
    values = torch.ones(size // 4)
    return 1000 * size / milliseconds(values.sum)


def weight_bytes(model: LanguageModel) -> int:
    """Of what every step reads: all but tables that are looked up."""
    looked_up = ("inputs", "ngrams.keys", "ngrams.table", "ngrams.words")
    weights = model.module.state_dict().items()
    return sum(weight.numel() * weight.element_size() for name, weight in weights if name not in looked_up)


@torch.inference_mode()
def steps(model: LanguageModel) -> dict[str, Any]:
    read = weight_bytes(model)
    from_memory, from_cache = bytes_per_second(LARGE), bytes_per_second(read)
    result: dict[str, Any] = {
        "model": model.name,
        "weights, MB": read / 1e6,
        "read from memory, GB/s": from_memory / 1e9,
        "read from cache, GB/s": from_cache / 1e9,
        "bound by memory, ms": 1000 * read / from_memory,
        "bound by cache, ms": 1000 * read / from_cache,
    }
    for rows in ROWS:
        result[f"{rows} rows"] = _parts(model, rows)
    return result


def _parts(model: LanguageModel, rows: int) -> dict[str, float]:
    """The step, its two parts, and what the engine does with its result."""
    state = model.initial_state(rows)
    tokens = torch.randint(10, model.vocabulary.size, (rows,), generator=torch.Generator().manual_seed(1))
    for _ in range(4):
        log_probabilities, state = model.step(tokens, state)
    row_tokens, row_states = tokens.tolist(), list(state.unbind(0))
    everything = TokenSet(torch.ones(model.vocabulary.size))
    ranking = [everything.tensor], [list(range(rows))]
    sampled = [SamplingRow(SamplingSettings(), math.modf(0.618 * row)[0]) for row in range(rows)]
    return {
        "step, ms": milliseconds(lambda: model.step(tokens, state)),
        "of it the softmax, ms": milliseconds(lambda: model.module.log_probabilities(state)),
        "step with the next tokens ranked, ms": milliseconds(
            lambda: model.calls.advance(row_tokens, [1] * rows, row_states, [*range(rows)], *ranking)
        ),
        "sampling them, ms": milliseconds(lambda: choose(log_probabilities, sampled)),
    }


def main() -> int:
    keep_freed_memory()
    results.keep(Path("runs/serve"), "steps", steps(load_language_model(Settings().model_directory)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Fitting a network to a corpus: truncated BPTT, checkpoints that resume exactly, validation as it goes."""

import itertools
import json
import math
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from training.average import WeightAverage
from training.checkpoint import CHECKPOINT_FILE, read_checkpoint, write_checkpoint
from training.corpus import Batch, ReviewStreams, Split, corpus_vocabulary
from training.embeddings import fill_embedding
from training.errors import TrainingError
from training.evaluate import evaluate, measurable_split, network_scorer
from training.network import Network
from training.ngrams import frequent_ngrams
from training.optimizers import add_l2_gradient, make_optimizers
from training.options import FitOptions
from training.softmax import Loss, SampledSoftmax, full_softmax
from training.vocabulary import END

LOG_FILE = "log.jsonl"


class Fit:
    """One training run: a network, its optimiser, and how far they have come."""

    def __init__(self, options: FitOptions, corpus: Path, *, fresh: bool = True) -> None:
        """Begins a run, or what a checkpoint is then loaded into, which need not read `--embeddings` again."""
        torch.manual_seed(options.seed)
        self.options, self.corpus = options, corpus
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.tokenizer = corpus_vocabulary(corpus)
        self.vocabulary_size = self.tokenizer.get_vocab_size()
        self.train_split, self.valid_split = Split(corpus, "train"), Split(corpus, "valid")
        self.network = Network(options, self.vocabulary_size).to(self.device)
        if options.embeddings and fresh:
            fill_embedding(self.network.embedding, options.embeddings, self.tokenizer)
        self.network.embedding.requires_grad_(not options.freeze_embeddings)
        tables = [] if self.network.ngrams is None else list(self.network.ngrams.tables)
        trained = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        self.dense = [parameter for parameter in trained if all(parameter is not table for table in tables)]
        self.optimizers = make_optimizers(
            options.optimizer, self.dense, self.network.embedding, options.learning_rate, options.weight_decay
        )
        if self.network.ngrams is not None:
            self.network.ngrams.fill(frequent_ngrams(self.train_split, self.vocabulary_size, options.ngrams))
            torch.sparse.check_sparse_tensor_invariants.disable()  # the default, but Adagrad warns until it is said
            self.optimizers.append(torch.optim.Adagrad(tables, lr=options.table_rate))
        self.streams = ReviewStreams(
            self.train_split, options.lanes, options.steps, options.hidden_ratings, options.seed
        )
        self.sampled_softmax = None
        if options.negatives:
            counts = _target_counts(self.train_split, self.vocabulary_size)
            self.sampled_softmax = SampledSoftmax(counts.to(self.device), options.negatives, options.seed)
        self.average = WeightAverage(self.dense, options.average) if options.average else None
        self.updates, self.tokens, self.seconds = 0, 0, 0.0
        self.state = self.network.initial_state(options.lanes)

    @property
    def tokens_planned(self) -> float:
        return self.options.epochs * (len(self.train_split.tokens) + 2 * len(self.train_split))

    @property
    def progress(self) -> float:
        """How much of the run is done, 0 to 1: by tokens, or by time where that is bounded and further on."""
        by_time = self.seconds / (60 * self.options.minutes) if self.options.minutes else 0.0
        return min(1.0, max(self.tokens / self.tokens_planned, by_time))

    def updates_forever(self) -> Iterator[float]:
        """Makes one update after the other, each yielding its mean loss in nats per token."""
        for batch in self.streams:
            started = time.monotonic()
            loss = self._update(batch)
            self.updates += 1
            if self.average:
                self.average.update(self.updates)
            self.tokens += batch.inputs.numel()
            self.seconds += time.monotonic() - started
            yield loss

    def _update(self, batch: Batch) -> float:
        self.network.train()
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group.setdefault("initial_lr", group["lr"]) * self._schedule()
        inputs, targets = batch.inputs.to(self.device), batch.targets.to(self.device).flatten()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.options.precision == "bfloat16"):
            projected, state = self.network(inputs, self.state)
            (counted,) = torch.where(targets >= 0)
            loss: Tensor = self._loss()(
                projected.flatten(0, 1).index_select(0, counted),
                targets[counted],
                self.network.embedding,
                self.network.output_bias,
            )
        if not math.isfinite(value := loss.item()):
            raise TrainingError(
                f"The loss became {value} at update {self.updates}; lower --learning-rate and train again."
            )
        self.network.zero_grad(set_to_none=True)
        loss.backward()
        if self.options.l2:
            add_l2_gradient(self.dense, self.options.l2)
        if self.options.clip:
            nn.utils.clip_grad_norm_(self.dense, self.options.clip)
        for optimizer in self.optimizers:
            optimizer.step()
        self.state = state.detach()
        return value

    def _loss(self) -> Loss:
        ends_full = self.options.full_softmax_share and self.progress >= 1 - self.options.full_softmax_share
        return full_softmax if self.sampled_softmax is None or ends_full else self.sampled_softmax

    def _schedule(self) -> float:
        """Share of the peak learning rate: a linear rise, a level, and a linear fall that ends at zero with the run."""
        warm = min(1.0, (self.updates + 1) / (self.options.warmup + 1))
        return warm * min(1.0, (1 - self.progress) / self.options.decay)

    def bits_per_character(self, reviews: int) -> float:
        """Measures the first `reviews` validation reviews with the network as it would be saved now."""
        measured = itertools.islice(measurable_split(self.valid_split, self.tokenizer), reviews)
        with self.averaged():
            return evaluate(network_scorer(self.network), measured).bits_per_character

    def averaged(self) -> AbstractContextManager[None]:
        """For a while the network has the average of its weights, where one is kept."""
        return self.average.applied() if self.average else nullcontext()

    # ---- checkpoints ----

    def save(self, path: Path) -> None:
        """Writes all that `load` needs to go on as if the run had never stopped; replaces `path` once it is whole."""
        with self.averaged():
            network = self.network.state_dict()
        state = {
            "options": self.options.model_dump(mode="json"),
            "vocabulary_size": self.vocabulary_size,
            "network": network,
            "raw_weights": self.average.raw_weights() if self.average else [],
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "streams": self.streams.state_dict(),
            "negatives": self.sampled_softmax.state_dict() if self.sampled_softmax else {},
            "random": torch.get_rng_state(),
            "state": self.state,
            "progress": {"updates": self.updates, "tokens": self.tokens, "seconds": self.seconds},
        }
        write_checkpoint(path, state)

    @classmethod
    def load(cls, path: Path, corpus: Path, **changes: Any) -> "Fit":
        """Takes up a run where it was saved, with the options it was started with but for `changes`."""
        saved = read_checkpoint(path)
        fit = cls(FitOptions(**{**saved["options"], **changes}), corpus, fresh=False)
        if fit.vocabulary_size != saved["vocabulary_size"]:
            raise TrainingError(f"{path} was trained on another vocabulary than {corpus} holds; give that corpus.")
        fit.network.load_state_dict(saved["network"])
        for optimizer, state in zip(fit.optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        fit.streams.load_state_dict(saved["streams"])
        if fit.average:
            fit.average.restore(saved["raw_weights"])
        if fit.sampled_softmax:
            fit.sampled_softmax.load_state_dict(saved["negatives"])
        torch.set_rng_state(saved["random"])
        fit.state = saved["state"].to(fit.device)
        fit.updates, fit.tokens, fit.seconds = (saved["progress"][key] for key in ("updates", "tokens", "seconds"))
        return fit


def fit(
    options: FitOptions, corpus: Path, run: Path, *, resume: bool, save_minutes: float, progress: bool = True
) -> Fit:
    """Trains to the end of `options`, saving and validating every `save_minutes`; returns the finished run.

    A run that is resumed keeps its own options, but ends where `options` say so explicitly.
    """
    run.mkdir(parents=True, exist_ok=True)
    checkpoint = run / CHECKPOINT_FILE
    if checkpoint.exists() and not resume:
        raise TrainingError(f"{run} holds a run already; add --resume to go on with it, or give another --run.")
    ends = options.model_dump(include={"epochs", "minutes"} & options.model_fields_set)
    training = Fit.load(checkpoint, corpus, **ends) if resume and checkpoint.exists() else Fit(options, corpus)
    if training.progress >= 1:
        return training
    bar = tqdm(total=100, unit="%", desc="training", disable=None if progress else True,
               bar_format="{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining} {postfix}")  # fmt: skip
    with bar, (run / LOG_FILE).open("a") as log:
        saved_at, losses = training.seconds, []
        for loss in training.updates_forever():
            losses.append(loss)
            bar.n = round(100 * training.progress, 2)
            if training.updates % 10 == 0:
                bar.set_postfix_str(f"perplexity {math.exp(float(np.mean(losses[-100:]))):.1f} per token")
            finished = training.progress >= 1
            if finished or training.seconds - saved_at >= 60 * save_minutes:
                training.save(checkpoint)
                saved_at = training.seconds
                entry = _log_entry(training, losses, reviews=len(training.valid_split) if finished else 500)
                losses = []
                log.write(json.dumps(entry) + "\n")
                log.flush()
                bar.write(f"{entry['tokens']:>12,} tokens: {entry['valid_bits_per_character']:.4f} bits per character")
            if finished:
                return training
    raise AssertionError("the stream of batches has no end")


def _log_entry(training: Fit, losses: list[float], reviews: int) -> dict[str, float]:
    return {
        "updates": training.updates,
        "tokens": training.tokens,
        "seconds": round(training.seconds, 1),
        "train_loss": float(np.mean(losses)),
        "valid_reviews": min(reviews, len(training.valid_split)),
        "valid_bits_per_character": training.bits_per_character(reviews),
    }


def _target_counts(split: Split, vocabulary_size: int) -> Tensor:
    counts = np.zeros(vocabulary_size, dtype=np.int64)
    for start in range(0, len(split.tokens), 1 << 24):
        counts += np.bincount(split.tokens[start : start + (1 << 24)], minlength=vocabulary_size)
    counts[END] = len(split)
    return torch.from_numpy(counts)

"""Fitting a network to a corpus: truncated BPTT, checkpoints that resume exactly, validation as it goes."""

import itertools
import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from training.average import WeightAverage
from training.checkpoint import CHECKPOINT_FILE, read_checkpoint, take_weights, write_checkpoint
from training.corpus import Batch, ReviewStreams, Split, corpus_vocabulary
from training.distillation import Teachers, distilled_loss
from training.embeddings import fill_embedding
from training.errors import TrainingError
from training.evaluate import Evaluation, evaluate, measurable_split, network_scorer
from training.graphs import replay_recurrence
from training.metadata import write_metadata
from training.network import Network
from training.ngrams import frequent_ngrams
from training.optimizers import add_l2_gradient, make_optimizers
from training.options import FitOptions
from training.parallel import ALONE, Ranks
from training.run_log import RunLog
from training.softmax import Loss, SampledSoftmax, full_softmax

VALIDATED_REVIEWS = 500
"""So many are measured at each checkpoint but the last, which measures all."""


class Fit:
    """One training run: a network, its optimiser, and how far they have come."""

    def __init__(
        self,
        options: FitOptions,
        corpus: Path,
        ranks: Ranks = ALONE,
        *,
        fresh: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begins a run, or what a checkpoint is then loaded into: for that no file is read, no n-gram counted.

        `ranks` says which of the processes that share the lanes this one is; `clock` tells the seconds that count.
        """
        torch.manual_seed(options.seed)
        self.options, self.corpus, self.ranks, self.lanes = options, corpus, ranks, ranks.lanes(options.lanes)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.tokenizer = corpus_vocabulary(corpus)
        self.vocabulary_size = self.tokenizer.get_vocab_size()
        self.train_split, self.valid_split = Split(corpus, "train"), Split(corpus, "valid")
        self.network = Network(options, self.vocabulary_size).to(self.device)
        if options.start and fresh:
            take_weights(self.network, options.start)
        if options.embeddings and fresh:
            fill_embedding(self.network.embedding, options.embeddings, self.tokenizer)
        self.network.embedding.requires_grad_(not options.freeze_embeddings)
        self.tables = [] if self.network.ngrams is None else list(self.network.ngrams.tables)
        trained = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        self.dense = [parameter for parameter in trained if all(parameter is not table for table in self.tables)]
        self.optimizers = make_optimizers(
            options.optimizer, self.dense, self.network.embedding, options.learning_rate, options.weight_decay
        )
        if self.network.ngrams is not None:
            if fresh:
                self.network.ngrams.fill(frequent_ngrams(self.train_split, self.vocabulary_size, options.ngrams))
            torch.sparse.check_sparse_tensor_invariants.disable()  # the default, but Adagrad warns until it is said
            self.optimizers.append(torch.optim.Adagrad(self.tables, lr=options.table_rate))
        self.streams = ReviewStreams(
            self.train_split, options.lanes, options.steps, options.hidden_ratings, options.seed
        )
        lanes = self.lanes.stop - self.lanes.start
        self.teachers = None
        if options.teachers:
            self.teachers = Teachers(options.teachers, self.vocabulary_size, lanes, self.device)
        self.sampled_softmax = None
        if options.negatives and not self.teachers:
            counts = self.train_split.target_counts(self.vocabulary_size)
            self.sampled_softmax = SampledSoftmax(counts.to(self.device), options.negatives, options.seed)
        self.average = WeightAverage(self.dense, options.average) if options.average else None
        self.updates, self.tokens, self.seconds, self._clock = 0, 0, 0.0, clock
        self.state = self.network.initial_state(lanes)
        if self.device.type == "cuda":
            for network in [self.network, *(self.teachers.networks if self.teachers else [])]:
                replay_recurrence(network, options.steps, lanes, options.precision)
        if ranks.rank:  # other units dropped than on rank 0
            torch.manual_seed(options.seed + (ranks.rank << 32))

    @property
    def tokens_planned(self) -> float:
        return self.options.epochs * (len(self.train_split.tokens) + 2 * len(self.train_split))

    @property
    def progress(self) -> float:
        """How much of the run is done, 0 to 1: by tokens, or by time where that is bounded and further on."""
        by_time = self.seconds / (60 * self.options.minutes) if self.options.minutes else 0.0
        return min(1.0, max(self.tokens / self.tokens_planned, by_time))

    @property
    def learning_rate(self) -> float:
        """That of the last update."""
        return float(self.optimizers[0].param_groups[0]["lr"])

    def updates_forever(self) -> Iterator[float]:
        """Makes one update after the other, each yielding its mean loss in nats per token."""
        for batch in self.streams:
            started = self._clock()
            loss = self._update(batch)
            self.updates += 1
            if self.average:
                self.average.update(self.updates)
            self.tokens += batch.inputs.numel()
            self.seconds = self.ranks.agree(self.seconds + self._clock() - started)
            yield loss

    def updates_to_the_end(self) -> Iterator[float]:
        """The same, until the run is done; at least one."""
        for loss in self.updates_forever():
            yield loss
            if self.progress >= 1:
                return

    def _update(self, batch: Batch) -> float:
        self.network.train()
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group.setdefault("initial_lr", group["lr"]) * self._schedule()
        inputs, targets = (part[:, self.lanes] for part in (batch.inputs, batch.targets))
        (counted,) = torch.where(targets.flatten() >= 0)  # before a GPU has them, which would have to be waited for
        inputs, targets, counted = (part.to(self.device) for part in (inputs, targets, counted))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.options.precision == "bfloat16"):
            projected, state = self.network(inputs, self.state)
            loss: Tensor = self._loss(inputs, counted)(
                projected.flatten(0, 1).index_select(0, counted),
                targets.flatten()[counted],
                self.network.embedding,
                self.network.output_bias,
            )
        if self.ranks.size > 1:  # each rank's part in the mean over the targets of all
            loss = loss * (len(counted) / int((batch.targets >= 0).sum()))
        self.network.zero_grad(set_to_none=True)
        loss.backward()
        value = self.ranks.sum_up(loss.detach(), self.dense, self.tables, inputs.numel()).item()
        if not math.isfinite(value):
            raise TrainingError(
                f"The loss became {value} at update {self.updates}; lower --learning-rate and train again."
            )
        if self.options.l2:
            add_l2_gradient(self.dense, self.options.l2)
        if self.options.clip:
            nn.utils.clip_grad_norm_(self.dense, self.options.clip)
        for optimizer in self.optimizers:
            optimizer.step()
        self.state = state.detach()
        return value

    def _loss(self, inputs: Tensor, counted: Tensor) -> Loss:
        if self.teachers:
            taught = self.teachers.probabilities(inputs, counted)
            return partial(distilled_loss, taught=taught, share=self.options.teachers_share)
        ends_full = self.options.full_softmax_share and self.progress >= 1 - self.options.full_softmax_share
        return full_softmax if self.sampled_softmax is None or ends_full else self.sampled_softmax

    def _schedule(self) -> float:
        """Share of the peak learning rate: a linear rise, a level, and a linear fall that ends at zero with the run."""
        warm = min(1.0, (self.updates + 1) / (self.options.warmup + 1))
        return warm * min(1.0, (1 - self.progress) / self.options.decay)

    def validate(self, reviews: int) -> Evaluation:
        """Measures the first `reviews` validation reviews with the network as it would be saved now."""
        measured = itertools.islice(measurable_split(self.valid_split, self.tokenizer), reviews)
        with self.averaged():
            return evaluate(network_scorer(self.network), measured)

    def averaged(self) -> AbstractContextManager[None]:
        """For a while the network has the average of its weights, where one is kept."""
        return self.average.applied() if self.average else nullcontext()

    # ---- checkpoints ----

    def save(self, path: Path) -> None:
        """Writes all that `load` needs to go on as if the run had never stopped; replaces `path` once it is whole.

        All ranks have to call it, and the first one writes.
        """
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
            "random": self.ranks.gather(torch.get_rng_state()),
            "state": self.ranks.gather(self.state),
            "teachers": [self.ranks.gather(state) for state in self.teachers.states] if self.teachers else [],
            "taught_by": self.teachers.about if self.teachers else [],
            "device": torch.cuda.get_device_name() if self.device.type == "cuda" else "cpu",
            "progress": {"updates": self.updates, "tokens": self.tokens, "seconds": self.seconds},
        }
        if self.ranks.rank == 0:
            write_checkpoint(path, state)

    @classmethod
    def load(cls, path: Path, corpus: Path, ranks: Ranks = ALONE, **changes: Any) -> "Fit":
        """Takes up a run where it was saved, with the options it was started with but for `changes`."""
        saved = read_checkpoint(path)
        fit = cls(FitOptions(**{**saved["options"], **changes}), corpus, ranks, fresh=False)
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
        random = saved["random"].split(len(torch.get_rng_state()))
        if ranks.rank < len(random):
            torch.set_rng_state(random[ranks.rank].clone())  # torch does not bear a view
        fit.state = saved["state"][fit.lanes].to(fit.device)
        if fit.teachers:
            fit.teachers.states = [state[fit.lanes].to(fit.device) for state in saved["teachers"]]
        fit.updates, fit.tokens, fit.seconds = (saved["progress"][key] for key in ("updates", "tokens", "seconds"))
        return fit


def fit(
    options: FitOptions,
    corpus: Path,
    run: Path,
    *,
    resume: bool,
    save_minutes: float,
    progress: bool = True,
    tensorboard: bool = False,
    ranks: Ranks = ALONE,
) -> Fit:
    """Trains to the end of `options`, saving and validating every `save_minutes`; returns the finished run.

    A run that is resumed keeps its own options, but ends where `options` say so explicitly. Of several `ranks`, the
    first one writes, shows and validates; all have to see the folder `run`.
    """
    run.mkdir(parents=True, exist_ok=True)
    checkpoint = run / CHECKPOINT_FILE
    if checkpoint.exists() and not resume:
        raise TrainingError(f"{run} holds a run already; add --resume to go on with it, or give another --run.")
    if resume and checkpoint.exists():
        ends = options.model_dump(include={"epochs", "minutes"} & options.model_fields_set)
        training = Fit.load(checkpoint, corpus, ranks, **ends)
    else:
        training = Fit(options, corpus, ranks)
    if training.progress >= 1:
        return training
    with ExitStack() as files:
        log = None
        if ranks.rank == 0:
            log = files.enter_context(RunLog(run, training.updates, progress, tensorboard))
            write_metadata(run, training.options.model_dump(mode="json"), training.updates, ranks.size)
        _to_the_end(training, checkpoint, save_minutes, log)
    return training


def _to_the_end(training: Fit, checkpoint: Path, save_minutes: float, log: RunLog | None) -> None:
    saved_at = training.seconds
    for loss in training.updates_forever():
        if log:
            log.update(training.updates, training.progress, loss, training.learning_rate)
        finished = training.progress >= 1
        if finished or training.seconds - saved_at >= 60 * save_minutes:
            training.save(checkpoint)
            saved_at = training.seconds
            if log:
                log.checkpoint(_measured(training, len(training.valid_split) if finished else VALIDATED_REVIEWS))
        if finished:
            return


def _measured(training: Fit, reviews: int) -> dict[str, float]:
    return {
        "updates": training.updates,
        "tokens": training.tokens,
        "seconds": round(training.seconds, 1),
        "valid_reviews": min(reviews, len(training.valid_split)),
        "valid_bits_per_character": training.validate(reviews).bits_per_character,
    }

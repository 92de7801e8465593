"""What the service tells Prometheus: the engine's queue and turns as they happen, and every part's own counts.

Durations are in seconds, as Prometheus wants them, in buckets that tell apart what a recurrent model does: from a fifth
of a millisecond up.

Of several worker processes each keeps its numbers in files of a folder that all share, so that any of them can show the
sums: prometheus_client's multiprocess mode. The files have the worker's number, not its process id: one that takes the
place of another goes on where that one ended.
"""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

SECONDS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
ROWS = (1, 2, 4, 8, 16, 32, 64)

WorkEnd = Literal["finished", "failed", "cancelled", "expired", "refused"]


class Watched(NamedTuple):
    """A value that a part keeps itself.

    The workers' values are added up, or the `least` or the `most` of them counts; one that `rises` never falls.
    """

    name: str
    about: str
    value: Callable[[], float]
    kind: Literal["sum", "least", "most", "rises"] = "sum"


class Telemetry:
    """Histograms and counters that the parts fill as they work; `page` shows them with the `watched` values.

    With `folder`, they add up with those of the other workers; `worker` is the number of this one.
    """

    def __init__(self, folder: Path | None = None, worker: int = 0) -> None:
        if folder:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
            values.ValueClass = values.MultiProcessValue(lambda: worker)  # type: ignore[no-untyped-call]
        self._folder = folder
        self._shared: list[_Shared] = []
        self.registry = registry = CollectorRegistry()
        self.requests = Counter("review_lm_requests", "Requests answered.", ["route", "status"], registry=registry)
        self.request_seconds = Histogram(
            "review_lm_request_seconds", "From arrival to the last byte of the answer.", ["route"],
            buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self.queue_seconds = _histogram("queue_seconds", "From arrival to the first turn in the model.", registry)
        self.first_token_seconds = _histogram(
            "first_token_seconds", "From arrival to a review's first token.", registry
        )
        self.token_seconds = _histogram("token_seconds", "From one token of a review to the next.", registry)
        self.model_seconds = Histogram(
            "review_lm_model_seconds", "One call of the model.", ["kind"], buckets=SECONDS, registry=registry
        )
        self.batch_rows = Histogram(
            "review_lm_batch_rows", "Rows of one call of the model.", ["kind"], buckets=ROWS, registry=registry
        )
        self.work = Counter(
            "review_lm_work", "Work by its end: finished, failed, cancelled, expired, or refused before it began.",
            ["end"], registry=registry,
        )  # fmt: skip
        ends: tuple[WorkEnd, ...] = get_args(WorkEnd)
        # Looked up once, as labels are compared as texts every time.
        self.work_ends = {end: self.work.labels(end) for end in ends}
        self._of_requests: dict[tuple[str, int], tuple[Counter, Histogram]] = {}

    def note_request(self, route: str, status: int, seconds: float) -> None:
        """Counts an answered request."""
        key = (route, status)
        if key not in self._of_requests:
            self._of_requests[key] = self.requests.labels(route, status), self.request_seconds.labels(route)
        count, histogram = self._of_requests[key]
        count.inc()
        histogram.observe(seconds)

    def watch(self, *watched: Watched) -> None:
        """Shows these values, too."""
        if self._folder:
            self._shared = [_Shared(each) for each in watched]
            self.share()
        else:
            self.registry.register(_OwnValues(watched))

    def share(self) -> None:
        """Has the other workers see what the watched values are now."""
        for each in self._shared:
            each.share()

    def page(self) -> bytes:
        """All of it in Prometheus' text format."""
        if not self._folder:
            return generate_latest(self.registry)
        self.share()
        registry = CollectorRegistry()
        MultiProcessCollector(registry, str(self._folder))  # type: ignore[no-untyped-call]
        return generate_latest(registry)


def forget_worker(folder: Path, worker: int) -> None:
    """Takes the present values of a worker that has ended out of the sums; what it counted stays."""
    mark_process_dead(worker, str(folder))  # type: ignore[no-untyped-call]


class _OwnValues:
    def __init__(self, watched: Iterable[Watched]) -> None:
        self._watched = watched

    def collect(self) -> Iterable[Metric]:
        for each in self._watched:
            family = CounterMetricFamily if each.kind == "rises" else GaugeMetricFamily
            yield family(f"review_lm_{each.name}", each.about, each.value())


MODES: dict[str, Literal["livesum", "livemin", "livemax"]] = {"sum": "livesum", "least": "livemin", "most": "livemax"}


class _Shared:
    """A watched value in the files."""

    def __init__(self, watched: Watched) -> None:
        self._watched, self._counted = watched, 0.0
        name, about = f"review_lm_{watched.name}", watched.about
        self._counter = Counter(name, about, registry=None) if watched.kind == "rises" else None
        self._gauge = (
            None if self._counter else Gauge(name, about, registry=None, multiprocess_mode=MODES[watched.kind])
        )

    def share(self) -> None:
        value = float(self._watched.value())
        if self._counter:
            self._counter.inc(value - self._counted)
            self._counted = value
        elif self._gauge:
            self._gauge.set(value)


def _histogram(name: str, about: str, registry: CollectorRegistry) -> Histogram:
    return Histogram(f"review_lm_{name}", about, buckets=SECONDS, registry=registry)

"""What the service tells Prometheus: the engine's queue and turns as they happen, and every part's own counts.

Durations are in seconds, as Prometheus wants them, in buckets that tell apart what a recurrent model does: from a fifth
of a millisecond up.
"""

from collections.abc import Callable, Iterable
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

SECONDS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
ROWS = (1, 2, 4, 8, 16, 32, 64)

WorkEnd = Literal["finished", "failed", "cancelled", "expired", "refused"]

Gauges = dict[str, tuple[str, Callable[[], float]]]
"""Names, what they are, and what tells their value at this moment."""


class Telemetry:
    """Histograms and counters that the parts fill as they work; `page` shows them with the `watched` values."""

    def __init__(self) -> None:
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

    def watch(self, gauges: Gauges, counters: Gauges) -> None:
        """Shows values that a part keeps itself; `counters` only ever rise."""
        self.registry.register(_Watched(gauges, counters))

    def page(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)


class _Watched:
    def __init__(self, gauges: Gauges, counters: Gauges) -> None:
        self._gauges, self._counters = gauges, counters

    def collect(self) -> Iterable[Metric]:
        for name, (about, value) in self._gauges.items():
            yield GaugeMetricFamily(f"review_lm_{name}", about, value())
        for name, (about, value) in self._counters.items():
            yield CounterMetricFamily(f"review_lm_{name}", about, value())


def _histogram(name: str, about: str, registry: CollectorRegistry) -> Histogram:
    return Histogram(f"review_lm_{name}", about, buckets=SECONDS, registry=registry)

"""What the parts of the service count themselves, for the telemetry to show."""

from collections.abc import Callable

from app.service import Service
from app.serving import Serving
from app.telemetry import Watched


def watch(serving: Serving) -> None:
    """Has the telemetry show it, of the model that answers and of those that finish what they began."""
    log = serving.log

    def total(of: Callable[[Service], float]) -> Callable[[], float]:
        return lambda: sum(map(of, serving.services))

    hits, misses = total(lambda of: of.model.cache_hits), total(lambda of: of.model.cache_misses)
    serving.telemetry.watch(
        Watched("ready", "1 while the model answers.", lambda: serving.answers, "least"),
        Watched("admitted_rows", "Rows of work that wait or run.", lambda: serving.rows),
        Watched(
            "admitted_tokens",
            "Tokens of work that wait or run, as estimated.",
            lambda: serving.tokens,
        ),
        Watched(
            "running_rows",
            "Rows of the work that the engine has begun.",
            total(lambda of: of.engine.running_rows),
        ),
        Watched(
            "state_cache_bytes",
            "Memory that states after texts seen before take, and what follows them.",
            total(lambda of: of.model.cache_bytes),
        ),
        Watched("log_waiting_rows", "Rows of the request log that wait to be written.", lambda: log.waiting),
        Watched("log_waiting_bytes", "Memory that those rows take.", lambda: log.waiting_bytes),
        Watched("log_failing", "1 while the request log cannot be written.", lambda: log.error is not None, "most"),
        Watched(
            "state_cache_hits",
            "Texts of which a beginning was kept.",
            lambda: serving.former_hits + hits(),
            "rises",
        ),
        Watched(
            "state_cache_misses",
            "Texts of which nothing was kept.",
            lambda: serving.former_misses + misses(),
            "rises",
        ),
        Watched("log_written_rows", "Rows of the request log that were written.", lambda: log.written, "rises"),
        Watched("log_dropped_rows", "Rows of the request log that were lost.", lambda: log.dropped, "rises"),
        Watched(
            "log_deleted_rows",
            "Rows of the request log that had become too old or too many.",
            lambda: log.deleted,
            "rises",
        ),
    )

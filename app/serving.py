"""The model that answers, and how another takes its place while requests come in.

A request keeps the service that it began with: its model, its engine, its name in the log. A new artifact is loaded and
warmed beside the one that answers; then it takes every request that begins from there on, and the former one ends when
the last request that was under way has been answered.
"""

import asyncio
import logging
import time
from collections.abc import Callable

from app.admission import Work
from app.artifact import Artifact, load_artifact
from app.engine import Engine
from app.generation import GenerationSettings, generate
from app.log.request_log import RequestLog
from app.next_word import next_words
from app.peers import Peers
from app.sampling import SamplingSettings
from app.scoring import encode, score
from app.service import Service
from app.settings import Settings
from app.telemetry import Telemetry

Requests = set[asyncio.Task[None]]

logger = logging.getLogger(__name__)


class Serving:
    def __init__(
        self, settings: Settings, artifact: Artifact, log: RequestLog, telemetry: Telemetry, peers: Peers | None
    ) -> None:
        """`peers` are the other worker processes, where there are any."""
        self._settings, self.log, self.telemetry, self.peers = settings, log, telemetry, peers
        self.service = self._service_of(artifact)
        """What answers the requests that begin now."""
        self.ready = False
        self.workers = settings.workers
        self.started = peers.started if peers else time.monotonic()
        self.loading = False
        self.refused: str | None = None
        """Why the last artifact was not taken; None if it was."""
        self._former: dict[Service, asyncio.Task[None]] = {}
        self.former_hits = self.former_misses = 0

    async def start(self) -> None:
        self.log.start()
        self.service.engine.start()
        await _warm_up(self.service)
        self.ready = True

    async def close(self) -> None:
        """Finishes what was admitted and writes the log."""
        self.ready = False
        for service in self.services:
            await asyncio.to_thread(service.engine.close)
        await asyncio.to_thread(self.log.close)

    def stop_being_ready(self) -> None:
        """Tells load balancers to send no more; what comes all the same is answered."""
        self.ready = False

    @property
    def answers(self) -> bool:
        return self.ready and self.service.engine.alive

    @property
    def rows(self) -> int:
        """Rows of work that wait or run."""
        return sum(service.engine.admitted_rows for service in self.services)

    @property
    def tokens(self) -> int:
        """Tokens that this work was estimated at."""
        return sum(service.engine.admitted_tokens for service in self.services)

    @property
    def services(self) -> list[Service]:
        """The one that answers, and those that finish what they began."""
        return [self.service, *self._former]

    # ---- another model ----

    async def swap(self, under_way: Callable[[], Requests]) -> None:
        """Loads the artifact anew and has it answer; one that cannot be used is refused, and all stays as it is.

        `under_way` tells the requests that are, at the moment it is called.
        """
        self.loading = True
        try:
            service = await self._beside()
        except Exception as error:  # whatever is wrong with the new one, the old one answers on
            self.refused = str(error) or type(error).__name__
            logger.error("the new artifact is refused, and %s answers on: %s", self.service.name, self.refused)
            return
        finally:
            self.loading = False
        former, self.service, self.refused = self.service, service, None
        logger.info("%s answers from here on; %s finishes what it has begun", service.name, former.name)
        self._former[former] = asyncio.create_task(self._retire(former, under_way()))

    async def _beside(self) -> Service:
        service = self._service_of(await asyncio.to_thread(load_artifact, self._settings))
        service.engine.start()
        try:
            await _warm_up(service)
        except BaseException:
            await asyncio.to_thread(service.engine.close)
            raise
        return service

    async def _retire(self, former: Service, requests: Requests) -> None:
        if requests:
            await asyncio.wait(requests)
        requests.clear()
        await asyncio.to_thread(former.engine.close)
        del self._former[former]
        self.former_hits += former.model.cache_hits
        self.former_misses += former.model.cache_misses
        logger.info("%s has finished and is gone", former.name)

    def _service_of(self, artifact: Artifact) -> Service:
        settings = self._settings
        engine = Engine(
            artifact.model,
            Work(settings.max_waiting_rows, settings.max_waiting_tokens, settings.max_waiting_reviews),
            settings.deadline_seconds,
            self.telemetry,
        )
        return Service(
            artifact.model.name,
            settings,
            artifact.model,
            artifact.metrics,
            artifact.spelling,
            engine,
        )


async def _warm_up(service: Service) -> None:
    """Answers one request of each kind, twice: TorchScript optimises a method after its first runs."""
    model, engine = service.model, service.engine
    settings = GenerationSettings(n=2, max_tokens=4, sampling=SamplingSettings(), stop=[], seed=0)
    texts = encode(model, ["The food was great."])
    for _ in range(2):
        for prefix in ("", "g", "gre", "great"):
            await engine.submit(next_words(model, service.spelling, "The food was", prefix, 5, None, False))
        await engine.submit(generate(model, "The food", None, settings), Work(settings.n))
        await engine.submit(score(model, texts, None, True))

"""The parts of a running service, and how routes reach them."""

import time
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from app.calls import Result, Task
from app.engine import Engine
from app.errors import FieldProblem, InvalidRequest
from app.exchange import Exchange
from app.language_model import LanguageModel
from app.request_log import RequestLog
from app.settings import Settings
from app.spelling import Spelling


@dataclass
class Service:
    settings: Settings
    model: LanguageModel
    spelling: Spelling
    engine: Engine
    log: RequestLog
    ready: bool = False
    started: float = field(default_factory=time.monotonic)

    async def run(self, exchange: Exchange, task: Task[Result], rows: int) -> Result:
        """Runs a task on the engine and notes in the exchange where the time went."""
        result, exchange.timing = await self.engine.submit(task, rows)
        return result


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _exchange(request: Request) -> Exchange:
    exchange: Exchange = request.state.exchange
    return exchange


CurrentService = Annotated[Service, Depends(_service)]
CurrentExchange = Annotated[Exchange, Depends(_exchange)]


def require_at_most(field: str, value: int, limit: int, what: str) -> None:
    """Refuses a request whose `field` is over a limit that is a setting."""
    if value > limit:
        problem = f"has {value} {what}, the limit is {limit}"
        raise InvalidRequest(f"{field}: {problem}", errors=[FieldProblem(field=field, problem=problem)])

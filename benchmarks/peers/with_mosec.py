"""mosec: its Rust server batches the requests of each route for Python workers, streams as well.

- `max_wait_time` "should be less than the batch inference time", and the number of workers, threads and the largest
  batch are to be tried out (https://github.com/mosecorg/mosec#performance-tuning).
- Several routes by `register_runtime`, streams by `SSEWorker`
  (https://mosecorg.github.io/mosec/reference/interface.html).
"""

import sys
from typing import Any

from mosec import Runtime, Server, SSEWorker, Worker

from app.schemas import GenerateRequest, NextWordRequest, ScoreRequest
from benchmarks.peers.hosting import CORES, announced_port
from benchmarks.peers.shared import SharedModel


class NextWord(Worker):
    def __init__(self) -> None:
        self.model = SharedModel()

    def forward(self, data: list[Any]) -> list[Any]:
        answers = self.model.next_words([NextWordRequest.model_validate(each) for each in data])
        return [each.model_dump() for each in answers]


class Generate(Worker):
    def __init__(self) -> None:
        self.model = SharedModel()

    def forward(self, data: list[Any]) -> list[Any]:
        answers = self.model.generate([GenerateRequest.model_validate(each) for each in data])
        return [each.model_dump() for each in answers]


class Stream(SSEWorker):
    def __init__(self) -> None:
        self.model = SharedModel()

    def forward(self, data: list[Any]) -> list[str]:
        for told in self.model.stream([GenerateRequest.model_validate(each) for each in data]):
            for place, events in enumerate(told):
                for event in filter(None, events.split("\n\n")):
                    self.send_stream_event(event.removeprefix("data: "), place)
        return [""] * len(data)


class Score(Worker):
    def __init__(self) -> None:
        self.model = SharedModel()

    def forward(self, data: list[Any]) -> list[Any]:
        answers = self.model.score([ScoreRequest.model_validate(each) for each in data])
        return [each.model_dump() for each in answers]


if __name__ == "__main__":
    sys.argv += [
        "--address",
        "127.0.0.1",
        "--port",
        str(announced_port()),
        "--timeout",
        "60000",
        "--log-level",
        "error",
    ]
    server = Server()
    server.register_runtime(
        {
            "/next-word": [Runtime(NextWord, num=CORES, max_batch_size=32, max_wait_time=5)],
            "/generate": [Runtime(Generate, num=CORES, max_batch_size=16, max_wait_time=5)],
            "/stream": [Runtime(Stream, num=CORES, max_batch_size=16, max_wait_time=5)],
            "/score": [Runtime(Score, num=CORES, max_batch_size=2, max_wait_time=5)],
        }
    )
    server.run()

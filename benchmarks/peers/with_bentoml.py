"""BentoML: adaptive batches, which its dispatcher sizes by how long they took before.

- `@bentoml.api(batchable=True)`: a batch of lists in, a list of as many out; each request is a list of its own
  (https://docs.bentoml.com/en/latest/get-started/adaptive-batching.html).
- `workers` for parallel work on several cores, `cpu_count` of them
  (https://docs.bentoml.com/en/latest/build-with-bentoml/parallelize-requests.html).
- `threads` for endpoints that are no coroutines: with four of them, rather than one, a keystroke waits for no other
  endpoint's batch (tried here: more throughput of all kinds, and beside other work a seventh of the waiting;
  https://docs.bentoml.com/en/latest/reference/bentoml/configurations.html).
- An endpoint that streams is a generator of its own for each request: a batch cannot be one
  (https://docs.bentoml.com/en/latest/build-with-bentoml/streaming.html).
"""

from collections.abc import Iterator

import bentoml

from app.schemas import (
    GenerateRequest,
    GenerateResponse,
    NextWordRequest,
    NextWordResponse,
    ScoreRequest,
    ScoreResponse,
)
from benchmarks.peers.hosting import announced_port
from benchmarks.peers.shared import SharedModel


@bentoml.service(workers="cpu_count", threads=4, traffic={"timeout": 60})
class ReviewLM:
    def __init__(self) -> None:
        self.model = SharedModel()

    @bentoml.api(batchable=True, max_batch_size=32, route="/next-word")
    def next_word(self, requests: list[NextWordRequest], /) -> list[NextWordResponse]:
        return self.model.next_words(requests)

    @bentoml.api(batchable=True, max_batch_size=16, route="/generate")
    def generate(self, requests: list[GenerateRequest], /) -> list[GenerateResponse]:
        return self.model.generate(requests)

    @bentoml.api(route="/stream")
    def stream(self, request: GenerateRequest, /) -> Iterator[str]:
        for (events,) in self.model.stream([request]):
            yield events

    @bentoml.api(batchable=True, max_batch_size=2, route="/score")
    def score(self, requests: list[ScoreRequest], /) -> list[ScoreResponse]:
        return self.model.score(requests)


if __name__ == "__main__":
    ReviewLM.serve_http(host="127.0.0.1", port=announced_port())

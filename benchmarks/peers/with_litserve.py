"""LitServe: an endpoint for each kind of request, with dynamic batches, streams as well.

- "For CPU, set to the number of cores available on the machine": so many workers for each endpoint, as
  `LitServer(workers_per_device=…)` says (https://lightning.ai/docs/litserve/api-reference/litserver).
- `fast_queue`, which is ZeroMQ, for more than 100 requests per second (the same page).
- `num_api_servers=1`: one for each worker, the default, or for each core answered fewer requests on two cores.
- `max_batch_size` as large as the model gains by, and a `batch_timeout` of some milliseconds
  (https://lightning.ai/docs/litserve/features/batching).
- Streams are batched as well: `predict` yields a list with an item for each request
  (https://lightning.ai/docs/litserve/features/streaming).
"""

from collections.abc import Iterator
from typing import Any

import litserve

from app.schemas import GenerateRequest, NextWordRequest, ScoreRequest
from benchmarks.peers.hosting import CORES, announced_port
from benchmarks.peers.shared import SharedModel


class Batched(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.model = SharedModel()

    def batch(self, inputs: list[Any]) -> list[Any]:
        return inputs

    def unbatch(self, output: Any) -> Any:
        return output

    def encode_response(self, output: Any) -> Any:
        return output.model_dump()


class NextWord(Batched):
    def decode_request(self, request: NextWordRequest) -> NextWordRequest:
        return request

    def predict(self, requests: list[NextWordRequest]) -> Any:
        return self.model.next_words(requests)


class Generate(Batched):
    def decode_request(self, request: GenerateRequest) -> GenerateRequest:
        return request

    def predict(self, requests: list[GenerateRequest]) -> Any:
        return self.model.generate(requests)


class Stream(Batched):
    def decode_request(self, request: GenerateRequest) -> GenerateRequest:
        return request

    def predict(self, requests: list[GenerateRequest]) -> Iterator[list[str]]:
        yield from self.model.stream(requests)

    def unbatch(self, output: Any) -> Any:
        yield from output

    def encode_response(self, output: Any) -> Any:
        yield from output


class Score(Batched):
    def decode_request(self, request: ScoreRequest) -> ScoreRequest:
        return request

    def predict(self, requests: list[ScoreRequest]) -> Any:
        return self.model.score(requests)


if __name__ == "__main__":
    endpoints = [
        NextWord(max_batch_size=32, batch_timeout=0.005, api_path="/next-word"),
        Generate(max_batch_size=16, batch_timeout=0.005, api_path="/generate"),
        Stream(max_batch_size=16, batch_timeout=0.005, api_path="/stream", stream=True),
        Score(max_batch_size=2, batch_timeout=0.005, api_path="/score"),
    ]
    server = litserve.LitServer(endpoints, accelerator="cpu", workers_per_device=CORES, fast_queue=True, timeout=60)
    server.run(host="127.0.0.1", port=announced_port(), num_api_servers=1, generate_client_file=False)

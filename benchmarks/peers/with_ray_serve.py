"""Ray Serve: a replica for each core, batches by `@serve.batch`, streams as well.

- Largest batch and waiting time by the model's own latency; `max_ongoing_requests` has to leave room for a batch
  (https://docs.ray.io/en/latest/serve/advanced-guides/dyn-req-batch.html).
- A core and OMP_NUM_THREADS for each replica (https://docs.ray.io/en/latest/serve/advanced-guides/performance.html).
- High throughput by HAProxy and direct calls
  (https://docs.ray.io/en/master/kuberay/user-guides/serve-high-throughput.html).
- What computes for long runs in a thread, so that the replica's event loop stays free: PyTorch gives the interpreter's
  lock away meanwhile (https://docs.ray.io/en/latest/ray-core/actors/async_api.html).
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator

os.environ |= {"RAY_SERVE_ENABLE_HA_PROXY": "1", "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1", "RAY_USAGE_STATS_ENABLED": "0"}

import ray
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from ray import serve

from app.schemas import (
    GenerateRequest,
    GenerateResponse,
    NextWordRequest,
    NextWordResponse,
    ScoreRequest,
    ScoreResponse,
)
from benchmarks.peers.hosting import CORES, announced_port
from benchmarks.peers.shared import SharedModel

app = FastAPI()


@serve.deployment(num_replicas=CORES, max_ongoing_requests=256, ray_actor_options={"num_cpus": 1})
@serve.ingress(app)
class ReviewLM:
    def __init__(self) -> None:
        self.model = SharedModel()

    @app.post("/next-word")
    async def next_word(self, request: NextWordRequest) -> NextWordResponse:
        return await self.next_words(request)

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.005)
    async def next_words(self, requests: list[NextWordRequest]) -> list[NextWordResponse]:
        return await asyncio.to_thread(self.model.next_words, requests)

    @app.post("/generate")
    async def generate(self, request: GenerateRequest) -> GenerateResponse:
        return await self.generate_all(request)

    @serve.batch(max_batch_size=16, batch_wait_timeout_s=0.005)
    async def generate_all(self, requests: list[GenerateRequest]) -> list[GenerateResponse]:
        return await asyncio.to_thread(self.model.generate, requests)

    @app.post("/stream")
    async def stream(self, request: GenerateRequest) -> StreamingResponse:
        return StreamingResponse(self.stream_all(request), media_type="text/event-stream")

    @serve.batch(max_batch_size=16, batch_wait_timeout_s=0.005)
    async def stream_all(self, requests: list[GenerateRequest]) -> AsyncIterator[list[str]]:
        turns = self.model.stream(requests)
        while (told := await asyncio.to_thread(next, turns, None)) is not None:
            yield told

    @app.post("/score")
    async def score(self, request: ScoreRequest) -> ScoreResponse:
        return await self.score_all(request)

    @serve.batch(max_batch_size=2, batch_wait_timeout_s=0.005)
    async def score_all(self, requests: list[ScoreRequest]) -> list[ScoreResponse]:
        return await asyncio.to_thread(self.model.score, requests)


if __name__ == "__main__":
    ray.init(include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": announced_port()})
    serve.run(ReviewLM.bind())
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    serve.shutdown()
    ray.shutdown()

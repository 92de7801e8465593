"""Plain FastAPI, as tutorials serve a model: the model is loaded once, `def` endpoints call it, a request at a time.

Endpoints that compute are `def`, so that they run in the thread pool and the event loop stays free
(https://fastapi.tiangolo.com/async/#path-operation-functions).
"""

from collections.abc import Iterator

from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from app.schemas import (
    GenerateRequest,
    GenerateResponse,
    NextWordRequest,
    NextWordResponse,
    ScoreRequest,
    ScoreResponse,
)
from benchmarks.beside.listening import listen
from benchmarks.peers.shared import SharedModel

model = SharedModel()
app = FastAPI()


@app.post("/next-word")
def next_word(request: NextWordRequest) -> NextWordResponse:
    return model.next_words([request])[0]


@app.post("/generate")
def generate(request: GenerateRequest) -> GenerateResponse:
    return model.generate([request])[0]


@app.post("/stream")
def stream(request: GenerateRequest) -> StreamingResponse:
    pieces: Iterator[str] = (events for (events,) in model.stream([request]))
    return StreamingResponse(pieces, media_type="text/event-stream")


@app.post("/score")
def score(request: ScoreRequest) -> ScoreResponse:
    return model.score([request])[0]


if __name__ == "__main__":
    listen(app)

"""What is measured side by side, and in what each differs for those who ask it."""

from dataclasses import dataclass
from typing import Any

from benchmarks.peers.hosting import CORES
from benchmarks.servers import SERVICE

OURS, OUR_WORKERS = "review-lm", "review-lm-workers"
"""With its defaults, and with a process for each core, as the peers have."""
TRANSFORMER, WORD_LANGUAGE_MODEL = "transformer", "word-language-model"
"""Named as `benchmarks.quality` names them."""
STRIDE = 15
"""So slow that it would not get beyond the first words: every fifteenth request, of contexts of all lengths."""


@dataclass(frozen=True)
class Peer:
    """A server that `python -m module` runs, and the distributions that have to be installed for it besides torch.

    What it takes is `listed` where a request is a list of one, and so is its answer. One that is `stateful` keeps what
    was typed before, so that it is asked for every word. One that only `writes` has no other endpoint. `settings` are
    those of the service.
    """

    name: str
    label: str
    module: str
    packages: tuple[str, ...]
    listed: bool = False
    stateful: bool = False
    writes: bool = False
    settings: tuple[tuple[str, str], ...] = ()

    def request(self, path: str, body: dict[str, Any], stream: bool = False) -> tuple[str, Any]:
        """The path and the body that it is asked with for what `body` asks the service for."""
        if self.module == SERVICE:
            return path, body | {"stream": True} if stream else body
        return ("/stream", body) if stream else (path, self.body(body))

    def body(self, body: dict[str, Any]) -> Any:
        return [body] if self.listed else body

    def answer(self, answer: Any) -> Any:
        return answer[0] if self.listed else answer

    def typing(self, requests: list[dict[str, Any]]) -> list[Any]:
        """What it is asked while somebody types."""
        return [self.body(each) for each in requests[:: 1 if self.stateful else STRIDE]]


PEERS = {
    peer.name: peer
    for peer in (
        Peer(OURS, "**review-lm**", SERVICE, ("review-lm",), stateful=True),
        Peer(
            OUR_WORKERS,
            f"**review-lm**, {CORES} workers",
            SERVICE,
            ("review-lm",),
            stateful=True,
            settings=(("workers", str(CORES)),),
        ),
        Peer("litserve", "LitServe", "benchmarks.peers.with_litserve", ("litserve", "tokenizers")),
        Peer("bentoml", "BentoML", "benchmarks.peers.with_bentoml", ("bentoml", "tokenizers"), listed=True),
        Peer("ray-serve", "Ray Serve", "benchmarks.peers.with_ray_serve", ("ray[serve]", "tokenizers")),
        Peer("mosec", "mosec", "benchmarks.peers.with_mosec", ("mosec", "tokenizers")),
        Peer("fastapi", "plain FastAPI", "benchmarks.peers.with_fastapi", ("fastapi", "uvicorn", "tokenizers")),
        Peer(
            TRANSFORMER,
            "transformer, plain FastAPI",
            "benchmarks.peers.with_transformer",
            ("fastapi", "uvicorn", "tokenizers"),
            writes=True,
        ),
        Peer(
            WORD_LANGUAGE_MODEL,
            "word_language_model, plain FastAPI",
            "benchmarks.peers.with_word_language_model",
            ("fastapi", "uvicorn", "tokenizers"),
            writes=True,
        ),
    )
}

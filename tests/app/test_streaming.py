"""app/routes/streaming.py"""

import json
import time

from app.routes.streaming import TOGETHER_SECONDS
from tests.app.support import Server


def test_pieces_that_follow_each_other_at_once_are_told_together(server: Server) -> None:
    asked = {"prompt": "The", "seed": 5, "max_tokens": 200, "stream": True}
    started = time.monotonic()
    with server.client.stream("POST", "/generate", json=asked) as answer:
        lines = [line.removeprefix("data: ") for line in answer.iter_lines() if line.startswith("data: {")]
    seconds = time.monotonic() - started
    events = [json.loads(line) for line in lines]
    texts = [event["text"] for event in events if "text" in event]
    # The first and the last are told at once, whatever came before.
    assert len(texts) <= 3 + seconds / TOGETHER_SECONDS
    whole = server.client.post("/generate", json={**asked, "stream": False}).json()
    assert "".join(texts) == whole["reviews"][0]["text"]
    assert whole["usage"]["generated_tokens"] > 20

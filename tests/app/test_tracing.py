"""Spans of a real process, sent to a receiver of OTLP over HTTP."""

import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.app.support import running_server

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Receiver(HTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[Any] = []

    def spans(self) -> list[Any]:
        scopes = [scope for each in self.requests for of in each.resource_spans for scope in of.scope_spans]
        return sorted((span for scope in scopes for span in scope.spans), key=lambda span: span.start_time_unix_nano)


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Receiver)
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append(ExportTraceServiceRequest.FromString(content))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def attributes(holder: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in holder.attributes}


def test_each_request_is_a_span_of_its_callers_trace(tmp_path: Path, random_artifact: Path, receiver: Receiver) -> None:
    variables = {
        "REVIEW_LM_MODEL_DIRECTORY": str(random_artifact),
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{receiver.server_port}",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=test",
    }
    with running_server(tmp_path, **variables) as server:
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "X-Request-ID": "scored"}
        server.client.post("/score", json={"texts": ["The secret soup."]}, headers=headers)
        server.client.post("/generate", json={"stream": True, "max_tokens": 5}, headers={"traceparent": "nonsense"})
        server.client.get("/no-such-page/secret")
        server.health()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == 0  # and the last spans were sent before
    scored, written, nothing = receiver.spans()
    assert (scored.name, written.name, nothing.name) == ("POST /score", "POST /generate", "GET")
    assert (scored.trace_id.hex(), scored.parent_span_id.hex()) == (TRACE, PARENT)
    assert written.trace_id.hex() != TRACE
    assert written.parent_span_id == b""
    told = attributes(scored)
    assert (told["http.route"], told["http.response.status_code"]) == ("/score", 200)
    assert (told["review_lm.request_id"], told["review_lm.tokens_in"] > 1) == ("scored", True)
    duration = (scored.end_time_unix_nano - scored.start_time_unix_nano) / 1e6
    assert 0 < told["review_lm.model_milliseconds"] <= duration
    assert 0 <= told["review_lm.queue_milliseconds"] <= duration
    assert attributes(written)["review_lm.model_milliseconds"] > 0  # known only at the end of a stream
    assert attributes(nothing)["http.response.status_code"] == 404
    about = attributes(receiver.requests[0].resource_spans[0].resource)
    assert (about["service.name"], about["deployment.environment"]) == ("review-lm", "test")
    assert "secret" not in str(receiver.requests)


def test_a_receiver_that_is_not_there_holds_nothing_up(tmp_path: Path, random_artifact: Path) -> None:
    variables = {
        "REVIEW_LM_MODEL_DIRECTORY": str(random_artifact),
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
    }
    with running_server(tmp_path, **variables) as server:
        server.post("/score", texts=["a"])
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == 0
        assert [row["status"] for row in server.log_rows()] == [200]

"""Headers that browsers heed: on every answer, whoever gives it; and which other sites' pages may ask."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.errors import StartupError
from app.settings import read_settings
from tests.app.raw_http import answer_to, head
from tests.app.support import API_KEY, Server, running_server

SITE = "https://shop.example"
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory, random_artifact: Path) -> Iterator[Server]:
    """A service with keys that pages of one other site may call."""
    variables = {
        "API_KEYS": API_KEY,
        "CORS_ORIGINS": f"{SITE}, http://localhost:3000",
        "MODEL_DIRECTORY": str(random_artifact),
    }
    directory = tmp_path_factory.mktemp("shared")
    with running_server(directory, **{f"REVIEW_LM_{name}": value for name, value in variables.items()}) as running:
        yield running


@pytest.mark.parametrize(
    ("method", "path", "status", "kept"),
    [
        ("GET", "/livez", 200, "no-store"),
        ("GET", "/health", 200, "no-store"),
        ("GET", "/model", 200, "no-store"),
        ("GET", "/metrics", 200, "no-store"),
        ("GET", "/openapi.json", 200, "no-store"),
        ("GET", "/no-such-page", 404, "no-store"),
        ("PUT", "/score", 405, "no-store"),
        ("POST", "/score", 422, "no-store"),
        ("GET", "/", 200, "no-cache"),
        ("GET", "/docs", 200, "no-cache"),
        ("GET", "/static/page.js", 200, "no-cache"),
        ("GET", "/static/swagger-ui/swagger-ui.css", 200, "no-cache"),
    ],
)
def test_every_answer_has_its_headers(server: Server, method: str, path: str, status: int, kept: str) -> None:
    answer = server.client.request(method, path)
    assert answer.status_code == status
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == kept
    assert "Server" not in answer.headers
    assert ("frame-ancestors 'none'" in answer.headers.get("Content-Security-Policy", "")) == (kept == "no-cache")


def test_a_stream_is_not_kept_either(server: Server) -> None:
    answer = server.client.post("/generate", json={"stream": True, "max_tokens": 2})
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_what_is_no_request_has_them_too(server: Server) -> None:
    answer = answer_to(server.port, b"hello\r\n\r\n")
    assert (answer.status, answer.headers["x-content-type-options"]) == (400, "nosniff")


def test_without_the_setting_no_other_site_may_ask(server: Server) -> None:
    for answer in (
        server.client.options("/score", headers={"Origin": SITE, **PREFLIGHT}),
        server.client.post("/score", json={"texts": ["a"]}, headers={"Origin": SITE}),
    ):
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_site_of_the_list_may_ask(shared_server: Server) -> None:
    asked = shared_server.client.options("/score", headers={"Origin": SITE, **PREFLIGHT})
    assert asked.status_code == 200  # without a key, which a browser does not send with this question
    assert asked.headers["Access-Control-Allow-Origin"] == SITE
    allowed = asked.headers["Access-Control-Allow-Headers"].lower()
    assert {"authorization", "content-type", "x-request-id"} <= {name.strip() for name in allowed.split(",")}
    headers = {"Origin": SITE, "Authorization": f"Bearer {API_KEY}"}
    answer = shared_server.client.post("/score", json={"texts": ["a"]}, headers=headers)
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, SITE)
    assert "x-request-id" in answer.headers["Access-Control-Expose-Headers"].lower()
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_a_site_of_the_list_can_read_why_it_was_refused(shared_server: Server) -> None:
    answer = shared_server.client.post("/score", json={"texts": ["a"]}, headers={"Origin": SITE})
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (401, SITE)


@pytest.mark.parametrize("origin", ["https://other.example", "http://shop.example", f"{SITE}.evil.example", "null"])
def test_another_site_may_not(shared_server: Server, origin: str) -> None:
    asked = shared_server.client.options("/score", headers={"Origin": origin, **PREFLIGHT})
    assert (asked.status_code, asked.headers.get("Access-Control-Allow-Origin")) == (400, None)
    headers = {"Origin": origin, "Authorization": f"Bearer {API_KEY}"}
    answer = shared_server.client.post("/score", json={"texts": ["a"]}, headers=headers)
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("origins", ["https://shop.example/", "shop.example", "ftp://shop.example", ","])
def test_what_is_no_origin_is_refused(monkeypatch: pytest.MonkeyPatch, origins: str) -> None:
    monkeypatch.setenv("REVIEW_LM_CORS_ORIGINS", origins)
    with pytest.raises(StartupError, match="REVIEW_LM_CORS_ORIGINS"):
        read_settings()


def test_an_options_request_is_a_request(server: Server) -> None:
    assert answer_to(server.port, head("OPTIONS", "/score", "Connection: close")).status == 405

"""The page's own files: open to everybody, guarded by their headers, in nobody's log, and nothing else behind them."""

import http.client
import re
from contextlib import closing
from pathlib import Path
from urllib.parse import urljoin

import pytest

from app.metrics_file import read_metrics
from tests.app.support import ROOT, Server

STATIC = ROOT / "app" / "static"
FILES = sorted(path.name for path in STATIC.iterdir())


def test_the_files_are_served_as_they_are(server: Server) -> None:
    assert {"index.html", "client.js", "page.js", "style.css", "icon.svg"} <= set(FILES)
    for name in FILES:
        assert server.client.get(f"/static/{name}").content == (STATIC / name).read_bytes()
    assert server.client.get("/").content == (STATIC / "index.html").read_bytes()
    types = {name: server.client.get(f"/static/{name}").headers["Content-Type"].partition(";")[0] for name in FILES}
    assert types["client.js"] in {"text/javascript", "application/javascript"}
    assert (types["style.css"], types["icon.svg"]) == ("text/css", "image/svg+xml")


@pytest.mark.parametrize("path", ["/", "/static/client.js", "/static/style.css", "/static/icon.svg"])
def test_headers_let_nothing_else_in(server: Server, path: str) -> None:
    headers = server.client.get(path).headers
    directives = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert directives == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-cache"


def test_the_page_refers_to_its_own_files_alone(server: Server) -> None:
    for name in FILES:
        text = (STATIC / name).read_text()
        addresses = re.findall(r"(?:https?:)?//[\w.-]+\.\w{2,}[^\s\"']*", re.sub(r"//\s", "", text))
        assert set(addresses) <= {"http://www.w3.org/2000/svg"}, name  # a name, which nobody fetches
        for path in re.findall(r'(?:src|href)="([^"#]+)"', text if name == "index.html" else ""):
            assert server.client.get(urljoin("/", path)).status_code == 200, path


def test_what_is_known_already_is_not_sent_again(server: Server) -> None:
    tag = server.client.get("/static/page.js").headers["ETag"]
    again = server.client.get("/static/page.js", headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")


def test_a_file_that_is_not_there(server: Server) -> None:
    response = server.client.get("/static/no-such-file.js")
    assert (response.status_code, response.json()["type"]) == (404, "/problems/not-found")


def test_the_page_needs_no_key_but_nothing_hides_behind_it(limited_server: Server) -> None:
    def status(path: str) -> int:  # httpx would put the dots right itself
        with closing(http.client.HTTPConnection("127.0.0.1", limited_server.port, timeout=60)) as connection:
            connection.request("GET", path)
            return connection.getresponse().status

    for name in ("", *(f"static/{name}" for name in FILES)):
        assert status(f"/{name}") == 200, name
    for path in (
        "/static/../model",
        "/static/%2e%2e/model",
        "/static//model",
        "/static/..%2fmodel",
        "/static/../main.py",
    ):
        assert status(path) == 404, path
    for path in ("/staticx/page.js", "/model", "/static"):
        assert status(path) == 401, path


def test_pages_are_not_logged(server: Server) -> None:
    ids = [f"a-page-{place}" for place, _ in enumerate(["", *FILES])]
    for request_id, path in zip(ids, ["/", *(f"/static/{name}" for name in FILES)], strict=True):
        assert server.client.get(path, headers={"X-Request-ID": request_id}).headers["X-Request-ID"] == request_id
    server.client.post("/score", json={"texts": ["ok"]}, headers={"X-Request-ID": "after-the-pages"})
    server.logged("after-the-pages")
    assert not server.log_rows("request_id LIKE 'a-page-%'")


@pytest.mark.parametrize(
    ("content", "known"),
    [
        (None, None),
        ("", None),
        ("{", None),
        ("[]", None),
        ('{"a": 1}', {"a": 1}),
        ('{"a": NaN, "b": -Infinity}', {"a": None, "b": None}),
    ],
)
def test_figures_are_read_where_there_are_any(tmp_path: Path, content: str | None, known: object) -> None:
    if content is not None:
        (tmp_path / "metrics.json").write_text(content)
    assert read_metrics(tmp_path) == known


def test_model_shows_the_figures(server: Server) -> None:
    assert server.client.get("/model").json()["metrics"] == read_metrics(ROOT / "model")

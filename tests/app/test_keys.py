"""Keys: from the variable and from a file, as themselves or as sums; and what answers without any."""

import hashlib
import http.client
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Mount

from app.errors import StartupError
from app.keys import Keys, read_keys, sum_of
from app.main import create_app
from app.settings import Settings, read_settings
from tests.app.support import ARTIFACT, Server, running_server

OPEN = {"/", "/livez", "/readyz", "/health"}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
IN_FILE, HASHED, IN_VARIABLE = "key-of-the-file", "key-that-is-hashed", "key-of-the-variable"


@pytest.fixture(scope="module")
def locked_server(tmp_path_factory: pytest.TempPathFactory, random_artifact: Path) -> Iterator[Server]:
    """A service with a file of keys, and one more in the variable."""
    directory = tmp_path_factory.mktemp("locked")
    digest = hashlib.sha256(HASHED.encode()).hexdigest()
    (directory / "keys").write_text(f"# Who may ask\n\n{IN_FILE}   # Alice\n  sha256:{digest.upper()}\n")
    variables = {
        "API_KEYS": IN_VARIABLE,
        "API_KEYS_FILE": str(directory / "keys"),
        "MODEL_DIRECTORY": str(random_artifact),
    }
    with running_server(directory, **{f"REVIEW_LM_{name}": value for name, value in variables.items()}) as running:
        yield running


@pytest.mark.parametrize(
    ("key", "status"),
    [
        (IN_FILE, 200),
        (HASHED, 200),
        (IN_VARIABLE, 200),
        ("sha256:" + hashlib.sha256(HASHED.encode()).hexdigest(), 401),
        (hashlib.sha256(HASHED.encode()).hexdigest(), 401),
        ("Alice", 401),
        ("# Who may ask", 401),
    ],
)
def test_keys_of_the_file_and_of_the_variable_open(locked_server: Server, key: str, status: int) -> None:
    answer = locked_server.client.get("/model", headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == status
    for known in (IN_FILE, HASHED, IN_VARIABLE):
        assert known not in locked_server.output


def _paths(routes: Any, before: str = "") -> Iterator[str]:
    for route in routes:
        if isinstance(route, Mount):
            yield before + route.path + "/no-such-file"
            yield from _paths(route.routes, before + route.path)
        else:
            yield before + route.path


def test_every_route_but_the_open_ones_asks_for_a_key(locked_server: Server, tmp_path: Path) -> None:
    app = create_app(Settings(model_directory=ARTIFACT, database_url=f"sqlite:///{tmp_path}/log.sqlite3"))
    app.state.serving.log.close()
    paths = {*_paths(app.routes), *app.openapi()["paths"]}
    assert {"/next-word", "/generate", "/score", "/model", "/metrics", "/docs", "/openapi.json"} <= paths
    assert {"/v1/completions", "/v1/models", "/v1/models/{model}"} <= paths
    files = {path for path in paths if path.startswith("/static/")}
    assert files == {"/static/no-such-file", "/static/swagger-ui/no-such-file"}
    answered = {(method, path): _status(locked_server, method, path) for path in paths for method in METHODS}
    opened = {path for (_, path), status in answered.items() if status != 401}
    assert opened == OPEN | files
    assert {path for (method, path), status in answered.items() if method == "GET" and status == 200} == OPEN


@pytest.mark.parametrize(
    "path",
    [
        *("//model", "/model/", "/Model", "/%6dodel", "/livez/../model", "/livez/model", "/livez%2f..%2fmodel"),
        *("/livez;/model", "/livez/", "/healthy", "/health/", "/metrics?/livez", "/openapi.json#/livez", "/docs/"),
        *("/redoc", "/docs/oauth2-redirect", "/static", "//static/page.js", "/.%2fstatic%2fpage.js", "/no-such", "*"),
    ],
)
def test_no_spelling_of_a_path_opens_it(locked_server: Server, path: str) -> None:
    assert _status(locked_server, "GET", path) == 401


def _status(server: Server, method: str, path: str) -> int:
    """Without a key, and without a client that puts the path right."""
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
        connection.request(method, path)
        return connection.getresponse().status


# ---- what the service keeps of them ----


def test_settings_keep_sums_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REVIEW_LM_API_KEYS", f"{IN_VARIABLE}, sha256:{'0' * 64}")
    settings = read_settings()
    assert settings.api_keys == (hashlib.sha256(IN_VARIABLE.encode()).digest(), bytes(32))
    assert "REVIEW_LM_API_KEYS" not in os.environ
    assert IN_VARIABLE not in f"{settings!r} {settings.model_dump()}"
    assert Keys(settings.api_keys).open_to(f"Bearer {IN_VARIABLE}".encode())


@pytest.mark.parametrize("value", [",", " , ", "sha256:abc", "sha256:" + "g" * 64, "two words"])
def test_a_variable_that_holds_no_key_opens_nothing(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("REVIEW_LM_API_KEYS", value)
    with pytest.raises(StartupError, match="REVIEW_LM_API_KEYS") as refusal:
        read_settings()
    assert value.strip(", ") not in str(refusal.value) or value.strip(", ") == ""


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no key"),
        (b"# a comment alone\n\n   \n", "holds no key"),
        (b"good-key\nsha256:123\n", "line 2"),
        (b"good-key\nwith white-space\n", "line 2"),
        (b"\xff\xfe", "not UTF-8"),
        (None, "cannot be read"),
    ],
)
def test_a_file_without_keys_is_refused(tmp_path: Path, content: bytes | None, said: str) -> None:
    if content is not None:
        (tmp_path / "keys").write_bytes(content)
    with pytest.raises(StartupError, match=said) as refusal:
        read_keys((), tmp_path / "keys")
    assert "REVIEW_LM_API_KEYS_FILE" in str(refusal.value)
    assert "white-space" not in str(refusal.value)


def test_keys_are_compared_as_a_whole() -> None:
    keys = Keys([sum_of("first-key"), sum_of("second-key"), sum_of("clé")])
    for given in (b"Bearer first-key", b"bearer second-key", b"BEARER  first-key ", "Bearer clé".encode()):
        assert keys.open_to(given)
    for given in (b"", b"Bearer", b"Bearer ", b"first-key", b"Basic first-key", b"Bearer first-ke", b"Bearer cl\xe9"):
        assert not keys.open_to(given)
    assert keys
    assert not Keys()

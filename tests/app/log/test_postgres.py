"""PostgreSQL by DATABASE_URL alone: stopped under load, started again, cut off in the middle of a commit."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.errors import StartupError
from benchmarks.postgres import Postgres, rows_of
from benchmarks.restart import restarted
from tests.app.log.postgres import wait_for_rows
from tests.app.log.support import entry, log_of
from tests.app.support import eventually, running_server

STATUSES = "SELECT request_id, status FROM requests ORDER BY id"


class Proxy:
    """A connection to PostgreSQL that can be cut when the server has committed and the client does not know yet."""

    def __init__(self, listener: socket.socket, port: int) -> None:
        self._listener, self._target = listener, port
        self.cuts_to_make = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._target)) as server:
            threading.Thread(target=_copy, args=(server, client), daemon=True).start()
            while data := _receive(client):
                if b"COMMIT" in data and self.cuts_to_make:
                    self.cuts_to_make -= 1
                    client.shutdown(socket.SHUT_RDWR)  # the answer has nowhere to go
                    server.sendall(data)
                    server.settimeout(60)
                    server.shutdown(socket.SHUT_WR)
                    return
                server.sendall(data)
            server.shutdown(socket.SHUT_RDWR)


def _copy(source: socket.socket, target: socket.socket) -> None:
    while data := _receive(source):
        try:
            target.sendall(data)
        except OSError:
            continue  # read on, as a server whose answer is not taken may not commit
    try:
        target.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


def _receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except OSError:
        return b""


@contextmanager
def proxied(server: Postgres) -> Iterator[tuple[Proxy, int]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield Proxy(listener, server.port), listener.getsockname()[1]


def test_a_commit_of_which_the_client_never_hears_is_not_made_twice(postgres: Postgres) -> None:
    url = postgres.create("unheard")
    with proxied(postgres) as (proxy, port):
        log = log_of(url.replace(str(postgres.port), str(port)))
        proxy.cuts_to_make = 2
        for place in range(5):
            log.record(entry(str(place)))
        log.start()
        eventually(lambda: log.written == 5)
        assert proxy.cuts_to_make == 0
        assert log.error is None
        log.close()
    assert rows_of(url, STATUSES) == [(str(place), 200) for place in range(5)]


def test_a_database_that_knows_no_encoding_keeps_texts_as_utf_8(postgres: Postgres) -> None:
    url = postgres.create("bytes", encoding="SQL_ASCII")
    log = log_of(url)
    log.start()
    log.record(entry("crème brûlée"))
    eventually(lambda: log.written == 1)
    log.close()
    assert rows_of(f"{url}?client_encoding=utf8", STATUSES) == [("crème brûlée", 200)]


@pytest.mark.parametrize("durability", ["background", "commit"])
def test_a_postgres_that_goes_away_and_comes_back_has_every_row_once(
    postgres: Postgres, tmp_path: Path, random_artifact: Path, durability: str
) -> None:
    url = postgres.create(durability)
    variables = {
        "DATABASE_URL": url,
        "REVIEW_LM_MODEL_DIRECTORY": str(random_artifact),
        "REVIEW_LM_LOG_DURABILITY": durability,
        "REVIEW_LM_DEADLINE_SECONDS": "1",
    }
    answered: list[tuple[str, int]] = []
    with running_server(tmp_path, **variables) as server:

        def ask(request_id: str) -> None:
            body = {"texts": ["I loved it."]}
            answer = server.client.post("/score", json=body, headers={"X-Request-ID": request_id})
            answered.append((request_id, answer.status_code))

        for place in range(20):
            ask(f"before-{place}")
        postgres.stop()
        try:
            for place in range(3):
                ask(f"without-{place}")
            eventually(lambda: server.health()["status"] == "degraded")
            assert server.health()["ready"] is True
        finally:
            postgres.start()
        eventually(lambda: server.health()["status"] == "ok")
        for place in range(20):
            ask(f"after-{place}")
        wait_for_rows(url, 43)
        assert "Traceback" not in server.output
    without = 200 if durability == "background" else 503
    assert {status for request_id, status in answered if "without" in request_id} == {without}
    assert {status for request_id, status in answered if "without" not in request_id} == {200}
    assert sorted(rows_of(url, STATUSES)) == sorted(answered)


def test_two_processes_lose_and_double_no_row_while_postgres_is_restarted(
    postgres: Postgres, random_artifact: Path
) -> None:
    seen = restarted(postgres, requests=600, model_directory=str(random_artifact))
    assert seen.answered == 600
    assert seen.while_away > 0
    assert (seen.missing, seen.doubled, seen.dropped, seen.strangers) == (0, 0, 0, 0)


def test_a_postgres_that_is_not_there_is_refused_with_advice(postgres: Postgres) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(StartupError, match="DATABASE_URL") as refusal:
        log_of(f"postgresql://somebody:secret@127.0.0.1:{port}/log")
    assert "secret" not in str(refusal.value)
    with pytest.raises(StartupError, match='database "nowhere" does not exist'):
        log_of(postgres.url("nowhere"))


def test_a_text_that_postgres_could_not_take_does_not_hold_up_the_log(postgres: Postgres) -> None:
    url = postgres.create("odd-texts")
    log = log_of(url)
    log.start()
    log.record(entry("odd", body=b"\x00 \xff \xed\xa0\x80 \xf0\x9f\x98\x80"))
    log.record(entry("next"))
    log.close()
    assert [row[0] for row in rows_of(url, STATUSES)] == ["odd", "next"]
    assert rows_of(url, "SELECT request_body FROM requests WHERE request_id = 'odd'") == [
        ("\ufffd \ufffd \ufffd\ufffd\ufffd 😀",)
    ]

"""HTTP byte by byte, as no well-behaved client speaks it."""

import json
import socket
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    """By their names in small letters."""
    body: bytes
    rest: bytes
    """What came behind the answer, until the server closed or fell silent."""

    def json(self) -> Any:
        return json.loads(self.body)


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=60)


def head(method: str, path: str, *headers: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()


def posted(path: str, body: bytes, *headers: str) -> bytes:
    about = (f"Content-Length: {len(body)}", "Content-Type: application/json")
    return head("POST", path, *about, *headers) + body


def sent(connection: socket.socket, parts: Iterable[bytes]) -> int:
    """Sends the parts until the server has closed; returns how many bytes it took."""
    count = 0
    for part in parts:
        try:
            connection.sendall(part)
        except (ConnectionResetError, BrokenPipeError):
            break
        count += len(part)
    return count


def received(connection: socket.socket) -> bytes:
    """All that comes until the server closes."""
    content = b""
    try:
        while piece := connection.recv(65536):
            content += piece
    except ConnectionResetError:
        pass
    return content


def parsed(content: bytes) -> Answer:
    lines, _, rest = content.partition(b"\r\n\r\n")
    status, *fields = lines.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
    length = int(headers.get("content-length", 0))
    return Answer(int(status.split()[1]), headers, rest[:length], rest[length:])


def next_answer(connection: socket.socket) -> Answer:
    """The next answer on a connection that may stay open; it must say its length."""
    content = b""
    while b"\r\n\r\n" not in content or len((answer := parsed(content)).body) < int(answer.headers["content-length"]):
        piece = connection.recv(65536)
        assert piece, content
        content += piece
    return answer


def answer_to(port: int, *parts: bytes) -> Answer:
    """The first answer on a new connection that the server closes."""
    with closing(connect(port)) as connection:
        sent(connection, parts)
        return parsed(received(connection))

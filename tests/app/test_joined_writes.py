"""The head of an answer and its body, over a real pair of sockets: what is there to be read after each step."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.joined_writes import JoinedWrites

HEAD, BODY = b"HTTP/1.1 200 OK\r\n\r\n", b"body"


@asynccontextmanager
async def joined() -> AsyncIterator[tuple[JoinedWrites, socket.socket]]:
    """A transport, and the other end of its connection, which never waits."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
    with theirs:
        yield JoinedWrites(transport, loop), theirs
        transport.abort()


def there(end: socket.socket) -> bytes:
    try:
        return end.recv(1000)
    except BlockingIOError:
        return b""


def test_a_head_leaves_with_the_body_that_follows() -> None:
    async def scenario() -> None:
        async with joined() as (transport, end):
            transport.write(HEAD)
            assert there(end) == b""
            transport.write(BODY)
            assert there(end) == HEAD + BODY
            transport.write(BODY)
            assert there(end) == BODY

    asyncio.run(scenario())


def test_a_head_that_no_body_follows_leaves_in_the_same_turn() -> None:
    async def scenario() -> None:
        async with joined() as (transport, end):
            transport.write(HEAD)
            await asyncio.sleep(0)
            assert there(end) == HEAD
            transport.write(BODY)
            assert there(end) == BODY

    asyncio.run(scenario())


def test_an_empty_body_sends_its_head() -> None:
    async def scenario() -> None:
        async with joined() as (transport, end):
            transport.write(HEAD)
            transport.write(b"")
            assert there(end) == HEAD

    asyncio.run(scenario())


def test_whoever_closes_has_sent_the_head() -> None:
    async def scenario() -> None:
        for close in (JoinedWrites.close, JoinedWrites.write_eof):
            async with joined() as (transport, end):
                transport.write(HEAD)
                close(transport)
                assert there(end) == HEAD

    asyncio.run(scenario())


def test_nothing_is_written_once_the_connection_is_cut() -> None:
    async def scenario() -> None:
        async with joined() as (transport, end):
            transport.write(HEAD)
            transport.abort()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert there(end) == b""

    asyncio.run(scenario())

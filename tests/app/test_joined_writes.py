"""What is written in a turn of the event loop, over a real pair of sockets: what there is to read after each step."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.joined_writes import MOST_BYTES, MOST_SECONDS, JoinedWrites, Turn

HEAD, BODY = b"HTTP/1.1 200 OK\r\n\r\n", b"body"
LARGE = MOST_BYTES * b"."


@asynccontextmanager
async def joined(turn: Turn | None = None) -> AsyncIterator[tuple[JoinedWrites, socket.socket]]:
    """A transport, and the other end of its connection, which never waits."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
    with theirs:
        yield JoinedWrites(transport, turn or Turn()), theirs
        transport.abort()


def there(end: socket.socket) -> bytes:
    try:
        return end.recv(2 * MOST_BYTES)
    except BlockingIOError:
        return b""


def test_what_is_written_in_a_turn_leaves_in_the_next_one_together() -> None:
    async def scenario() -> None:
        async with joined() as (transport, end):
            for _ in range(2):
                transport.write(HEAD)
                transport.write(BODY)
                assert there(end) == b""
                await asyncio.sleep(0)
                assert there(end) == HEAD + BODY

    asyncio.run(scenario())


def test_a_head_that_no_body_follows_leaves_by_itself() -> None:
    async def scenario() -> None:
        async with joined() as (transport, end):
            transport.write(HEAD)
            await asyncio.sleep(0)
            assert there(end) == HEAD
            transport.write(BODY)
            await asyncio.sleep(0)
            assert there(end) == BODY

    asyncio.run(scenario())


def test_answers_of_one_turn_leave_when_the_last_of_them_is_written() -> None:
    async def scenario() -> None:
        turn = Turn()
        async with joined(turn) as (first, end), joined(turn) as (second, other_end):

            async def answer(transport: JoinedWrites) -> None:
                transport.write(BODY)
                assert there(end) == there(other_end) == b""

            await asyncio.gather(answer(first), answer(second))
            await asyncio.sleep(0)
            assert there(end) == there(other_end) == BODY

    asyncio.run(scenario())


def test_the_first_answers_of_a_long_turn_do_not_wait_for_the_last() -> None:
    async def scenario() -> None:
        turn = Turn()
        async with joined(turn) as (first, end), joined(turn) as (second, other_end):
            for _ in range(2):
                first.write(HEAD)
                first.write(BODY)
                late = time.monotonic() + 2 * MOST_SECONDS
                while time.monotonic() < late:
                    assert there(end) == b""
                second.write(HEAD)
                assert there(end) == HEAD + BODY
                assert there(other_end) == b""
                second.write(BODY)
                await asyncio.sleep(0)
                assert there(other_end) == HEAD + BODY

    asyncio.run(scenario())


def test_one_that_is_cut_takes_no_others_answer_along() -> None:
    async def scenario() -> None:
        turn = Turn()
        async with joined(turn) as (cut, end), joined(turn) as (other, other_end):
            cut.write(BODY)
            other.write(BODY)
            cut.abort()
            await asyncio.sleep(0)
            assert (there(end), there(other_end)) == (b"", BODY)

    asyncio.run(scenario())


def test_one_that_cannot_be_written_to_takes_no_others_answer_along() -> None:
    async def scenario() -> None:
        told: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(str(context["exception"])))
        turn = Turn()
        async with joined(turn) as (ended, end), joined(turn) as (other, other_end):
            ended.write_eof()
            ended.write(BODY)
            other.write(BODY)
            await asyncio.sleep(0)
            assert (there(end), there(other_end)) == (b"", BODY)
        assert len(told) == 1
        assert "write_eof" in told[0]

    asyncio.run(scenario())


def test_what_is_large_leaves_at_once_behind_what_was_kept() -> None:
    async def scenario() -> None:
        async with joined() as (transport, end):
            transport.write(HEAD)
            transport.write(LARGE)
            assert there(end) == HEAD + LARGE
            transport.write(BODY)
            await asyncio.sleep(0)
            assert there(end) == BODY

    asyncio.run(scenario())


def test_whoever_writes_without_end_is_asked_to_pause() -> None:
    class Writer(asyncio.Protocol):
        paused = False

        def pause_writing(self) -> None:
            self.paused = True

    async def scenario() -> None:
        ours, theirs = socket.socketpair()
        loop = asyncio.get_running_loop()
        transport, writer = await loop.create_connection(Writer, sock=ours)
        with theirs:
            kept = JoinedWrites(transport, Turn())
            for _ in range(10_000):
                kept.write(1000 * b".")  # in a single turn
                if writer.paused:
                    break
            assert writer.paused
            transport.abort()

    asyncio.run(scenario())


def test_whoever_closes_has_sent_what_was_kept() -> None:
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

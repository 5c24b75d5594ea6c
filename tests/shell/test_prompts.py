"""Prompts from a pipe, a file, a socket or a bare terminal."""

import asyncio
import io
import os
import pty
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.codec import encode
from pipeline.core.events import (
    InputEnded,
    PromptRejected,
    PromptSubmitted,
    QuestionAnswered,
    RequestSubmitted,
)
from pipeline.shell.prompts import PipeReader, PromptEvent, stdin_fd, to_prompt

END = InputEnded()
EMPTY = PromptRejected(reason="found an empty prompt, expected some text")


def submitted(text: str, *, repaired: bool = False) -> PromptSubmitted:
    return PromptSubmitted(text=text, repaired=repaired)


def too_long(size: str, limit: str) -> PromptRejected:
    return PromptRejected(
        reason=f"found a prompt of {size} characters, expected at most {limit} "
        "(--max-prompt-chars); it was skipped: split it, or let a tool read the file"
    )


class Pipe:
    """A pipe with its writing end, and a reader on the other."""

    def __init__(self, max_chars: int = 100) -> None:
        self.out, self.into = os.pipe()
        self.reader = PipeReader(self.out, max_chars=max_chars)
        self._is_open = True

    def write(self, data: bytes) -> None:
        assert os.write(self.into, data) == len(data)

    def end(self) -> None:
        if self._is_open:
            os.close(self.into)
        self._is_open = False

    async def read(self) -> PromptEvent:
        async with asyncio.timeout(10):
            return await self.reader.read()


@pytest.fixture
async def pipe() -> AsyncIterator[Pipe]:
    made = Pipe()
    yield made
    made.end()
    os.close(made.out)


async def read_everything(reader: PipeReader) -> list[PromptEvent]:
    events: list[PromptEvent] = []
    async with asyncio.timeout(10):
        while not events or events[-1] != END:
            events.append(await reader.read())
    return events[:-1]


LINES: list[tuple[bytes, list[PromptEvent]]] = [
    (b"", []),
    (b"one\ntwo\n", [submitted("one"), submitted("two")]),
    (b"one\r\ntwo", [submitted("one"), submitted("two")]),
    (b"one\r", [submitted("one")]),
    (b"\n \t\nx\n", [EMPTY, EMPTY, submitted("x")]),
    (b"  kept  \n", [submitted("  kept  ")]),
    ("grüße 🎉\n".encode(), [submitted("grüße 🎉")]),
    (b"\xef\xbb\xbfbom\n\xef\xbb\xbfkept\n", [submitted("bom"), submitted("\ufeffkept")]),
    (b"a\xffb\nfine\n", [submitted("a\ufffdb", repaired=True), submitted("fine")]),
    ("\ufffd\n".encode(), [submitted("\ufffd")]),
    (b"\xed\xb3\xbf\n", [submitted("\ufffd" * 3, repaired=True)]),
    (b"12345678\n123456789\nok\n", [submitted("12345678"), too_long("9", "8"), submitted("ok")]),
    (b"123456789", [too_long("9", "8")]),
    ("ü".encode() * 8 + b"\n", [submitted("ü" * 8)]),
    ("🎉".encode() * 5000 + b"\nok\n", [too_long("5,000", "8"), submitted("ok")]),
    (b"x" * 200_001, [too_long("200,001", "8")]),
    (b"x" * 200_000 + b"\r\n\nok", [too_long("200,000", "8"), EMPTY, submitted("ok")]),
]


@pytest.mark.parametrize(("data", "events"), LINES)
@pytest.mark.parametrize("kind", ["pipe", "file", "socket"])
async def test_each_line_is_one_event(
    kind: str, data: bytes, events: list[PromptEvent], tmp_path: Path
) -> None:
    (tmp_path / "input").write_bytes(data)
    with (tmp_path / "input").open("rb") as file:
        if kind == "file":
            assert await read_everything(PipeReader(file.fileno(), max_chars=8)) == events
            return
        if kind == "socket":
            ours, theirs = socket.socketpair()
            with ours, theirs:
                writing = asyncio.create_task(asyncio.to_thread(send, theirs, data))
                assert await read_everything(PipeReader(ours.fileno(), max_chars=8)) == events
                await writing
            return
    out, into = os.pipe()
    writing = asyncio.create_task(asyncio.to_thread(write, into, data))
    assert await read_everything(PipeReader(out, max_chars=8)) == events
    await writing
    os.close(out)


def send(end: socket.socket, data: bytes) -> None:
    end.sendall(data)
    end.shutdown(socket.SHUT_WR)


def write(fd: int, data: bytes) -> None:
    with open(fd, "wb", buffering=0) as file:
        file.write(data)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n\r\ufeff"), max_size=9)),
    st.integers(1, 7),
)
def test_cutting_the_bytes_anywhere_changes_nothing(lines: list[str], size: int) -> None:
    """Lines written byte by byte, or in any other pieces, come out the same."""
    data = "\n".join(lines).encode()

    async def scenario() -> list[PromptEvent]:
        out, into = os.pipe()
        reading = asyncio.create_task(read_everything(PipeReader(out, max_chars=8)))
        for start in range(0, len(data), size):
            os.write(into, data[start : start + size])
            await asyncio.sleep(0)
        os.close(into)
        events = await reading
        os.close(out)
        return events

    whole = [
        to_prompt(line, max_chars=8) for line in (lines[:-1] if lines and not lines[-1] else lines)
    ]
    assert asyncio.run(scenario()) == whole


async def test_a_line_is_delivered_while_the_pipe_stays_open(pipe: Pipe) -> None:
    reading = asyncio.create_task(pipe.read())
    await asyncio.sleep(0)
    assert not reading.done()
    pipe.write(b"one\ntw")
    assert await reading == submitted("one")
    pipe.write(b"o\n")
    assert await pipe.read() == submitted("two")


async def test_a_cancelled_read_loses_nothing(pipe: Pipe) -> None:
    for piece in (b"on", b"e ", b"line"):
        pipe.write(piece)
        reading = asyncio.create_task(pipe.read())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    pipe.write(b"\n")
    assert await pipe.read() == submitted("one line")


async def test_a_read_cancelled_as_its_line_arrives_leaves_the_line(pipe: Pipe) -> None:
    """Cancelled at every single step of the loop, the line comes out of the next read."""
    for steps in range(12):
        reading = asyncio.create_task(pipe.read())
        await asyncio.sleep(0)
        pipe.write(b"line\n")
        for _ in range(steps):
            await asyncio.sleep(0)
        reading.cancel()
        try:
            event = await reading
        except asyncio.CancelledError:
            event = await pipe.read()
        assert event == submitted("line")


async def test_a_cancelled_read_of_a_file_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "input").write_bytes(b"one\ntwo\n")
    for steps in range(8):
        with (tmp_path / "input").open("rb") as file:
            reader = PipeReader(file.fileno())
            reading = asyncio.create_task(reader.read())
            for _ in range(steps):
                await asyncio.sleep(0)
            reading.cancel()
            done = await asyncio.gather(reading, return_exceptions=True)
            events = [event for event in done if not isinstance(event, BaseException)]
            assert [*events, *await read_everything(reader)] == [
                submitted("one"),
                submitted("two"),
            ]


async def test_the_pipe_is_not_drained_while_nobody_reads(pipe: Pipe) -> None:
    pipe.write(b"one\n" + b"x" * 60_000)
    assert await pipe.read() == submitted("one")
    os.set_blocking(pipe.into, False)
    with pytest.raises(BlockingIOError):
        fill(pipe.into)
    assert os.get_blocking(pipe.out)


def fill(fd: int) -> None:
    while True:
        os.write(fd, b"y" * 4096)


async def test_the_loop_watches_the_pipe_only_during_a_read(pipe: Pipe) -> None:
    loop = asyncio.get_running_loop()
    reading = asyncio.create_task(pipe.read())
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert not loop.remove_reader(pipe.out)
    pipe.write(b"one\n")
    await pipe.read()
    assert not loop.remove_reader(pipe.out)


async def test_two_reads_at_once_are_refused(pipe: Pipe) -> None:
    reading = asyncio.create_task(pipe.read())
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="one read at a time"):
        await pipe.read()
    pipe.write(b"one\n")
    assert await reading == submitted("one")


async def test_after_the_end_there_is_only_the_end(pipe: Pipe) -> None:
    pipe.end()
    assert [await pipe.read() for _ in range(3)] == [END, END, END]


async def test_memory_is_bounded_while_a_line_is_too_long() -> None:
    pipe = Pipe(max_chars=10)
    reading = asyncio.create_task(pipe.read())
    for _ in range(20):
        await asyncio.to_thread(os.write, pipe.into, b"x" * 60_000)
    buffer: bytearray = pipe.reader._buffer  # pyright: ignore[reportPrivateUsage]
    assert len(buffer) <= 2 * 64 * 1024
    pipe.write(b"\n")
    assert await reading == too_long("1,200,000", "10")
    pipe.end()
    os.close(pipe.out)


async def test_a_terminal_without_editing_is_read_by_lines() -> None:
    ours, theirs = pty.openpty()
    reader = PipeReader(theirs)
    os.write(ours, b"hello\n\x04")
    assert await read_everything(reader) == [submitted("hello")]
    os.close(ours)
    os.close(theirs)


async def test_an_input_that_is_nothing_has_ended() -> None:
    assert await PipeReader(None).read() == END
    closed, other = os.pipe()
    os.close(closed)
    os.close(other)
    assert await PipeReader(closed).read() == END
    null = os.open(os.devnull, os.O_RDONLY)
    assert await PipeReader(null).read() == END
    os.close(null)


async def test_an_input_that_cannot_be_read_is_told_once(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    reader = PipeReader(fd)
    reason = "cannot read the standard input: Is a directory"
    assert await read_everything(reader) == [PromptRejected(reason=reason)]
    os.close(fd)


async def test_a_loop_that_cannot_watch_reads_on_a_thread(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(asyncio.get_running_loop(), "add_reader", refuse)
    pipe.write(b"one\n")
    pipe.end()
    assert await read_everything(pipe.reader) == [submitted("one")]


# --- all at once ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "event"),
    [
        (b"", END),
        (b"one\ntwo\n", submitted("one\ntwo")),
        (b"\xef\xbb\xbfa\xff\r\n", submitted("a\ufffd", repaired=True)),
        (b"\n\n", EMPTY),
        (b"/prompts\n", submitted("/prompts")),
        (b"/read a b\nmore", submitted("/read a b\nmore")),
        (b"x\n" * 51, too_long("101", "100")),
        (b"x" * 501, too_long("501", "100")),
    ],
)
async def test_all_that_is_left_is_one_text(data: bytes, event: PromptEvent, pipe: Pipe) -> None:
    pipe.write(data)
    pipe.end()
    async with asyncio.timeout(10):
        assert await pipe.reader.read_all(patience=5) == event
    assert await pipe.read() == END


async def test_a_pipe_that_nobody_writes_to_is_given_up(pipe: Pipe) -> None:
    with pytest.raises(TimeoutError):
        await pipe.reader.read_all(patience=0.01)
    pipe.write(b"late\n")
    assert await pipe.read() == submitted("late")


async def test_once_something_came_the_end_is_waited_for(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Patience is for the first byte; after it the timeout is None."""
    asked: list[float | None] = []
    again = asyncio.Event()
    real = asyncio.timeout

    def timeout(delay: float | None) -> asyncio.Timeout:
        if asked:
            again.set()
        asked.append(delay)
        return real(delay)

    monkeypatch.setattr(asyncio, "timeout", timeout)
    pipe.write(b"a")
    reading = asyncio.create_task(pipe.reader.read_all(patience=5))
    await again.wait()
    pipe.write(b"b")
    pipe.end()
    assert await reading == submitted("ab")
    assert asked == [5, None, None]


# --- the parts ------------------------------------------------------------------------------


def test_bytes_that_the_system_smuggled_in_are_replaced() -> None:
    event = to_prompt("a\udcffb", max_chars=9)
    assert event == submitted("a\ufffdb", repaired=True)
    encode(event)


def test_a_surrogate_of_any_kind_is_replaced() -> None:
    event = to_prompt("a\ud800b", max_chars=9)
    assert isinstance(event, PromptSubmitted)
    assert event.repaired
    encode(event)


def test_standard_input_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert stdin_fd() is None
    monkeypatch.setattr(sys, "stdin", io.StringIO("x"))
    assert stdin_fd() is None
    with tempfile.TemporaryFile("r") as file:
        monkeypatch.setattr(sys, "stdin", file)
        assert stdin_fd() == file.fileno()
    assert stdin_fd() is None


# --- commands -----------------------------------------------------------------------------------


async def test_a_line_may_be_a_command_as_in_a_chat(pipe: Pipe) -> None:
    pipe.write(b"/resources\n/read a b\n/unknown\n")
    pipe.end()
    assert await read_everything(pipe.reader) == [
        RequestSubmitted(method="resources/list"),
        PromptRejected(reason="found '/read a b', expected /read URI"),
        submitted("/unknown"),
    ]


async def test_nobody_answers_questions_at_a_pipe(pipe: Pipe) -> None:
    pipe.write(b"y\n")
    assert await pipe.reader.ask("q1") == QuestionAnswered(question="q1", action="cancel")
    assert await pipe.read() == submitted("y")

"""Writing to standard streams: real pipes, devices and terminals."""

import asyncio
import fcntl
import io
import os
import threading
import tty
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import pytest

from sinks.base import SinkError
from sinks.writer import OffLoopWriter, Piece, Stream

SMALLEST_PIPE = 4096


class Pipe:
    """A pipe that holds one page, so that it is full soon; `stream` is its writing end."""

    def __init__(self, encoding: str = "utf-8") -> None:
        self.reader, writer = os.pipe()
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, SMALLEST_PIPE)
        self.file = open(writer, "w", encoding=encoding)  # noqa: PTH123, SIM115  closed below
        self.stream = Stream(self.file, "standard output")
        self.is_reader_open = True

    def read(self) -> bytes:
        """Everything, once the writing end is closed."""
        self.file.close()
        with open(self.reader, "rb", closefd=False) as file:
            return file.read()

    async def read_some(self) -> bytes:
        return await asyncio.to_thread(os.read, self.reader, 1 << 20)

    def close_reader(self) -> None:
        if self.is_reader_open:
            os.close(self.reader)
        self.is_reader_open = False

    def close(self) -> None:
        self.close_reader()
        with suppress(OSError):
            self.file.close()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


async def test_pieces_are_written_in_order_and_neighbours_in_one_write(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Pipe()
    writes: list[bytes] = []
    write = os.write

    def spy(fd: int, data: bytes) -> int:
        if threading.current_thread().name == "rxmcp-writer":
            writes.append(bytes(data))
        return write(fd, data)

    monkeypatch.setattr(os, "write", spy)
    out, err = pipe.stream, other.stream
    pieces = [Piece(out, "a"), Piece(out, b"b"), Piece(err, "c"), Piece(out, "ü")]
    await OffLoopWriter().write(pieces)
    assert writes == [b"ab", b"c", "ü".encode()]
    assert (pipe.read(), other.read()) == ("abü".encode(), b"c")
    other.close()


async def test_nothing_to_write_starts_no_thread(pipe: Pipe) -> None:
    before = threading.active_count()
    await OffLoopWriter().write([])
    assert threading.active_count() == before
    assert pipe.read() == b""


async def test_characters_that_the_encoding_lacks_are_escaped() -> None:
    pipe = Pipe(encoding="ascii")
    await OffLoopWriter().write(
        [Piece(pipe.stream, "ü … \ud800"), Piece(pipe.stream, "ü".encode())]
    )
    assert pipe.read() == b"\\xfc \\u2026 \\ud800" + "ü".encode()
    pipe.close()


async def test_a_stand_in_for_a_stream_is_written_to_and_flushed() -> None:
    file = io.StringIO()
    await OffLoopWriter().write([Piece(Stream(file, "x"), "ü"), Piece(Stream(file, "x"), b"b")])
    assert file.getvalue() == "üb"


async def test_a_stand_in_is_believed_to_be_one_whatever_descriptor_it_tells(pipe: Pipe) -> None:
    """The proxy of prompt_toolkit tells that of the stream behind it, which must not be used."""

    class Proxy(io.StringIO):
        def fileno(self) -> int:
            return pipe.file.fileno()

    proxy = Proxy()
    await OffLoopWriter().write([Piece(Stream(proxy, "x"), "text")])
    assert proxy.getvalue() == "text"
    assert pipe.read() == b""


async def test_a_text_stream_without_a_descriptor_is_written_to() -> None:
    """As pytest's and other programs' captured streams are."""
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="utf-8")
    await OffLoopWriter().write([Piece(Stream(file, "x"), "ü")])
    assert raw.getvalue() == "ü".encode()


async def write_to_slow_reader(pipe: Pipe, text: str) -> bytes:
    """What arrives if reading begins only when the pipe is full; the error if it fails."""
    writing = asyncio.create_task(OffLoopWriter().write([Piece(pipe.stream, text)]))
    got = await pipe.read_some()
    assert got
    assert not writing.done()
    writing.add_done_callback(lambda _: pipe.file.close())
    async with asyncio.timeout(10):
        while block := await pipe.read_some():
            got += block
        await writing
    return got


async def test_the_loop_runs_on_while_a_pipe_is_full(pipe: Pipe) -> None:
    text = "x" * (10 * SMALLEST_PIPE)
    assert await write_to_slow_reader(pipe, text) == text.encode()


async def test_a_descriptor_that_does_not_block_is_waited_for(pipe: Pipe) -> None:
    """asyncio makes a terminal's input so, and with it the output, which is the same file."""
    os.set_blocking(pipe.file.fileno(), False)
    text = "x" * (10 * SMALLEST_PIPE)
    assert await write_to_slow_reader(pipe, text) == text.encode()


async def test_a_reader_that_has_gone_is_told_in_words_and_ends_the_writing(pipe: Pipe) -> None:
    pipe.close_reader()
    writer = OffLoopWriter()
    with pytest.raises(SinkError, match="whoever read standard output has gone"):
        await writer.write([Piece(pipe.stream, "x")])
    assert not writer.is_usable
    with pytest.raises(SinkError, match="an earlier write did not succeed"):
        await writer.write([Piece(pipe.stream, "y")])


async def test_a_reader_that_goes_during_a_write_is_noticed(pipe: Pipe) -> None:
    text = "x" * (10 * SMALLEST_PIPE)
    writing = asyncio.create_task(OffLoopWriter().write([Piece(pipe.stream, text)]))
    await pipe.read_some()
    pipe.close_reader()
    async with asyncio.timeout(10):
        with pytest.raises(SinkError, match="has gone"):
            await writing


async def test_a_full_device_is_told_in_words() -> None:
    with (
        Path("/dev/full").open("w", encoding="utf-8") as full,  # noqa: ASYNC230  a device
        pytest.raises(SinkError, match="cannot write to err: No space left on device"),
    ):
        await OffLoopWriter().write([Piece(Stream(full, "err"), "x")])


async def test_a_closed_stream_is_told_in_words(pipe: Pipe) -> None:
    pipe.file.close()
    closed = io.StringIO()
    closed.close()
    for file in (pipe.file, closed):
        with pytest.raises(SinkError, match="cannot write to out: I/O operation on closed file"):
            await OffLoopWriter().write([Piece(Stream(file, "out"), "x")])


async def test_a_cancelled_write_leaves_a_writer_that_writes_no_more(pipe: Pipe) -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: complaints.append(what))
    writer = OffLoopWriter()
    text = "x" * (10 * SMALLEST_PIPE)
    writing = asyncio.create_task(writer.write([Piece(pipe.stream, text)]))
    assert await pipe.read_some()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert not writer.is_usable
    (thread,) = (t for t in threading.enumerate() if t.name == "rxmcp-writer")
    pipe.close_reader()
    await asyncio.to_thread(thread.join, 10)
    assert not thread.is_alive()
    await asyncio.sleep(0)  # What it told the loop is heard now.
    assert complaints == []


def test_a_thread_that_outlives_its_loop_disturbs_nobody(pipe: Pipe) -> None:
    async def run() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                await OffLoopWriter().write([Piece(pipe.stream, "x" * (2 * SMALLEST_PIPE))])

    asyncio.run(run())
    (thread,) = (t for t in threading.enumerate() if t.name == "rxmcp-writer")
    pipe.close_reader()
    thread.join(10)
    assert not thread.is_alive()


def open_terminal() -> tuple[int, TextIO]:
    """The far end of a terminal, and a stream of it that changes no byte."""
    far, near = os.openpty()
    tty.setraw(near)
    return far, open(near, "w", encoding="utf-8")  # noqa: PTH123  the caller's


async def test_a_terminal_gets_the_bytes_as_they_are() -> None:
    far, file = open_terminal()
    await OffLoopWriter().write([Piece(Stream(file, "out"), "a\nü\r")])
    assert os.read(far, 100) == "a\nü\r".encode()
    file.close()
    os.close(far)

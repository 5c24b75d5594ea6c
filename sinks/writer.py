"""Writing to standard streams without ever stalling the loop, or the end of the process.

The reader of a standard stream may be slow, stopped, or gone. So text is written

* in a daemon thread: a write that never returns holds up neither the loop nor the exit, as one in
  the loop's executor would (its threads are joined);
* with `os.write`, past the buffers of Python: nothing is left in them that the interpreter would
  try to write at exit, which is where `Exception ignored … BrokenPipeError` comes from.

The second holds only as long as nobody else prints to the same stream. A stand-in for a stream
(`io.StringIO`, the proxy of prompt_toolkit) gets `write` and `flush`, in the same thread.
"""

import asyncio
import contextlib
import io
import itertools
import os
import select
import threading
from collections.abc import Sequence
from typing import NamedTuple, TextIO

from sinks.base import SinkError


class Stream(NamedTuple):
    """A stream and what people call it: `Stream(sys.stdout, "standard output")`."""

    file: TextIO
    label: str


class Piece(NamedTuple):
    """Something to write. Bytes are UTF-8 and go out as they are, text in the stream's encoding."""

    stream: Stream
    data: str | bytes


class OffLoopWriter:
    """Writes pieces in order, one batch at a time. After a failure or a cancellation it is done."""

    def __init__(self) -> None:
        self._is_usable = True

    @property
    def is_usable(self) -> bool:
        """No write has failed, was cancelled, or is still under way."""
        return self._is_usable

    async def write(self, pieces: Sequence[Piece]) -> None:
        """Write a batch; neighbours on one stream become one write.

        Characters that the stream's encoding lacks are escaped with a backslash.

        Raises:
            SinkError: If a stream is closed, its reader is gone, or it takes no more.
        """
        if not pieces:
            return
        if not self._is_usable:
            raise SinkError("an earlier write did not succeed, so nothing more is written")
        self._is_usable = False
        await _in_daemon_thread(_join(pieces))
        self._is_usable = True


async def _in_daemon_thread(batch: Sequence[tuple[Stream, bytes]]) -> None:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def settle(error: Exception | None) -> None:
        if done.cancelled():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def work() -> None:
        error: Exception | None = None
        try:
            for stream, data in batch:
                _write(stream, data)
        except Exception as exc:  # noqa: BLE001  handed to the task that waits for it
            error = exc
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, error)

    threading.Thread(target=work, name="rxmcp-writer", daemon=True).start()
    await done


def _join(pieces: Sequence[Piece]) -> list[tuple[Stream, bytes]]:
    runs = itertools.groupby(pieces, key=lambda piece: piece.stream)
    return [(stream, b"".join(_encode(piece) for piece in run)) for stream, run in runs]


def _encode(piece: Piece) -> bytes:
    if isinstance(piece.data, bytes):
        return piece.data
    # `StringIO` has no encoding: it keeps characters, and gets them back below.
    return piece.data.encode(piece.stream.file.encoding or "utf-8", "backslashreplace")


def _write(stream: Stream, data: bytes) -> None:
    file, label = stream
    try:
        if not _is_real(file):
            file.write(data.decode(file.encoding or "utf-8", "backslashreplace"))
            file.flush()
        elif (fd := _descriptor(file)) is not None:
            _write_all(fd, data)
        else:
            file.buffer.write(data)
            file.buffer.flush()
    except BrokenPipeError as exc:
        raise SinkError(f"whoever read {label} has gone, so nothing more is written to it") from exc
    except OSError as exc:
        raise SinkError(f"cannot write to {label}: {exc.strerror or exc}") from exc
    except ValueError as exc:  # Python's word for a closed file
        raise SinkError(f"cannot write to {label}: {exc}") from exc


def _is_real(file: TextIO) -> bool:
    """A stand-in is none, though it may tell the descriptor of the stream behind it."""
    return isinstance(file, io.TextIOWrapper)


def _descriptor(file: TextIO) -> int | None:
    """The descriptor of a stream; None where it is in memory."""
    try:
        return file.fileno()
    except io.UnsupportedOperation:
        return None


def _write_all(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(fd, rest) :]
        except BlockingIOError:
            # A terminal is one file for input and output: whoever makes its input non-blocking,
            # as asyncio does, makes the output so too.
            _wait_until_writable(fd)


def _wait_until_writable(fd: int) -> None:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    poll.poll()

"""The pipes of a server that is a process: lines out of it are frames, messages into it are lines.

MCP: basic/transports, "stdio": UTF-8 JSON, one message a line. What it writes to its standard error
is for people: it goes to the log, under the server's name.
"""

import asyncio
import os
from collections import deque
from collections.abc import Awaitable, Callable

import msgspec
from loguru import logger

from config.options import MailboxOptions, StreamOptions
from pipeline.core.commands import Get, Post
from pipeline.core.events import FrameReceived, PostAnswered, StreamOpened
from pipeline.core.session.http import CUT
from pipeline.deadline import Deadline
from pipeline.mailbox import Mailbox
from pipeline.shell.http_sse import StreamEndedError, StreamTooLargeError, StreamUnreachableError
from pipeline.shell.process import Program, ProgramError, ServerProcess, start

ACCEPTED = 202
_CHUNK = 64 * 1024
_QUEUE = MailboxOptions(high=512, low=128)
_LONGEST_COMPLAINT = 2000  # characters of a line on its standard error that are kept


class Pipe:
    """One server's process, if it runs: what the link started and the sender writes to."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.process: ServerProcess | None = None
        self.last_words = ""


async def read_process(
    pipe: Pipe,
    *,
    options: StreamOptions,
    push: Callable[[StreamOpened | FrameReceived], None],
    room: Callable[[], Awaitable[None]],
    shutdown: Deadline | None = None,
) -> None:
    """Start the program and read it to its end; never returns normally.

    Pushes `StreamOpened`, then a `FrameReceived` per line of its output, JSON or not. Waits for
    `room` before it reads on, so that the pipe fills and slows the server down. However this ends,
    the process has ended too.

    Raises:
        StreamError: Always, in the end; it is fatal if the program cannot be started.
    """
    name, title = pipe.program.name, pipe.program.title
    pipe.last_words = ""
    try:
        process = await start(pipe.program, os.environ)
    except ProgramError as exc:
        raise StreamUnreachableError(str(exc), is_fatal=True) from exc
    complaints = asyncio.create_task(_log_errors(pipe, process), name=f"stderr of {name}")
    try:
        pipe.process = process
        push(StreamOpened(server=name))
        await _read_lines(pipe.program, process, options.max_event_bytes, push=push, room=room)
        how = await process.exited()
        await asyncio.wait([complaints], timeout=1.0)
    finally:
        pipe.process = None
        try:
            await process.end(Deadline() if shutdown is None else shutdown)
        finally:
            complaints.cancel()
            await asyncio.gather(complaints, return_exceptions=True)
    said = f"; it said {pipe.last_words!r}" if pipe.last_words else ""
    raise StreamEndedError(f"{title} {how}{said}")


async def _read_lines(
    program: Program,
    process: ServerProcess,
    limit: int,
    *,
    push: Callable[[FrameReceived], None],
    room: Callable[[], Awaitable[None]],
) -> None:
    rest = bytearray()
    while chunk := await process.stdout.read(_CHUNK):
        *lines, last = chunk.split(b"\n")
        for line in lines:
            text = (rest + line).decode("utf-8", "replace").strip()
            rest.clear()
            if text:
                push(FrameReceived(server=program.name, event="message", data=text))
        rest += last
        if len(rest) > limit:
            raise StreamTooLargeError(
                f"{program.title} wrote a line of more than {limit} bytes; if that is right, raise "
                "--max-event-bytes"
            )
        await room()


async def _log_errors(pipe: Pipe, process: ServerProcess) -> None:
    rest = b""
    while chunk := await process.stderr.read(_CHUNK):
        *lines, rest = (rest + chunk).split(b"\n")
        rest = rest[:_LONGEST_COMPLAINT]
        for line in lines:
            _log_line(pipe, line)
    _log_line(pipe, rest)


def _log_line(pipe: Pipe, line: bytes) -> None:
    text = line[:_LONGEST_COMPLAINT].decode("utf-8", "replace").strip()
    if text:
        pipe.last_words = text
        logger.info("{}: {!r}", pipe.program.name, text)


class PipeSender:
    """The messages to one process, in order; each `Post` leads to exactly one `PostAnswered`.

    A message that the process took is answered with status 202, as over HTTP. One that it did not
    take within `patience` seconds is not: its pipe is full, and the process does not read.
    """

    def __init__(self, pipe: Pipe, *, put: Callable[[PostAnswered], None], patience: float) -> None:
        self._pipe = pipe
        self._put = put
        self._patience = patience
        self._queue: Mailbox[Post] = Mailbox(_QUEUE)
        self._open: deque[Post] = deque()  # unanswered, in order
        self._written: Post | None = None

    def send(self, post: Post) -> None:
        """Queue a message; never blocks, never raises."""
        if self._queue.is_closed:
            self._refuse(post, "not sent: the run has ended")
        elif self._queue.is_choked:
            self._refuse(post, f"not sent: {len(self._queue)} messages already wait")
        else:
            self._open.append(post)
            self._queue.put(post)

    def _refuse(self, post: Post, reason: str) -> None:
        self._open.append(post)
        self._answer(post, reason=reason, is_sent=False)

    def get(self, get: Get) -> None:
        """A process has no streams to ask for."""
        self._put(
            PostAnswered(
                server=get.server, id=get.id, reason="a process has one stream only", is_sent=False
            )
        )

    def cut(self, id_: str) -> None:
        """Say at once how far a message came; one that has not left does not leave any more."""
        for post in tuple(self._open):
            if post.id == id_:
                self._answer(post, reason=CUT, is_sent=post is self._written)

    def drop(self) -> None:
        """Nothing is open."""

    async def run(self) -> None:
        """Own the queue until it is closed. Cancelled, it answers the rest."""
        try:
            while (post := await self._queue.take()) is not None:
                if post in self._open:
                    await self._write(post)
        finally:
            self.close()

    def close(self) -> None:
        """Take no more; what is queued is answered as not sent."""
        self._queue.close()
        for post in tuple(self._open):
            self._answer(post, reason="not sent: the run has ended", is_sent=post is self._written)

    async def _write(self, post: Post) -> None:
        process, title = self._pipe.process, self._pipe.program.title
        if process is None:
            self._answer(post, reason=f"not sent: {title} does not run", is_sent=False)
            return
        try:
            line = msgspec.json.encode(post.message) + b"\n"
        except (ValueError, TypeError, RecursionError) as exc:
            self._answer(post, reason=f"not sent: {exc}", is_sent=False)
            return
        self._written = post
        try:
            process.stdin.write(line)
            async with asyncio.timeout(self._patience):
                await process.stdin.drain()
        except TimeoutError:
            words = f"{title} takes no messages for {self._patience:g} s (--post-timeout)"
            self._answer(post, reason=words, is_sent=True)
        except (OSError, RuntimeError) as exc:
            # It may have read it and died of it: that it was not sent is not certain.
            self._answer(post, reason=f"{title} closed its input: {exc}", is_sent=True)
        else:
            self._answer(post, status=ACCEPTED)

    def _answer(
        self, post: Post, *, status: int | None = None, reason: str = "", is_sent: bool = True
    ) -> None:
        if post not in self._open:
            return  # it was cut while the process did not read
        self._open.remove(post)
        self._put(
            PostAnswered(
                server=post.server, id=post.id, status=status, reason=reason, is_sent=is_sent
            )
        )

"""Prompts from standard input: one event for each wish for a prompt.

`PipeReader` reads lines from whatever is no terminal; `terminal.py` has the one for people.
"""

import asyncio
import os
import re
import stat
import sys
from typing import Protocol, TypeAlias

from config.options import PromptOptions
from pipeline.core import slash
from pipeline.core.events import (
    InputEnded,
    PromptCancelled,
    PromptRejected,
    PromptSubmitted,
    QuestionAnswered,
    RequestSubmitted,
)

PromptEvent: TypeAlias = (
    PromptSubmitted | RequestSubmitted | PromptRejected | PromptCancelled | InputEnded
)

MAX_CHARS = PromptOptions().max_chars
_CHUNK = 64 * 1024
_MAX_BYTES_PER_CHAR = 4
_CONTINUATION = bytes(range(0x80, 0xC0))
_SURROGATE = re.compile("[\ud800-\udfff]")
_BOM = b"\xef\xbb\xbf"


class PromptReader(Protocol):
    """Where prompts come from. One `read` at a time; a cancelled one loses nothing."""

    async def read(self) -> PromptEvent:
        """The next prompt, or why there is none; after `InputEnded` only that."""
        ...

    async def ask(self, question: str) -> QuestionAnswered:
        """What the person answers to a server's question, also while a `read` is under way."""
        ...


def stdin_fd() -> int | None:
    """The descriptor of standard input, None where there is none (closed, or never given)."""
    if sys.stdin is None:  # as under pythonw
        return None
    try:
        return sys.stdin.fileno()
    except (OSError, ValueError):  # replaced by an object without one, or closed
        return None


def to_prompt(
    text: str, *, max_chars: int, repaired: bool = False, is_typed: bool = True
) -> PromptEvent:
    """A prompt from a text, if it is one: neither empty nor too long, and text throughout.

    What was typed may be a command as `/resources`: it is the request that it stands for.

    Lone surrogates (how Python keeps bytes that are no UTF-8) become U+FFFD, for a recording could
    not hold them.
    """
    if not text.strip():
        return PromptRejected(reason="found an empty prompt, expected some text")
    if len(text) > max_chars:
        return _too_long(len(text), max_chars)
    whole = _SURROGATE.sub("\ufffd", text)
    try:
        request = slash.parse(whole) if is_typed else None
    except slash.SlashError as exc:
        return PromptRejected(reason=str(exc))
    if request is not None:
        return request
    return PromptSubmitted(text=whole, repaired=repaired or whole != text)


class PipeReader:
    """One prompt per line of a pipe, a file, a socket or a terminal without editing.

    Lines end with LF or CRLF; the last one counts without. What is no UTF-8 becomes U+FFFD, and the
    prompt says so. A line above `max_chars` characters is skipped to its end and told with its
    size, in bounded memory. Bytes are read only while somebody waits for a line, so a writer that
    is too quick is slowed down by its own pipe.
    """

    def __init__(self, fd: int | None, *, max_chars: int = MAX_CHARS) -> None:
        self._source = _Bytes(fd)
        self._max_chars = max_chars
        self._buffer = bytearray()
        self._searched = 0
        self._skipped = 0  # characters of a line that is too long; 0 while none is skipped
        self._is_first = True
        self._is_reading = False

    async def read(self) -> PromptEvent:
        """The next line as an event.

        Raises:
            RuntimeError: If another `read` is under way.
        """
        return await self._alone(whole=False)

    async def ask(self, question: str) -> QuestionAnswered:
        """Nobody is there: lines are prompts, and no answers."""
        return QuestionAnswered(question=question, action="cancel")

    async def read_all(self, *, patience: float) -> PromptEvent:
        """All that is left, up to the end, as one text: the context of a `-p`.

        `patience` is how many seconds the first byte may take: a job may have been given a pipe
        that nobody ever writes to or closes.

        Raises:
            TimeoutError: If nothing came in that time. What comes later can still be read.
            RuntimeError: If another read is under way.
        """
        return await self._alone(whole=True, patience=None if self._buffer else patience)

    async def _alone(self, *, whole: bool, patience: float | None = None) -> PromptEvent:
        if self._is_reading:
            raise RuntimeError("a prompt is being read already; one read at a time")
        self._is_reading = True
        try:
            while True:
                event = None if whole else self._next_line()
                if event is not None:
                    return event
                self._bound()
                # The only wait, and it fills the buffer as its last act: a read that is cancelled
                # leaves all of it to the next one.
                async with asyncio.timeout(patience):
                    is_more = await self._source.fill(self._buffer)
                if not is_more:
                    return self._rest(is_typed=not whole)
                patience = None
        finally:
            self._is_reading = False

    def _next_line(self) -> PromptEvent | None:
        """The first line of the buffer, None while it has no end."""
        end = self._buffer.find(b"\n", self._searched)
        if end < 0:
            self._searched = len(self._buffer)
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._searched = 0
        return self._event(line.removesuffix(b"\r"))

    def _rest(self, *, is_typed: bool) -> PromptEvent:
        if self._source.failure:
            failure, self._source.failure = self._source.failure, ""
            return PromptRejected(reason=failure)
        if not self._buffer and not self._skipped:
            return InputEnded()
        line = bytes(self._buffer)
        self._buffer.clear()
        self._searched = 0
        return self._event(line.removesuffix(b"\n").removesuffix(b"\r"), is_typed=is_typed)

    def _bound(self) -> None:
        """Forget what is too long for sure: a character has at most four bytes."""
        if self._skipped or len(self._buffer) > self._max_chars * _MAX_BYTES_PER_CHAR:
            self._skipped += _count_chars(self._buffer)
            self._buffer.clear()
            self._searched = 0

    def _event(self, line: bytes, *, is_typed: bool = True) -> PromptEvent:
        if self._is_first:
            self._is_first = False
            line = line.removeprefix(_BOM)
        if self._skipped:
            size, self._skipped = self._skipped + _count_chars(line), 0
            return _too_long(size, self._max_chars)
        try:
            text, repaired = line.decode("utf-8"), False
        except UnicodeDecodeError:
            text, repaired = line.decode("utf-8", "replace"), True
        return to_prompt(text, max_chars=self._max_chars, repaired=repaired, is_typed=is_typed)


class _Bytes:
    """Chunks of a descriptor, without blocking the loop.

    What the loop can watch (pipes, terminals, sockets) is read when it has something, and the
    descriptor is left as it is: making it non-blocking would make it so for every process that
    shares it, the shell included. Files are read on a thread; such a read always ends. Where the
    loop cannot watch anything (Windows) that thread also reads pipes, and may hold up the exit
    until a line comes.
    """

    def __init__(self, fd: int | None) -> None:
        self.failure = ""
        self._fd = fd
        self._reading: asyncio.Task[bytes] | None = None

    async def fill(self, buffer: bytearray) -> bool:
        """Append what there is, waiting for it; False at the end, or after a failure."""
        if self._fd is None:
            return False
        try:
            chunk = await self._chunk(self._fd)
        except OSError as exc:
            # An end that was closed before we started is no input, and no failure.
            if not _is_closed(self._fd):
                self.failure = f"cannot read the standard input: {exc.strerror or exc}"
            chunk = b""
        if not chunk:
            self._fd = None
        buffer += chunk
        return chunk != b""

    async def _chunk(self, fd: int) -> bytes:
        if not stat.S_ISREG(os.fstat(fd).st_mode) and await _is_readable(fd):
            return os.read(fd, _CHUNK)
        if self._reading is None:
            self._reading = asyncio.create_task(asyncio.to_thread(os.read, fd, _CHUNK))
        # Unlike awaiting the task, this leaves it running when we are cancelled.
        await asyncio.wait((self._reading,))
        task, self._reading = self._reading, None
        return task.result()


async def _is_readable(fd: int) -> bool:
    """Wait until the descriptor has something to read; False at once if the loop cannot tell."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    try:
        loop.add_reader(fd, ready.set)
    except (NotImplementedError, PermissionError):  # Windows; /dev/null and other odd devices
        return False
    try:
        await ready.wait()
    finally:
        loop.remove_reader(fd)
    return True


def _is_closed(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return True
    return False


def _count_chars(line: bytes | bytearray) -> int:
    """How many characters of UTF-8 these bytes start."""
    return len(line.translate(None, _CONTINUATION))


def _too_long(found: int, expected: int) -> PromptRejected:
    return PromptRejected(
        reason=f"found a prompt of {found:,} characters, expected at most {expected:,} "
        "(--max-prompt-chars); it was skipped: split it, or let a tool read the file"
    )

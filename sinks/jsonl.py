"""The recording: every event of a run as a line of a file.

One file may hold several runs, one after the other: each begins with a header line of its own,
and its `seq` starts again at 1. A run is appended, never merged, and a file that is something
else is refused. If an earlier run was cut off in the middle of a line, that piece is moved to
`name.torn-<offset>` first, and told. A file that has grown to `rotate_size` is finished, and the
run goes on in a new one (`recording_parts`).

What a reader may rely on: every line is whole; a line that was written is never written again;
what was emitted survives the death of this process at once, and that of the machine when it is
flushed (`recording_flush`), as far as its disk keeps promises.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from config.options import RecordingOptions
from pipeline.core.codec import Entry, Header, encode_entry
from pipeline.core.commands import Item
from pipeline.core.events import AnswerCompleted, RunEnded, ToolEnded, ToolStarted
from sinks.base import SinkError
from sinks.recording_compress import Compressor
from sinks.recording_file import RecordingFile
from sinks.recording_flush import Flusher
from sinks.recording_parts import CannotRotateError, begin_part, finished_part, tidy

T = TypeVar("T")
_TELLING = (AnswerCompleted, RunEnded, ToolEnded, ToolStarted)
_DEFAULTS = RecordingOptions()
_SMALL = 256 * 1024  # bytes that a write takes off the loop's time without anybody noticing
_SLOW = 0.05  # seconds after which a write was no matter of memory


class JsonlSink:
    """Appends a run to a recording; one writer per file, and only its owner may read it (0600).

    `header` None goes on with the run that the file ends with. `on_notice` gets words about a file
    that had to be mended, could not be rotated or compressed; the recording goes on. `open` and
    `emit` raise `SinkError` where it cannot: no regular file, no recording, in use, disk full.
    """

    def __init__(
        self,
        path: Path,
        header: Header | None,
        *,
        on_notice: Callable[[str], None],
        options: RecordingOptions = _DEFAULTS,
    ) -> None:
        self._path = path
        self._header = header
        self._on_notice = on_notice
        self._options = options
        self._file: RecordingFile | None = None
        self._is_sound = True
        self._fault: SinkError | None = None  # of a flush, as soon as the thread knows it
        self._is_told = False
        self._is_quick = True
        self._limit = options.rotate_size
        self._seq = 0
        # One thread, so that what is asked of it is done in order: a write that nobody waits for
        # any more, for its caller was cancelled, still ends before the file is closed.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rxmcp-jsonl")
        self._flusher = Flusher(options, lambda: self._begin(self._sync))
        self._compressor: Compressor | None = None
        if options.compress != "none":
            self._compressor = Compressor(options.compress, on_notice)

    @property
    def name(self) -> str:
        """`jsonl=run.jsonl`."""
        return f"jsonl={self._path}"

    def wants(self, item: Item) -> bool:  # noqa: ARG002  the protocol's
        """Everything: a replay needs all of it."""
        return True

    async def open(self) -> None:
        """Open the file and write the header."""
        for notice in await self._begin(self._open):
            self._on_notice(notice)

    async def emit(self, entries: Sequence[Entry]) -> None:
        """Append the entries; returns when they are written, with `fsync` always: on the disk."""
        if not entries:
            return
        try:
            await self._emit(entries)
        except SinkError:
            self._is_told = True
            raise

    async def close(self) -> None:
        """Put everything on the disk and release the file; cancelled, the latter all the same."""
        self._flusher.stop()
        # Both are asked of the thread at once, and neither is taken back: whoever gives up waiting
        # for a slow disk leaves no open, locked file.
        synced, closed = self._begin(self._sync_last), self._begin(self._close)
        self._thread.shutdown(wait=False)
        try:
            await asyncio.wait([synced, closed])
            if self._compressor is not None:
                await self._compressor.close()
        finally:
            if self._compressor is not None:
                self._compressor.stop()
        synced.result()
        closed.result()
        if not self._is_told:
            self._flusher.check()

    async def _emit(self, entries: Sequence[Entry]) -> None:
        self._flusher.check()
        lines = b"".join([encode_entry(entry) + b"\n" for entry in entries])
        if self._is_quick and len(lines) <= _SMALL:
            # A thread would take ten times as long as the write, which only fills memory. It is
            # one that waits for the disk which must not keep the loop.
            began = time.monotonic()
            self._append(lines)
            self._is_quick = time.monotonic() - began < _SLOW
        else:
            await self._begin(lambda: self._append(lines))
        self._seq = entries[-1].seq
        is_telling = any(isinstance(entry.item, _TELLING) for entry in entries)
        await self._flusher.wrote(len(entries), is_telling=is_telling)
        if self._limit is not None and self._opened().size >= self._limit:
            await self._rotate(self._limit)

    async def _rotate(self, limit: int) -> None:
        try:
            finished = await self._begin(self._begin_part)
        except CannotRotateError as exc:
            self._on_notice(f"{exc}; it is written on as it is")
            self._limit = limit + (self._options.rotate_size or limit)
            return
        self._limit = self._options.rotate_size
        if self._compressor is not None:
            self._compressor.add(finished)

    def _begin(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        return asyncio.get_running_loop().run_in_executor(self._thread, work)

    # In the thread, but for a small `_append`.

    def _open(self) -> list[str]:
        self._file = file = RecordingFile(self._path, self._header)
        try:
            return [*file.notices, *tidy(file)]
        except OSError as exc:
            raise SinkError(f"cannot tidy up beside {str(self._path)!r}: {exc.strerror}") from exc

    def _append(self, lines: bytes) -> None:
        self._is_sound = False
        self._opened().append(lines)
        self._is_sound = True

    def _sync(self) -> None:
        try:
            self._opened().sync()
        except SinkError as exc:
            self._fault = exc
            raise

    def _begin_part(self) -> Path:
        if self._fault is not None:
            raise self._fault
        try:
            self._file = begin_part(self._opened(), self._seq)
        except SinkError as exc:
            self._fault = exc
            raise
        return finished_part(self._file)

    def _sync_last(self) -> None:
        # Once it is unsound, another flush would tell a lie.
        is_sound = self._is_sound and self._fault is None
        if self._file is not None and is_sound and self._options.fsync != "none":
            self._file.sync()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _opened(self) -> RecordingFile:
        if self._file is None:
            raise RuntimeError(f"{self.name} is used before open() or after close()")
        return self._file

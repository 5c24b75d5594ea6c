"""The recording: every event of a run as a line of a file.

One file may hold several runs, one after the other: each begins with a header line of its own,
and its `seq` starts again at 1. A run is appended, never merged, and a file that is something
else is refused. If an earlier run was cut off in the middle of a line, that piece is moved to
`name.torn-<offset>` first, and told.

What a reader may rely on: every line is whole; a line that was written is never written again;
what was emitted survives the death of this process, and with a tool call's start or end, a
finished answer or the end of the run, also that of the machine (as far as its disk keeps promises).
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pipeline.core.codec import Entry, Header, encode_entry
from pipeline.core.commands import Item
from pipeline.core.events import AnswerCompleted, RunEnded, ToolEnded, ToolStarted
from sinks.recording_file import RecordingFile

_MUST_LAST = (AnswerCompleted, RunEnded, ToolEnded, ToolStarted)


class JsonlSink:
    """Appends a run to a recording; one writer per file, and only its owner may read it (0600).

    `header` None goes on with the run that the file ends with. `on_notice` gets words about a file
    that had to be mended; the recording goes on. `open` and `emit` raise `SinkError` where it
    cannot: no regular file, no recording, in use, disk full.
    """

    def __init__(
        self, path: Path, header: Header | None, *, on_notice: Callable[[str], None]
    ) -> None:
        self._path = path
        self._header = header
        self._on_notice = on_notice
        self._file: RecordingFile | None = None
        self._is_sound = True
        # One thread, so that what is asked of it is done in order: a write that nobody waits for
        # any more, for its caller was cancelled, still ends before the file is closed.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rxmcp-jsonl")

    @property
    def name(self) -> str:
        """`jsonl=run.jsonl`."""
        return f"jsonl={self._path}"

    def wants(self, item: Item) -> bool:  # noqa: ARG002  the protocol's
        """Everything: a replay needs all of it."""
        return True

    async def open(self) -> None:
        """Open the file and write the header."""
        await self._in_thread(self._open)
        for notice in self._opened().notices:
            self._on_notice(notice)

    async def emit(self, entries: Sequence[Entry]) -> None:
        """Append the entries; returns when they are written."""
        lines = b"".join(encode_entry(entry) + b"\n" for entry in entries)
        must_last = any(isinstance(entry.item, _MUST_LAST) for entry in entries)
        await self._in_thread(lambda: self._append(lines, must_last=must_last))

    async def close(self) -> None:
        """Put everything on the disk and release the file."""
        try:
            await self._in_thread(self._close)
        finally:
            self._thread.shutdown(wait=False)

    async def _in_thread(self, work: Callable[[], None]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, work)

    # In the thread.

    def _open(self) -> None:
        self._file = RecordingFile(self._path, self._header)

    def _append(self, lines: bytes, *, must_last: bool) -> None:
        file = self._opened()
        self._is_sound = False
        file.append(lines)
        if must_last:
            file.sync()
        self._is_sound = True

    def _close(self) -> None:
        if self._file is None:
            return
        try:
            if self._is_sound:  # else it was told, and another flush would tell a lie
                self._file.sync()
        finally:
            self._file.close()
            self._file = None

    def _opened(self) -> RecordingFile:
        if self._file is None:
            raise RuntimeError(f"{self.name} is used before open() or after close()")
        return self._file

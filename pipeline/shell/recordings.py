"""Reads recordings: one file, one run after the other, each a header and its entries.

A file may end in the middle of a line, as after a crash: what is whole before it counts. Anything
else that is not as `docs/events.md` says is an error that names the line.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.codec import Entry, Header, NotARecordingError, decode_entry, decode_header

_HEADER = b'{"kind":"recording"'


class RecordingError(ValueError):
    """A file that cannot be read as a recording; the text names the file and the line."""


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """One run in a file. `entries` reads them one by one, as often as it is called."""

    path: Path
    header: Header
    line: int
    offset: int

    def entries(self) -> Iterator[Entry]:
        """The entries in order.

        Raises:
            RecordingError: At a line that is no entry, or where `seq` has a gap.
        """
        with self.path.open("rb") as file:
            file.seek(self.offset)
            file.readline()
            seq = 0
            for number, line in enumerate(file, self.line + 1):
                if line.startswith(_HEADER) or not line.endswith(b"\n"):
                    return
                entry = _entry(self.path, number, line)
                if entry.seq != seq + 1:
                    found = f"seq {entry.seq} after {seq}"
                    raise RecordingError(f"{self.path}:{number}: found {found}, expected {seq + 1}")
                seq = entry.seq
                yield entry


def read_runs(path: Path) -> list[RecordedRun]:
    """The runs in a file, oldest first; only their headers are read into memory.

    Raises:
        RecordingError: If there is no such file, or it is no recording.
    """
    runs: list[RecordedRun] = []
    try:
        with path.open("rb") as file:
            offset = 0
            for number, line in enumerate(file, 1):
                if line.startswith(_HEADER) and line.endswith(b"\n"):
                    runs.append(RecordedRun(path, _header(path, number, line), number, offset))
                elif number == 1:
                    _header(path, number, line)
                offset += len(line)
    except OSError as exc:
        raise RecordingError(f"cannot read {str(path)!r}: {exc.strerror}") from exc
    if not runs:
        raise RecordingError(f"{str(path)!r} is empty, expected a recording")
    return runs


def last_run(path: Path) -> RecordedRun:
    """The newest run in a file; raises as `read_runs`."""
    return read_runs(path)[-1]


def _header(path: Path, number: int, line: bytes) -> Header:
    try:
        return decode_header(line)
    except NotARecordingError as exc:
        raise RecordingError(f"{path}:{number}: {exc}") from exc


def _entry(path: Path, number: int, line: bytes) -> Entry:
    try:
        return decode_entry(line)
    except NotARecordingError as exc:
        raise RecordingError(f"{path}:{number}: {exc}") from exc

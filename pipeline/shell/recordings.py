"""Reads recordings: one file, one run after the other, each a header and its entries.

A file may end in the middle of a line, as after a crash: what is whole before it counts. Anything
else that is not as `docs/events.md` says is an error that names the line. A run of an older format
is read as if this version had written it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.codec import Entry, Header, NotARecordingError, Upgrade, decode_entry

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

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """The whole lines of the run as they are, each with its number in the file; header first.

        Raises:
            RecordingError: If the file cannot be read.
        """
        for number, _, line in _whole_lines(self.path, self.line, self.offset):
            if number > self.line and line.startswith(_HEADER):
                return
            yield number, line

    def entries(self) -> Iterator[Entry]:
        """The entries in order, in the current format whatever the file's is.

        Raises:
            RecordingError: If the file cannot be read, at a line that is no entry, or where `seq`
                has a gap.
        """
        lines = self.lines()
        upgrade = _upgrade(self.path, *next(lines, (self.line, b"")))
        seq = 0
        for number, line in lines:
            entry = _entry(self.path, number, upgrade(line))
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
    for number, offset, line in _whole_lines(path):
        if number == 1 or line.startswith(_HEADER):
            header = _upgrade(path, number, line).header
            runs.append(RecordedRun(path, header, number, offset))
    if not runs:
        found = f"{str(path)!r} is empty, or one line without an end"
        raise RecordingError(f"{found}; expected a recording, which begins {_HEADER.decode()}…")
    return runs


def last_run(path: Path) -> RecordedRun:
    """The newest run in a file; raises as `read_runs`."""
    return read_runs(path)[-1]


def _whole_lines(path: Path, number: int = 1, offset: int = 0) -> Iterator[tuple[int, int, bytes]]:
    """Lines from an offset on, up to one that is torn: number, offset, bytes with the newline."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            for each, line in enumerate(file, number):
                if not line.endswith(b"\n"):
                    return
                yield each, offset, line
                offset += len(line)
    except OSError as exc:
        raise RecordingError(f"cannot read {str(path)!r}: {exc.strerror}") from exc


def _upgrade(path: Path, number: int, line: bytes) -> Upgrade:
    try:
        return Upgrade(line)
    except NotARecordingError as exc:
        raise RecordingError(f"{path}:{number}: {exc}") from exc


def _entry(path: Path, number: int, line: bytes) -> Entry:
    try:
        return decode_entry(line)
    except NotARecordingError as exc:
        raise RecordingError(f"{path}:{number}: {exc}") from exc

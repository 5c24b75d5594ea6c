"""Reads recordings: one run after the other, each a header and its entries.

A recording is a file, or several: `run.jsonl` and its older parts beside it, compressed or not, are
read as one. A file may end in the middle of a line, as after a crash: what is whole before it
counts. Anything else that is not as `docs/events.md` says is an error that names the line. A run of
an older format is read as if this version had written it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from loguru import logger

from pipeline.core.codec import Entry, Header, NotARecordingError, Upgrade, decode_entry
from pipeline.core.parts import part_name, recording_name, uncompressed
from pipeline.shell.recording_lines import HEADER, RecordingError, is_whole, parts_of, read_lines

__all__ = ["Piece", "RecordedRun", "RecordingError", "last_run", "read_runs", "why_missing"]


@dataclass(frozen=True, slots=True)
class Piece:
    """What one file holds of a run, from its header at a line and an offset on.

    `missing` says why it cannot be read: what was before it is not there.
    """

    path: Path
    line: int = 1
    offset: int = 0
    missing: str = ""


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """One run of the recording `path`. `entries` reads them one by one, as often as it is called.

    `header` is that of its first piece.
    """

    path: Path
    header: Header
    pieces: tuple[Piece, ...]

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """The whole lines of the run as they are, each with its number in its file; header first.

        There is one header, whatever number of files it is in.

        Raises:
            RecordingError: If a file cannot be read, or a part is missing.
        """
        return ((number, line) for _, number, line in self._lines())

    def entries(self) -> Iterator[Entry]:
        """The entries in order, in the current format whatever the file's is.

        Raises:
            RecordingError: If a file cannot be read, a part is missing, or at a line that is no
                entry, or where `seq` has a gap.
        """
        lines = self._lines()
        first = self.pieces[0]
        upgrade = _upgrade(*next(lines, (first.path, first.line, b"")))
        seq = 0
        for path, number, line in lines:
            entry = _entry(path, number, upgrade(line))
            if entry.seq != seq + 1:
                found = f"found seq {entry.seq} after {seq}, expected {seq + 1}"
                is_begin = any(p.path == path and p.line + 1 == number for p in self.pieces[1:])
                hint = "; the part before this one ends too early" if is_begin else ""
                raise RecordingError(f"{path}:{number}: {found}{hint}")
            seq = entry.seq
            yield entry

    def _lines(self) -> Iterator[tuple[Path, int, bytes]]:
        for piece in self.pieces:
            if piece.missing:
                raise RecordingError(piece.missing)
            for number, _, line in read_lines(piece.path, piece.line, piece.offset):
                if not is_whole(line):
                    break
                if number > piece.line and line.startswith(HEADER):
                    return
                if number > piece.line or piece is self.pieces[0]:
                    yield piece.path, number, line


def read_runs(path: Path) -> list[RecordedRun]:
    """The runs of a recording, oldest first; only their headers are read into memory.

    A run of which a part is missing is among them: who reads it is told.

    Raises:
        RecordingError: If there is no such file, or it is no recording.
    """
    runs: list[RecordedRun] = []
    last = 0
    for part, file in parts_of(path):
        for number, offset, line in read_lines(file, on_damage=_told(file)):
            if not is_whole(line) or (number > 1 and not line.startswith(HEADER)):
                continue
            header = _upgrade(file, number, line).header
            piece = Piece(file, number, offset)
            if not header.after:
                runs.append(RecordedRun(path, header, (piece,)))
                continue
            goes_on = bool(runs) and runs[-1].header.session == header.session
            if not goes_on or part != last + 1:
                piece = replace(piece, missing=why_missing(path, file, header, last))
            if goes_on:
                runs[-1] = replace(runs[-1], pieces=(*runs[-1].pieces, piece))
            else:
                runs.append(RecordedRun(path, header, (piece,)))
        last = part
    if not runs:
        found = f"{str(path)!r} is empty, or one line without an end"
        raise RecordingError(f"{found}; expected a recording, which begins {HEADER.decode()}…")
    return runs


def last_run(path: Path) -> RecordedRun:
    """The newest run of a recording; raises as `read_runs`."""
    return read_runs(path)[-1]


def _told(path: Path) -> Callable[[int, str], None]:
    def tell(number: int, why: str) -> None:
        logger.warning("{} is damaged: it cannot be read from line {} on ({})", path, number, why)

    return tell


def why_missing(path: Path, file: Path, header: Header, last: int) -> str:
    """Words for a part that goes on with a run which does not end in `last`, the part before it."""
    found = f"{file} is part {header.part} of a recording: a run goes on in it after event"
    whole = recording_name(uncompressed(file.name), header.part)
    if file == path and whole is not None:
        return f"{found} {header.after}; give the name of the whole recording, {whole}"
    names = [part_name(uncompressed(path.name), n) for n in range(last + 1, header.part)]
    expected = " to ".join(dict.fromkeys([*names[:1], *names[-1:]])) or "where it began"
    return f"{found} {header.after}; expected {expected} beside it"


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

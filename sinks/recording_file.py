"""The file under a recording: opened safely, locked, mended, appended to, never half a line longer.

Blocking, and for one thread at a time; `sync` may run beside the others. What a recording holds is
not its business, except that the first line of a file must be a recording's header.
"""

import contextlib
import os
from pathlib import Path

from msgspec.structs import replace

from pipeline.core.codec import Header, encode_header
from pipeline.core.parts import part_number
from sinks.base import SinkError
from sinks.recording_open import BLOCK, HEADER_START, first_header, is_same_file, open_locked


class RecordingFile:
    """An open, locked recording whose last line is whole; a `header` given is put at its end.

    `size` is in bytes. `part` is the file's number (see `pipeline.core.parts`): that of its first
    header; of a new file, that of the header given, or the one after the parts beside it.

    Raises:
        SinkError: If the path is no regular file, no recording, in use, or cannot be opened.
    """

    def __init__(self, path: Path, header: Header | None) -> None:
        self.path = path
        self.notices: list[str] = []
        self.size = 0
        self.part = 1
        self._header: bytes | None = None
        self._fd = open_locked(path)
        try:
            self._prepare(header)
        except OSError as exc:
            os.close(self._fd)
            raise SinkError(f"cannot prepare {str(path)!r}: {exc.strerror}") from exc
        except SinkError:
            os.close(self._fd)
            raise

    @property
    def is_in_place(self) -> bool:
        """Does its path still lead to it?"""
        return is_same_file(self._fd, self.path)

    def append(self, lines: bytes) -> None:
        """Write whole lines at the end, with one write as long as the system takes them whole.

        Raises:
            SinkError: If not all could be written: the file then ends with the last whole line. Or
                if the file was deleted meanwhile: what was written will be gone with it.
        """
        rest = memoryview(lines)
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError as exc:
            written = lines[: len(lines) - len(rest)]
            kept = written.count(b"\n")
            lost = lines.count(b"\n") - kept
            after = self._cut_back(self.size + written.rfind(b"\n") + 1)
            raise SinkError(
                f"cannot write to {str(self.path)!r}: {exc.strerror}; {lost} of the last "
                f"{kept + lost} lines are not recorded, {after}"
            ) from exc
        self.size += len(lines)
        if os.fstat(self._fd).st_nlink == 0:
            raise SinkError(
                f"{str(self.path)!r} was deleted while it was being written, and its {self.size} "
                "bytes with it; record where nobody clears up"
            )

    def sync(self) -> None:
        """Have the system put it all on the disk.

        Raises:
            SinkError: If that failed. It must not be tried again: the system may have dropped what
                it could not write, and a second try would report success.
        """
        try:
            os.fsync(self._fd)
        except OSError as exc:
            raise SinkError(
                f"cannot flush {str(self.path)!r} to the disk: {exc.strerror}; what was recorded "
                "since the flush before may be lost"
            ) from exc

    def last_header(self) -> bytes:
        """The header of the run that the file ends with, as it stands there.

        Raises:
            OSError: If it cannot be read.
        """
        if self._header is None:
            with self.path.open("rb") as file:
                for line in file:
                    if line.startswith(HEADER_START):
                        self._header = line
        assert self._header is not None, "the first line of each recording is one"
        return self._header

    def close(self) -> None:
        """Release file and lock."""
        os.close(self._fd)

    def _prepare(self, header: Header | None) -> None:
        first = first_header(self._fd, self.path)
        self._mend()
        if first is not None:
            self.part = first.part
        elif header is not None and header.part > 1:
            self.part = header.part
        else:
            self.part = max(parts_beside(self.path), default=0) + 1
        if header is not None:
            self._header = encode_header(replace(header, part=self.part)) + b"\n"
            self.append(self._header)
        self.sync()
        sync_directory(self.path)

    def _mend(self) -> None:
        """Cut off a last line that is not whole, and keep it beside."""
        size = os.fstat(self._fd).st_size
        self.size = end = _end_of_lines(self._fd, size)
        if end < size:
            kept = self._keep_tail(end)
            os.ftruncate(self._fd, end)
            self.notices.append(
                f"{self.path.name} ended in the middle of a line, as after a crash; its last "
                f"{size - end} bytes, from offset {end}, are now in {kept.name}"
            )

    def _cut_back(self, size: int) -> str:
        try:
            os.ftruncate(self._fd, size)
        except OSError as exc:
            return f"and half a line could not be cut off: {exc.strerror}"
        return "and the file ends with a whole line"

    def _keep_tail(self, start: int) -> Path:
        copy, fd = _create_beside(self.path, f"torn-{start}")
        with open(fd, "wb", closefd=True) as file:  # noqa: PTH123  a descriptor, not a path
            at = start
            while block := os.pread(self._fd, BLOCK, at):
                file.write(block)
                at += len(block)
            file.flush()
            os.fsync(fd)
        return copy


def parts_beside(path: Path) -> dict[int, list[Path]]:
    """The files that are named as older parts of a recording, by number.

    Raises:
        OSError: If the directory cannot be read.
    """
    found: dict[int, list[Path]] = {}
    for other in sorted(path.parent.iterdir()):
        number = part_number(path.name, other.name)
        if number is not None:
            found.setdefault(number, []).append(other)
    return found


def sync_directory(path: Path) -> None:
    """Make the names of the files beside this one last."""
    fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _end_of_lines(fd: int, size: int) -> int:
    """Offset just behind the last newline; 0 if there is none."""
    end = size
    while end > 0:
        begin = max(0, end - BLOCK)
        at = os.pread(fd, end - begin, begin).rfind(b"\n")
        if at >= 0:
            return begin + at + 1
        end = begin
    return 0


def _create_beside(path: Path, suffix: str) -> tuple[Path, int]:
    """A new file `name.suffix`, or `name.suffix-2` and so on where that exists."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    number = 1
    while True:
        ending = suffix if number == 1 else f"{suffix}-{number}"
        copy = path.with_name(f"{path.name}.{ending}")
        with contextlib.suppress(FileExistsError):
            return copy, os.open(copy, flags, 0o600)
        number += 1

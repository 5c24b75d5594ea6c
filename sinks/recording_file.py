"""The file under a recording: opened safely, locked, mended, appended to, never half a line longer.

Blocking, and for one thread at a time. What a recording holds is not its business, except that the
first line of a file must be a recording's header.
"""

import contextlib
import fcntl
import os
import stat
from pathlib import Path

from pipeline.core.codec import Header, NotARecordingError, decode_header, encode_header
from sinks.base import SinkError

_BLOCK = 64 * 1024
_MAX_HEADER = 16 * 1024 * 1024
_SHOWN = 40
_HEADER_START = b'{"kind":"recording"'
_NO_FILES = ("-", "/dev/stdout", "/dev/stderr", "/dev/fd/1", "/dev/fd/2")
_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


class RecordingFile:
    """An open, locked recording whose last line is whole; a `header` given is put at its end.

    Raises:
        SinkError: If the path is no regular file, no recording, in use, or cannot be opened.
    """

    def __init__(self, path: Path, header: Header | None) -> None:
        self.path = path
        self.notices: list[str] = []
        self._fd = _open(path)
        try:
            _require_regular(self._fd, path)
            _lock(self._fd, path)
            self._mend()
            if header is not None:
                self.append(encode_header(header) + b"\n")
            self.sync()
            _sync_directory(path)
        except OSError as exc:
            os.close(self._fd)
            raise SinkError(f"cannot prepare {str(path)!r}: {exc.strerror}") from exc
        except SinkError:
            os.close(self._fd)
            raise

    def append(self, lines: bytes) -> None:
        """Write whole lines at the end, with one write as long as the system takes them whole.

        Raises:
            SinkError: If not all could be written; the file then ends with the last whole line.
        """
        start = os.fstat(self._fd).st_size
        rest = memoryview(lines)
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError as exc:
            written = lines[: len(lines) - len(rest)]
            kept = written.count(b"\n")
            lost = lines.count(b"\n") - kept
            after = self._cut_back(start + written.rfind(b"\n") + 1)
            raise SinkError(
                f"cannot write to {str(self.path)!r}: {exc.strerror}; {lost} of the last "
                f"{kept + lost} lines are not recorded, {after}"
            ) from exc

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

    def close(self) -> None:
        """Release file and lock."""
        os.close(self._fd)

    def _cut_back(self, size: int) -> str:
        try:
            os.ftruncate(self._fd, size)
        except OSError as exc:
            return f"and half a line could not be cut off: {exc.strerror}"
        return "and the file ends with a whole line"

    def _mend(self) -> None:
        """Refuse a file that is no recording; cut off a last line that is not whole."""
        size = os.fstat(self._fd).st_size
        if size == 0:
            return
        _require_recording(self._fd, self.path)
        end = _end_of_lines(self._fd, size)
        if end < size:
            kept = self._keep_tail(end)
            os.ftruncate(self._fd, end)
            self.notices.append(
                f"{self.path.name} ended in the middle of a line, as after a crash; its last "
                f"{size - end} bytes, from offset {end}, are now in {kept.name}"
            )

    def _keep_tail(self, start: int) -> Path:
        copy, fd = _create_beside(self.path, f"torn-{start}")
        with open(fd, "wb", closefd=True) as file:  # noqa: PTH123  a descriptor, not a path
            at = start
            while block := os.pread(self._fd, _BLOCK, at):
                file.write(block)
                at += len(block)
            file.flush()
            os.fsync(fd)
        return copy


def _open(path: Path) -> int:
    if str(path) in _NO_FILES:
        raise SinkError(
            f"found {str(path)!r}, expected a file of its own for the recording; "
            "--output-format stream-json writes events to standard output"
        )
    # O_NONBLOCK: opening a named pipe must not wait for a reader. It means nothing to a file.
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        return os.open(path, flags, 0o600)
    except OSError as exc:
        if path.is_symlink():
            raise SinkError(
                f"{str(path)!r} is a symbolic link; give the name of the file itself"
            ) from exc
        if path.is_dir():
            raise SinkError(f"found a directory at {str(path)!r}, expected a file") from exc
        if not path.parent.is_dir():
            raise SinkError(f"there is no directory {str(path.parent)!r}; create it first") from exc
        raise SinkError(f"cannot open {str(path)!r}: {exc.strerror}") from exc


def _require_regular(fd: int, path: Path) -> None:
    mode = os.fstat(fd).st_mode
    if not stat.S_ISREG(mode):
        found = next((words for is_kind, words in _KINDS if is_kind(mode)), "something else")
        raise SinkError(f"found {found} at {str(path)!r}, expected a file")


def _lock(fd: int, path: Path) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise SinkError(
            f"another run is writing to {str(path)!r}; give this one a file of its own"
        ) from exc


def _require_recording(fd: int, path: Path) -> None:
    """A file that begins with a header, or with part of one where it is all there is."""
    start = _first_line(fd)
    line, newline, _ = start.partition(b"\n")
    why = _objection(line, is_whole=bool(newline))
    if why:
        raise SinkError(
            f"{str(path)!r} is no recording that this version can add to: it begins with "
            f"{line[:_SHOWN]!r} ({why}); it is left as it is, give another name"
        )


def _objection(line: bytes, *, is_whole: bool) -> str:
    """What speaks against a first line; nothing if it is empty."""
    if not is_whole:
        is_torn_header = line.startswith(_HEADER_START) or _HEADER_START.startswith(line)
        return "" if is_torn_header else "it is one line without an end"
    if not line.startswith(_HEADER_START):
        return f"expected {_HEADER_START.decode()}…"
    try:
        decode_header(line)
    except NotARecordingError as exc:
        return str(exc)
    return ""


def _first_line(fd: int) -> bytes:
    """The beginning of a file up to its first newline and a little more, within bounds."""
    start = b""
    while b"\n" not in start and len(start) < _MAX_HEADER:
        block = os.pread(fd, _BLOCK, len(start))
        if not block:
            break
        start += block
    return start


def _end_of_lines(fd: int, size: int) -> int:
    """Offset just behind the last newline; 0 if there is none."""
    end = size
    while end > 0:
        begin = max(0, end - _BLOCK)
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


def _sync_directory(path: Path) -> None:
    """Make the names of new files last."""
    fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)

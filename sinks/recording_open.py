"""Opening the file of a recording: only what a run may write to, and nobody else writes to.

Blocking. Each function raises `SinkError` with words for what it will not do.
"""

import fcntl
import os
import stat
from pathlib import Path

from pipeline.core.codec import Header, NotARecordingError, decode_header
from pipeline.core.parts import COMPRESSED
from sinks.base import SinkError

BLOCK = 64 * 1024
HEADER_START = b'{"kind":"recording"'
_MAX_HEADER = 16 * 1024 * 1024
_SHOWN = 40
_NO_FILES = ("-", "/dev/stdout", "/dev/stderr", "/dev/fd/1", "/dev/fd/2")
_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


def open_locked(path: Path) -> int:
    """A descriptor that appends to a regular file, made if there is none, locked for us alone."""
    fd = _open(path)
    try:
        _require_regular(fd, path)
        _lock(fd, path)
    except BaseException:
        os.close(fd)
        raise
    return fd


def is_same_file(fd: int, path: Path) -> bool:
    """Does the path lead to the open file?"""
    try:
        return os.path.samestat(os.fstat(fd), path.lstat())
    except FileNotFoundError:
        return False


def first_header(fd: int, path: Path) -> Header | None:
    """The header that a file begins with; None where there is only part of one, or nothing."""
    line, newline, _ = _first_line(fd).partition(b"\n")
    try:
        if newline and line.startswith(HEADER_START):
            return decode_header(line)
        why = f"expected {HEADER_START.decode()}…"
        if not newline:
            if line.startswith(HEADER_START) or HEADER_START.startswith(line):
                return None
            why = "it is one line without an end"
    except NotARecordingError as exc:
        why = str(exc)
    raise SinkError(
        f"{str(path)!r} is no recording that this version can add to: it begins with "
        f"{line[:_SHOWN]!r} ({why}); it is left as it is, give another name"
    )


def _open(path: Path) -> int:
    if str(path) in _NO_FILES:
        raise SinkError(
            f"found {str(path)!r}, expected a file of its own for the recording; "
            "--output-format stream-json writes events to standard output"
        )
    if path.suffix in COMPRESSED:
        raise SinkError(
            f"{str(path)!r} is named as a compressed file, and nothing can be added to one; "
            f"unpack it, or give a name without {path.suffix} (see --compress)"
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
        is_ours = is_same_file(fd, path)  # else the run that had it has just begun a new part
    except BlockingIOError:
        is_ours = False
    if not is_ours:
        raise SinkError(f"another run is writing to {str(path)!r}; give this one a file of its own")


def _first_line(fd: int) -> bytes:
    """The beginning of a file up to its first newline and a little more, within bounds."""
    start = b""
    while b"\n" not in start and len(start) < _MAX_HEADER:
        block = os.pread(fd, BLOCK, len(start))
        if not block:
            break
        start += block
    return start

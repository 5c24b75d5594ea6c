"""A file of ours that is to outlive a run: nobody else can get at it, and no write can spoil it.

What is there is checked before it is used: no link, ours, and closed to others.
"""

import contextlib
import os
import secrets
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from config.state import why_unfit

if sys.platform != "win32":
    import fcntl


def _flag(name: str) -> int:
    return int(getattr(os, name, 0))  # some are missing on some systems


_LOCK_PATIENCE = 2.0  # seconds; another run holds it for a few ms
_LOCK_PAUSE = 0.02
_SAFELY = _flag("O_NOFOLLOW") | _flag("O_CLOEXEC") | _flag("O_BINARY")


class PrivateFile:
    """A file of mode 0600, in a folder that is made with mode 0700.

    A change is written whole, beside the file, and then takes its place; a lock keeps two runs from
    undoing each other's. All of it may block for a moment. `error` makes of a reason what is to be
    raised.
    """

    def __init__(self, path: Path, *, most_bytes: int, error: Callable[[str], Exception]) -> None:
        self._path = path
        self._most_bytes = most_bytes
        self._error = error

    def read(self) -> bytes | None:
        """What is in it, and a byte beyond the most there may be; None where there is no file."""
        with self._told("read"):
            try:
                # O_NONBLOCK: a pipe in its place would have us wait for a writer.
                number = os.open(self._path, os.O_RDONLY | _SAFELY | _flag("O_NONBLOCK"))
            except FileNotFoundError:
                return None
            try:
                self._check(os.fstat(number))
                with os.fdopen(number, "rb", closefd=False) as file:
                    return file.read(self._most_bytes + 1)
            finally:
                os.close(number)

    def change(self, update: Callable[[bytes | None], bytes]) -> None:
        """Put in its place what `update` makes of it; if that raises, nothing is changed."""
        with self._told("written"):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._lock():
            self._write(update(self.read()))

    def _check(self, found: os.stat_result) -> None:
        if (why := why_unfit(found)) is not None:
            raise self._error(why)

    def _write(self, text: bytes) -> None:
        if len(text) > self._most_bytes:
            raise self._error(f"it would grow beyond {self._most_bytes} bytes; move it away")
        beside = self._path.with_name(f".{self._path.name}.{secrets.token_hex(8)}")
        with self._told("written"):
            try:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFELY
                with os.fdopen(os.open(beside, flags, 0o600), "wb") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                beside.replace(self._path)
            finally:
                beside.unlink(missing_ok=True)

    @contextmanager
    def _lock(self) -> Generator[None]:
        """Alone among the runs of this user; where the system has no such locks, just go on."""
        if sys.platform == "win32":
            yield
            return
        flags = os.O_RDWR | os.O_CREAT | _SAFELY | _flag("O_NONBLOCK")
        with self._told("locked"):
            number = os.open(self._path.with_name(f"{self._path.name}.lock"), flags, 0o600)
        try:
            _until_locked(number, self._error)
            yield
        finally:
            os.close(number)  # which lets go of the lock

    @contextmanager
    def _told(self, done: str) -> Generator[None]:
        try:
            yield
        except OSError as exc:
            raise self._error(f"it cannot be {done}: {exc.strerror}") from exc


def _until_locked(number: int, error: Callable[[str], Exception]) -> None:
    if sys.platform == "win32":
        return
    deadline = time.monotonic() + _LOCK_PATIENCE
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        if time.monotonic() > deadline:
            raise error("another run holds it; try again")
        time.sleep(_LOCK_PAUSE)

"""Where grants stay between runs: a file that nobody else can read.

One grant for each MCP server (`resource`), which names the issuer that it is from. What is in the
file is checked before it is used: no link, ours, and closed to others.
"""

import contextlib
import os
import secrets
import stat
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import msgspec

from pipeline.shell.oauth.grant import Grant

if sys.platform != "win32":
    import fcntl


def _flag(name: str) -> int:
    return int(getattr(os, name, 0))  # some are missing on some systems


FORMAT = 1
_MOST_BYTES = 1024 * 1024
_MOST_GRANTS = 200
_LOCK_PATIENCE = 2.0  # seconds; another run holds it for a few ms
_LOCK_PAUSE = 0.02
_SAFELY = _flag("O_NOFOLLOW") | _flag("O_CLOEXEC") | _flag("O_BINARY")
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class StoreError(Exception):
    """Grants cannot be kept or read; the text says where, why, and what to do."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the file: whose grant it is, and the grant, None where a keyring has it."""

    issuer: str
    resource: str
    grant: Grant | None = None


class _Contents(msgspec.Struct, frozen=True, kw_only=True):
    format: int = FORMAT
    grants: tuple[Kept, ...] = ()


class Store(Protocol):
    """Keeps grants. All of it may block for a moment: call it in a thread."""

    def load(self, resource: str) -> Grant | None:
        """The grant of an MCP server, None for none. Raises StoreError."""
        ...

    def save(self, grant: Grant) -> None:
        """Keep a grant in place of any other for the same MCP server. Raises StoreError."""
        ...


class NoStore:
    """Keeps nothing."""

    def load(self, resource: str) -> Grant | None:  # noqa: ARG002  (keeps none)
        """None."""
        return None

    def save(self, grant: Grant) -> None:
        """Nothing is kept."""


class FileStore:
    """Grants in one JSON file of mode 0600, in a folder of mode 0700.

    A change is written whole, beside the file, and then takes its place; a lock keeps two runs from
    undoing each other's.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self, resource: str) -> Grant | None:
        """The grant of an MCP server."""
        kept = self.find(resource)
        return None if kept is None else kept.grant

    def save(self, grant: Grant) -> None:
        """Keep a grant."""
        self.keep(Kept(issuer=grant.issuer, resource=grant.resource, grant=grant))

    def find(self, resource: str) -> Kept | None:
        """What is kept for an MCP server, wherever its grant is."""
        return next((kept for kept in self._read() if kept.resource == resource), None)

    def keep(self, kept: Kept) -> None:
        """Write down one; what is there for the same MCP server goes."""
        with self._told("written"):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._lock():
            others = [each for each in self._read() if each.resource != kept.resource]
            self._write((*others, kept)[-_MOST_GRANTS:])

    def _read(self) -> tuple[Kept, ...]:
        with self._told("read"):
            try:
                # O_NONBLOCK: a pipe in its place would have us wait for a writer.
                number = os.open(self._path, os.O_RDONLY | _SAFELY | _flag("O_NONBLOCK"))
            except FileNotFoundError:
                return ()
            with os.fdopen(number, "rb") as file:
                self._check(os.fstat(number))
                text = file.read(_MOST_BYTES + 1)
        try:
            contents = msgspec.json.decode(text, type=_Contents)
        except (msgspec.DecodeError, RecursionError):
            raise self._error("it is not what rxmcp writes; move it away") from None
        if contents.format != FORMAT:
            raise self._error(f"found format {contents.format}, expected {FORMAT}; move it away")
        return contents.grants

    def _check(self, found: os.stat_result) -> None:
        if not stat.S_ISREG(found.st_mode):
            raise self._error("it is no ordinary file; move it away")
        if sys.platform == "win32":
            return  # the user's own folder is closed to others there
        if found.st_uid != os.getuid():
            raise self._error("it belongs to somebody else; move it away")
        if found.st_mode & _OTHERS:
            mode = stat.S_IMODE(found.st_mode)
            raise self._error(f"others may read it (mode {mode:04o}); do `chmod 600` on it")

    def _write(self, grants: tuple[Kept, ...]) -> None:
        text = msgspec.json.encode(_Contents(grants=grants))
        if len(text) > _MOST_BYTES:
            raise self._error(f"it would grow beyond {_MOST_BYTES} bytes; move it away")
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

    def _error(self, why: str) -> StoreError:
        return StoreError(f"tokens are not kept in {str(self._path)!r}: {why}")


def default_path(state_home: str) -> Path:
    """Where the file is if nobody says: in the user's folder for state (XDG_STATE_HOME).

    Raises:
        StoreError: If the user has no home.
    """
    if state_home:
        return Path(state_home) / "rxmcp" / "oauth.json"
    usual = "AppData/Local" if sys.platform == "win32" else ".local/state"
    try:
        return Path.home() / usual / "rxmcp" / "oauth.json"
    except RuntimeError:
        raise StoreError("tokens are not kept: there is no home; set --token-file") from None


def _until_locked(number: int, error: Callable[[str], StoreError]) -> None:
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

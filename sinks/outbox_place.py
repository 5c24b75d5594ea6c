"""Where outboxes are, who may read them, and which run sends what.

One file for each address of a webhook, in `rxmcp/outbox/` of the user's folder for state. Its name
is a digest of the address, which may hold a secret. Blocking; each function raises `OutboxError`.
"""

import contextlib
import fcntl
import os
from hashlib import sha256
from pathlib import Path

from config.state import NoHomeError, state_folder, why_unfit
from sinks.recording_open import is_same_file

SUFFIX = ".sqlite3"
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_DIGITS = 32


class OutboxError(Exception):
    """Messages cannot be kept on the disk; the text says where, why, and what to do."""


def outbox_folder(state_home: str) -> Path:
    """The folder of all outboxes; it need not be there."""
    try:
        return state_folder(state_home) / "outbox"
    except NoHomeError as exc:
        raise OutboxError("there is no home to keep an outbox in; set XDG_STATE_HOME") from exc


def outbox_path(folder: Path, url: str) -> Path:
    """The file for the messages to one address."""
    return folder / f"{sha256(url.encode()).hexdigest()[:_DIGITS]}{SUFFIX}"


def prepare(path: Path) -> None:
    """See to it that the file is there, is an ordinary one, and only its owner may read it."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.parent.chmod(0o700)
        # What is there is never opened here: to close it would let go of SQLite's own locks on it.
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, _FLAGS | os.O_EXCL, 0o600))
        why = why_unfit(path.lstat())
    except OSError as exc:
        raise OutboxError(f"the outbox {str(path)!r} cannot be opened: {exc.strerror}") from exc
    if why is not None:
        raise OutboxError(f"the outbox {str(path)!r} is not used: {why}")


class Claims:
    """Which sessions in an outbox are ours to send: one lock file for each of them.

    The system lets go of a lock when its process dies, however that comes about, so nobody has to
    guess how long another run may take.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: dict[str, int] = {}

    @property
    def held(self) -> tuple[str, ...]:
        """The sessions that are ours."""
        return tuple(self._held)

    def take(self, session: str) -> bool:
        """Is the session ours now, or was before? False: another run has it."""
        if session in self._held:
            return True
        path = self._file(session)
        try:
            fd = os.open(path, _FLAGS, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                is_ours = is_same_file(fd, path)  # else who had it has just taken it away
            except BaseException:
                os.close(fd)
                raise
        except BlockingIOError:
            return False
        except OSError as exc:
            raise OutboxError(f"{str(path)!r} cannot be locked: {exc.strerror}") from exc
        if not is_ours:
            os.close(fd)
            return False
        self._held[session] = fd
        return True

    def release(self, session: str) -> None:
        """Let others have a session; one that is not ours stays as it is."""
        fd = self._held.pop(session, None)
        if fd is None:
            return
        try:
            self._file(session).unlink(missing_ok=True)
        except OSError:
            # A folder that has become read-only keeps the file: it is empty, and locks nothing.
            return
        finally:
            os.close(fd)

    def release_all(self) -> None:
        """Let others have all."""
        for session in self.held:
            self.release(session)

    def _file(self, session: str) -> Path:
        return self._path.with_name(f"{self._path.stem}.{session}.lock")

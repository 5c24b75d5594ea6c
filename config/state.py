"""The folder for what lasts between runs, and which files in it are fit to hold what is private."""

import os
import stat
import sys
from pathlib import Path

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class NoHomeError(Exception):
    """The user has no home, so there is no folder for state."""


def state_folder(state_home: str) -> Path:
    """Ours in the user's folder for state (XDG_STATE_HOME, `state_home`; else the usual one).

    Raises:
        NoHomeError: If there is none.
    """
    if state_home:
        return Path(state_home) / "rxmcp"
    usual = "AppData/Local" if sys.platform == "win32" else ".local/state"
    try:
        return Path.home() / usual / "rxmcp"
    except RuntimeError:
        raise NoHomeError from None


def why_unfit(found: os.stat_result) -> str | None:
    """What is wrong with a file that should be ours alone, and what to do; None if nothing is."""
    if not stat.S_ISREG(found.st_mode):
        return "it is no ordinary file; move it away"
    if sys.platform == "win32":
        return None  # the user's own folder is closed to others there
    if found.st_uid != os.getuid():
        return "it belongs to somebody else; move it away"
    if found.st_mode & _OTHERS:
        mode = stat.S_IMODE(found.st_mode)
        return f"others may read it (mode {mode:04o}); do `chmod 600` on it"
    return None

"""The program on a real terminal, with the keys that a person presses."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from tests.support.program import DEADLINE, MAIN, environment

CTRL_C, CTRL_D = b"\x03", b"\x04"
_BECOMES_ITS_OWN = (  # the terminal sends Ctrl-C to the programs that it controls
    "import fcntl, os, sys, termios;"
    "fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)
_SEQUENCE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|[()][0-9A-B]|[=>])")


class Terminal:
    """A terminal with the chat in it.

    `raw` is what was shown, `seen` the same without escape sequences.
    """

    def __init__(self, *argv: str, cwd: Path) -> None:
        self.seen = ""
        self._read = 0
        self.raw = b""
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", _BECOMES_ITS_OWN, str(MAIN), *argv],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=cwd,
            env=environment(cwd, {"TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}),
            start_new_session=True,
        )
        os.close(theirs)

    def type(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def shows(self, text: str) -> None:
        """Read until it was shown, after what was waited for before."""
        while text not in self.seen[self._read :]:
            assert self._more(), f"{text!r} did not come: {self.seen!r}"
        self._read = self.seen.index(text, self._read) + len(text)

    def ended(self) -> int:
        """Its exit status."""
        while self._more():
            pass
        return self.process.wait(DEADLINE)

    def stop(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._ours)

    def _more(self) -> bool:
        ready, _, _ = select.select([self._ours], [], [], DEADLINE)
        assert ready, f"nothing came for {DEADLINE:g} s after {self.seen!r}"
        try:
            chunk = os.read(self._ours, 65536)
        except OSError:  # how Linux says that nobody has the terminal open any more
            return False
        self.raw += chunk
        self.seen = _SEQUENCE.sub(b"", self.raw).decode("utf-8", "replace")
        return chunk != b""

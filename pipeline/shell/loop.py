"""An event loop whose time stands still while the process is stopped (SIGSTOP, Ctrl-Z).

When such a process goes on, its deadlines are over at once, though what came meanwhile lies in its
sockets and was never looked at: an answer would be told as lost that is there. So a stop does not
count, neither for `asyncio.timeout` nor for any timer: each has the time that it had before.
"""

import asyncio
import math
import selectors
import sys
import time
from collections.abc import Callable

LATE = 1.0
"""Seconds that may pass between two looks at the clock, beyond those that were to be waited."""


class _Selector(selectors.DefaultSelector):
    """Tells how long a wait for events is to last, and that it is over."""

    def __init__(self, on_wait: Callable[[float], None], on_woken: Callable[[], None]) -> None:
        super().__init__()
        self._on_wait = on_wait
        self._on_woken = on_woken

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._on_wait(math.inf if timeout is None else max(timeout, 0.0))
        try:
            return super().select(timeout)
        finally:
            self._on_woken()


class StandingLoop(asyncio.SelectorEventLoop):
    """The usual loop, but for its `time`, which stands still while nothing of it can run.

    When in a wait the process was stopped nobody can say, so the whole wait is left out: rather too
    much time than none. So is what a callback takes for itself, if that is more than `LATE`.
    """

    def __init__(self) -> None:
        self._seen = time.monotonic()
        self._stood_still = 0.0
        self._expected = 0.0
        super().__init__(_Selector(self._wait, self._woken))

    def time(self) -> float:
        """Seconds on a clock that only goes forward, and not while the process is stopped."""
        now = super().time()
        gap, self._seen = now - self._seen, now
        if gap > self._expected + LATE:
            self._stood_still += gap
        return now - self._stood_still

    def _wait(self, seconds: float) -> None:
        self.time()
        self._expected = seconds

    def _woken(self) -> None:
        self.time()
        self._expected = 0.0


def new_loop() -> asyncio.AbstractEventLoop:
    """The loop for a run. Windows stops no process, and its usual loop has no selector."""
    return asyncio.new_event_loop() if sys.platform == "win32" else StandingLoop()

"""One deadline for all that has to happen at the end of a run."""

import asyncio

SHUTDOWN = 15.0
"""Seconds for that end where nobody says otherwise."""


class Deadline:
    """`seconds` from `begin` on, shared by the steps of an end; the clock is the loop's.

    A step that waits for somebody else takes a `part`, so that none of them costs another one all
    of its time. What writes down what is left takes all that is `left`.
    """

    def __init__(self, seconds: float = SHUTDOWN) -> None:
        self.seconds = seconds
        self._ends_at: float | None = None

    def begin(self) -> None:
        """The end of the run has come; said again, it changes nothing."""
        if self._ends_at is None:
            self._ends_at = asyncio.get_running_loop().time() + self.seconds

    def left(self) -> float:
        """Seconds that are left, 0 at the end of the time; all of them before `begin`."""
        if self._ends_at is None:
            return self.seconds
        return max(0.0, self._ends_at - asyncio.get_running_loop().time())

    def part(self, most: float) -> float:
        """Seconds for one step: half of what is left, and at most so many."""
        return min(most, self.left() / 2)

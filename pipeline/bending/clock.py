"""Time that passes only when somebody asks for it, as a scheduler for Rx operators.

`reactivex` has virtual schedulers, but they move the clock by themselves once a hundred things are
due at the same moment, and its historical one breaks there.
"""

import heapq
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TypeVar

from reactivex import abc, typing
from reactivex.disposable import Disposable, SingleAssignmentDisposable
from reactivex.scheduler.scheduler import Scheduler

from pipeline.core.instants import NotATimeError, microseconds

S = TypeVar("S")

MICRO = 1_000_000
LAST = 1 << 62
"""The rank of what has no place in the recording."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_END = int((datetime(9999, 12, 31, tzinfo=UTC) - _EPOCH).total_seconds()) * MICRO


class VirtualClock(Scheduler):
    """Does what is due, one thing at a time, in the order of time, then rank, then arrival.

    Times are microseconds since 1970. `expected` counts what `at` was given and is still to come;
    what Rx operators schedule for themselves, such as the ticks of a heartbeat, does not count.
    """

    def __init__(self, began: int) -> None:
        self.us = began
        self.expected = 0
        self._numbers = count()
        self._agenda: list[tuple[int, int, int, Callable[[], None]]] = []

    @property
    def now(self) -> datetime:
        """The time, as Rx wants it."""
        return _EPOCH + timedelta(microseconds=self.us)

    @property
    def instant(self) -> str:
        """The time, as recordings write it."""
        return self.now.isoformat(timespec="microseconds").replace("+00:00", "Z")

    def in_seconds(self, seconds: float) -> int:
        """The moment in so many seconds; one that no calendar has is the end of them all."""
        return self.us + min(round(max(0.0, min(seconds, float(_END))) * MICRO), _END)

    def at(self, due: int, do: Callable[[], None], *, rank: int = LAST) -> abc.DisposableBase:
        """Do something at a moment, at once if that has passed; disposing forgets it."""
        self.expected += 1
        is_open = True

        def over() -> bool:
            nonlocal is_open
            was_open, is_open = is_open, False
            self.expected -= was_open
            return was_open

        def arrive() -> None:
            if over():
                do()

        self._put(due, rank, arrive)

        def forget() -> None:
            over()

        return Disposable(forget)

    def step(self) -> bool:
        """Let time pass to the next thing that is due, and do it; False where nothing is."""
        if not self._agenda:
            return False
        due, _, _, do = heapq.heappop(self._agenda)
        self.us = max(self.us, due)
        do()
        return True

    # --- for Rx -------------------------------------------------------------------------------

    def schedule(
        self, action: abc.ScheduledAction[S], state: S | None = None
    ) -> abc.DisposableBase:
        """Soon: when what is due now and was there before is done."""
        return self._schedule(self.us, action, state)

    def schedule_relative(
        self, duetime: typing.RelativeTime, action: abc.ScheduledAction[S], state: S | None = None
    ) -> abc.DisposableBase:
        """In so many seconds."""
        return self._schedule(self.in_seconds(self.to_seconds(duetime)), action, state)

    def schedule_absolute(
        self, duetime: typing.AbsoluteTime, action: abc.ScheduledAction[S], state: S | None = None
    ) -> abc.DisposableBase:
        """At that time."""
        return self._schedule(round(self.to_seconds(duetime) * MICRO), action, state)

    def _schedule(
        self, due: int, action: abc.ScheduledAction[S], state: S | None
    ) -> abc.DisposableBase:
        slot = SingleAssignmentDisposable()

        def run() -> None:
            if not slot.is_disposed:
                slot.disposable = self.invoke_action(action, state)

        self._put(due, LAST, run)
        return slot

    def _put(self, due: int, rank: int, do: Callable[[], None]) -> None:
        entry = (min(max(due, self.us), _END), rank, next(self._numbers), do)
        heapq.heappush(self._agenda, entry)


def us_of(at: str, before: int) -> int:
    """The time of an entry; one that cannot be read, or is earlier, is as late as the one before.

    A person may set the computer's clock back; what happened next still happened later.
    """
    try:
        return max(before, microseconds(at))
    except NotATimeError:
        return before

"""The timers of a bent run: as exact as those of the recorded one."""

from collections import deque
from collections.abc import Callable
from functools import partial

from reactivex import abc

from pipeline.bending.clock import VirtualClock
from pipeline.bending.script import Started
from pipeline.bending.standing import Standing
from pipeline.core.events import TimerFired


class Timers:
    """Named timers on the virtual clock.

    A loop is late by some milliseconds, and what it does then comes later by as much: so the timers
    of the recording, taken in their order, are late as they were. All others are exact.
    """

    def __init__(
        self, recorded: list[Started], clock: VirtualClock, put: Callable[[TimerFired], None]
    ) -> None:
        self._recorded = recorded
        self._clock = clock
        self._put = put
        self._lasted: dict[tuple[str, float], deque[int | None]] = {}
        self._waiting: dict[str, abc.DisposableBase] = {}

    def take_over(self, standing: Standing, since: int) -> None:
        """Go on with the timers that run at event `since`."""
        latest = {each.id: each for each in self._recorded if each.seq < since}
        for each in self._recorded:
            if each.seq > since:
                same = self._lasted.setdefault((each.id, each.seconds), deque())
                same.append(each.lasted)
        for id_, due in standing.timers.items():
            found = latest.get(id_)
            is_known = found is not None and found.lasted is not None
            self._set(id_, found.at + (found.lasted or 0) if found and is_known else due)

    def start(self, id_: str, seconds: float) -> None:
        """Fire in so many seconds; a timer of that name starts over."""
        same = self._lasted.get((id_, seconds))
        due = self._clock.in_seconds(seconds)
        lasted = same.popleft() if same else None
        self._set(id_, due if lasted is None else max(due, self._clock.us + lasted))

    def stop(self, id_: str) -> None:
        """Forget a timer; one that has fired or never ran is fine."""
        if id_ in self._waiting:
            self._waiting.pop(id_).dispose()

    def _set(self, id_: str, due: int) -> None:
        self.stop(id_)
        self._waiting[id_] = self._clock.at(due, partial(self._fire, id_))

    def _fire(self, id_: str) -> None:
        del self._waiting[id_]
        self._put(TimerFired(id=id_))

"""What comes over one connection: in its order, each thing when it is due, unless it is bent."""

from collections import deque
from functools import partial

from reactivex import abc
from reactivex.disposable import Disposable

from pipeline.bending.bends import Bend, Bends
from pipeline.bending.clock import LAST, VirtualClock
from pipeline.core.events import Input


class End:
    """Our end of a connection: what becomes of what comes over it. `bent` says why, for texts.

    What cannot be bent in a way need not know it: no fault of that kind is taken for it.
    """

    def hand(self, item: Input) -> None:
        """It came."""
        raise NotImplementedError

    def drop(self, bent: str, lost: list["Due"]) -> None:
        """The connection breaks just before it would have come, and with it what is `lost`."""
        raise NotImplementedError

    def refuse(self, status: int, bent: str) -> None:
        """An HTTP status comes in its place."""
        raise NotImplementedError

    def fall_silent(self, lost: list["Due"]) -> None:
        """Nothing more will be said at the other end, not what is `lost`; the connection stays."""
        raise NotImplementedError


class Due:
    """Something that is to come; `cancel` if it is not to come after all."""

    def __init__(self, item: Input, seq: int, due: int) -> None:
        self.item = item
        self.seq = seq
        self.due = due
        self.waiting: abc.DisposableBase = Disposable()
        self.is_cancelled = False

    def cancel(self) -> None:
        """It does not come; one that came is fine."""
        self.is_cancelled = True
        self.waiting.dispose()


class Line:
    """One connection. What is delayed delays all behind it: nothing overtakes on a connection."""

    def __init__(self, clock: VirtualClock, bends: Bends, end: End) -> None:
        self._clock = clock
        self._bends = bends
        self._end = end
        self._expected: dict[Due, None] = {}
        self._held: deque[Due] = deque()
        self._release: abc.DisposableBase = Disposable()

    def expect(self, at: int, item: Input, seq: int = 0, *, is_first: bool = False) -> Due:
        """It will come at that time (µs); `seq` is its place in the recording, 0: it has none.

        `is_first`: before all else of that moment.
        """
        due = Due(item, seq, at)
        self._expected[due] = None
        rank = 0 if is_first else seq or LAST
        due.waiting = self._clock.at(at, partial(self._arrive, due), rank=rank)
        return due

    def cut(self) -> list[Due]:
        """Nothing of what is expected will come: that, in its order."""
        lost = [*self._held, *sorted(self._expected, key=lambda due: due.due)]
        lost = [due for due in lost if not due.is_cancelled]
        self._held.clear()
        self._expected.clear()
        self._release.dispose()
        for due in lost:
            due.cancel()
        return lost

    def _arrive(self, due: Due) -> None:
        del self._expected[due]
        self._held.append(due)
        if len(self._held) == 1:
            self._pass_on()

    def _pass_on(self) -> None:
        """Hand over what is there, up to what comes later."""
        while self._held:
            due = self._held[0]
            bend = None if due.is_cancelled else self._bends.take(due.seq, self._clock.instant)
            if bend is not None and bend.fault.kind == "delay":
                later = self._clock.in_seconds(bend.fault.seconds)
                self._release = self._clock.at(later, self._pass_on)
                return
            if bend is not None and bend.fault.kind == "duplicate":
                self._held.insert(1, Due(due.item, 0, due.due))
                continue
            if bend is not None:
                self._break(bend)
                return
            self._held.popleft()
            if not due.is_cancelled:
                self._end.hand(due.item)

    def _break(self, bend: Bend) -> None:
        """Something else comes in the place of all that would have come."""
        bent, lost = f"--fault {bend.fault}", self.cut()
        match bend.fault.kind:
            case "drop":
                self._end.drop(bent, lost)
            case "silence":
                self._end.fall_silent(lost)
            case kind:
                self._end.refuse(int(kind), bent)

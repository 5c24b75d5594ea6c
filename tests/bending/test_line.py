"""One connection: what it brings, in which order, and what a fault puts in its place."""

import pytest

from config.recording_values import FaultKind, FaultWish
from pipeline.bending.bends import Bend, Bends
from pipeline.bending.clock import MICRO, VirtualClock
from pipeline.bending.line import Due, End, Line
from pipeline.core.events import FrameReceived, Input
from tests.support.play import frame


class Heard(End):
    """Writes down what becomes of a line, and when (s)."""

    def __init__(self, clock: VirtualClock) -> None:
        self.log: list[tuple[float, str]] = []
        self._clock = clock

    def note(self, word: str) -> None:
        self.log.append((self._clock.us / MICRO, word))

    def hand(self, item: Input) -> None:
        assert isinstance(item, FrameReceived)
        self.note(item.data)

    def drop(self, bent: str, lost: list[Due]) -> None:
        self.note(f"dropped by {bent}, {len(lost)} lost")

    def refuse(self, status: int, bent: str) -> None:
        self.note(f"refused with {status} by {bent}")

    def fall_silent(self, lost: list[Due]) -> None:
        self.note(f"silent, {len(lost)} lost")


def heard(*faults: FaultWish, cancel: str = "") -> list[tuple[float, str]]:
    """What is heard of a line that brings 1, 2 and 3 in the seconds of these names."""
    clock = VirtualClock(0)
    end = Heard(clock)
    bends = Bends(Bend(fault, fault.at, frame("x", "")) for fault in faults)
    line = Line(clock, bends, end)
    for seq in (1, 2, 3):
        due = line.expect(seq * MICRO, frame("x", str(seq)), seq)
        if cancel == str(seq):
            clock.at(int(1.5 * MICRO), due.cancel)
    while clock.step():
        pass
    assert clock.expected == 0
    return end.log


def fault(kind: FaultKind, at: int, seconds: float = 0.0) -> FaultWish:
    return FaultWish(kind=kind, at=at, seconds=seconds)


@pytest.mark.parametrize(
    ("faults", "log"),
    [
        ([], [(1, "1"), (2, "2"), (3, "3")]),
        ([fault("duplicate", 2)], [(1, "1"), (2, "2"), (2, "2"), (3, "3")]),
        ([fault("delay", 1, 1.5)], [(2.5, "1"), (2.5, "2"), (3, "3")]),
        ([fault("delay", 1, 9), fault("delay", 2, 1)], [(10, "1"), (11, "2"), (11, "3")]),
        ([fault("delay", 1, 9), fault("duplicate", 1)],
         [(10, "1"), (10, "1"), (10, "2"), (10, "3")]),
        ([fault("drop", 2)], [(1, "1"), (2, "dropped by --fault drop@2, 2 lost")]),
        ([fault("500", 1)], [(1, "refused with 500 by --fault 500@1")]),
        ([fault("silence", 3)], [(1, "1"), (2, "2"), (3, "silent, 1 lost")]),
        ([fault("delay", 1, 9), fault("drop", 2)],
         [(10, "1"), (10, "dropped by --fault drop@2, 2 lost")]),
    ],
)  # fmt: skip
def test_what_comes_over_a_line_keeps_its_order_whatever_is_done_to_it(
    faults: list[FaultWish], log: list[tuple[float, str]]
) -> None:
    assert heard(*faults) == log


def test_what_is_cancelled_does_not_come_and_holds_up_nothing() -> None:
    assert heard(cancel="2") == [(1, "1"), (3, "3")]
    assert heard(fault("delay", 1, 1), cancel="1") == [(2, "2"), (3, "3")]
    assert heard(fault("drop", 2), cancel="2") == [(1, "1"), (3, "3")]


def test_a_line_that_is_cut_brings_nothing_more() -> None:
    clock = VirtualClock(0)
    end = Heard(clock)
    line = Line(clock, Bends([Bend(fault("delay", 1, 5), 1, frame("x", ""))]), end)
    line.expect(0, frame("x", "1"), 1)
    line.expect(2 * MICRO, frame("x", "2"))
    assert clock.step()
    lost = line.cut()
    assert [due.due for due in lost] == [0, 2 * MICRO]
    while clock.step():
        pass
    assert (end.log, clock.expected) == ([], 0)


@pytest.mark.parametrize("kind", ["drop", "500", "silence"])
def test_an_end_that_cannot_be_bent_so_says_so(kind: FaultKind) -> None:
    clock = VirtualClock(0)
    line = Line(clock, Bends([Bend(fault(kind, 1), 1, frame("x", ""))]), End())
    line.expect(0, frame("x", ""), 1)
    with pytest.raises(NotImplementedError):
        clock.step()
    bare = Line(clock, Bends([]), End())
    bare.expect(0, frame("x", ""))
    with pytest.raises(NotImplementedError):
        clock.step()

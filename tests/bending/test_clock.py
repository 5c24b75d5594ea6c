"""Virtual time: what is due is done in order, and nothing else moves the clock."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from pipeline.bending.clock import MICRO, VirtualClock, us_of


def run_out(clock: VirtualClock) -> None:
    while clock.step():
        pass


def test_what_is_due_is_done_in_the_order_of_time_then_rank_then_arrival() -> None:
    clock, done = VirtualClock(0), list[str]()

    def say(word: str) -> Callable[[], None]:
        return lambda: done.append(f"{word} at {clock.us}")

    clock.at(20, say("late"), rank=1)
    clock.at(10, say("unranked"))
    clock.at(10, say("unranked too"))
    clock.at(10, say("second"), rank=2)
    clock.at(10, say("first"), rank=1)
    run_out(clock)
    assert done == [
        "first at 10", "second at 10", "unranked at 10", "unranked too at 10", "late at 20",
    ]  # fmt: skip


def test_a_moment_that_has_passed_is_now() -> None:
    clock, done = VirtualClock(100), list[int]()
    clock.at(5, lambda: done.append(clock.us))
    run_out(clock)
    assert done == [100]


def test_what_was_forgotten_is_neither_done_nor_expected() -> None:
    clock, done = VirtualClock(0), list[str]()
    kept, gone = clock.at(1, lambda: done.append("kept")), clock.at(1, lambda: done.append("gone"))
    assert clock.expected == 2
    gone.dispose()
    gone.dispose()
    assert clock.expected == 1
    run_out(clock)
    kept.dispose()
    assert (clock.expected, done) == (0, ["kept"])


def test_hundreds_of_things_at_one_moment_do_not_move_the_clock() -> None:
    """reactivex's own virtual schedulers give time a push after a hundred, or break."""
    clock, times = VirtualClock(7), list[int]()
    for _ in range(500):
        clock.schedule(lambda *_: times.append(clock.us))
    run_out(clock)
    assert times == [7] * 500


def test_rx_can_schedule_soon_in_a_while_and_at_a_time_and_change_its_mind() -> None:
    clock, done = VirtualClock(0), list[tuple[str, float]]()

    def note(word: str) -> Callable[..., None]:
        return lambda *_: done.append((word, clock.us / MICRO))

    clock.schedule_relative(2.5, note("relative"))
    clock.schedule_relative(timedelta(seconds=1), note("delta"))
    clock.schedule_absolute(clock.now + timedelta(seconds=3), note("absolute"))
    clock.schedule(note("soon"))
    clock.schedule_relative(1, note("never")).dispose()
    assert clock.expected == 0
    run_out(clock)
    assert done == [("soon", 0), ("delta", 1), ("relative", 2.5), ("absolute", 3)]


def test_what_comes_in_more_time_than_there_is_comes_at_the_end_of_time() -> None:
    clock = VirtualClock(0)
    clock.at(clock.in_seconds(1e300), lambda: None)
    clock.schedule_relative(1e12, lambda *_: None)
    run_out(clock)
    assert clock.instant == "9999-12-31T00:00:00.000000Z"


@pytest.mark.parametrize(
    ("text", "us"),
    [("1970-01-01T00:00:09.000001Z", 9_000_001), ("", 5), ("1970-01-01T00:00:00Z", 5)],
)
def test_a_time_that_is_unreadable_or_goes_back_is_that_of_before(text: str, us: int) -> None:
    assert us_of(text, 5) == us

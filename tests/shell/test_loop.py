"""The loop of a run: while the process is stopped, its time stands still."""

import asyncio
import selectors
import time
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import pytest

from pipeline.shell.loop import LATE, StandingLoop, new_loop


class Clock:
    """The system's monotonic clock: only the test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def a_loop(lasting: float) -> Iterator[tuple[StandingLoop, Clock]]:
    """A loop that looks for events once, and is woken after so many seconds."""
    clock = Clock()

    def select(_: object, timeout: float | None = None) -> list[object]:
        clock.now += lasting if timeout is None or timeout > 0 else 0.0
        return []

    with (
        patch.object(time, "monotonic", clock),
        patch.object(selectors.DefaultSelector, "select", select),
    ):
        loop = StandingLoop()
        try:
            yield loop, clock
        finally:
            loop.close()


def turn_once(loop: asyncio.AbstractEventLoop) -> None:
    loop._run_once()  # pyright: ignore[reportAttributeAccessIssue]  (nothing else gives one turn)


@pytest.mark.parametrize(
    ("lasting", "counted"),
    [(0.5, 0.5), (10.0, 10.0), (10.0 + LATE, 10.0 + LATE), (10.1 + LATE, 0.0), (7200.0, 0.0)],
)
def test_a_wait_counts_unless_it_was_much_longer_than_it_should_be(
    lasting: float, counted: float
) -> None:
    fired: list[float] = []
    with a_loop(lasting) as (loop, _):
        began = loop.time()
        handle = loop.call_later(10.0, lambda: fired.append(loop.time() - began))
        turn_once(loop)
        assert loop.time() - began == counted
        assert fired == ([counted] if counted >= 10.0 else [])
        handle.cancel()


def test_a_wait_without_an_end_is_never_a_stop() -> None:
    with a_loop(7200.0) as (loop, _):
        began = loop.time()
        turn_once(loop)
        assert loop.time() - began == 7200.0


def test_what_is_left_of_a_deadline_is_left_after_a_stop() -> None:
    fired: list[str] = []
    with a_loop(4.0) as (loop, clock):
        loop.call_later(10.0, fired.append, "over")
        turn_once(loop)
        with patch.object(selectors.DefaultSelector, "select", stopped(clock, 600.0)):
            turn_once(loop)
        assert fired == []
        with patch.object(selectors.DefaultSelector, "select", stopped(clock, 6.0)):
            turn_once(loop)
            turn_once(loop)
        assert fired == ["over"]


def stopped(clock: Clock, seconds: float) -> object:
    def select(_: object, timeout: float | None = None) -> list[object]:
        clock.now += seconds if timeout is None or timeout > 0 else 0.0
        return []

    return select


def test_a_stop_between_two_waits_counts_as_little() -> None:
    """Nor does it stretch the deadlines that are made after it."""
    fired: list[str] = []
    with a_loop(10.0) as (loop, clock):

        def is_stopped() -> None:
            clock.now += 600.0
            loop.call_later(10.0, fired.append, "made after it")

        loop.call_later(10.0, fired.append, "made before it")
        loop.call_soon(is_stopped)
        turn_once(loop)
        turn_once(loop)
        assert fired == ["made before it", "made after it"]


def test_a_clock_that_is_looked_at_never_goes_back() -> None:
    with a_loop(7200.0) as (loop, clock):
        seen = [loop.time()]
        for step in (0.5, LATE, 60.0, 0.1):
            clock.now += step
            seen.append(loop.time())
        assert seen == sorted(seen)
        assert seen[-1] - seen[0] == pytest.approx(0.5 + LATE + 0.1)


def test_it_is_an_ordinary_loop_otherwise() -> None:
    async def add() -> int:
        async with asyncio.timeout(30):
            await asyncio.sleep(0.001)
        process = await asyncio.create_subprocess_exec("true")
        return await process.wait()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(add()) == 0

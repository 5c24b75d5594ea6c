import asyncio
from collections.abc import Callable

import pytest

from pipeline.core.events import TimerFired
from pipeline.shell.timers import Timers

FAR = 3600.0


class Firings:
    """Where the timers of a test put what they say."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self._changed = asyncio.Event()

    def put(self, item: TimerFired) -> None:
        self.ids.append(item.id)
        self._changed.set()

    async def reach(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.ids) < count:
                self._changed.clear()
                await self._changed.wait()


async def test_a_timer_fires_once_with_its_name() -> None:
    firings = Firings()
    Timers(firings.put).start("a", 0.001)
    await firings.reach(1)
    assert firings.ids == ["a"]


async def test_a_restarted_timer_starts_over() -> None:
    firings = Firings()
    timers = Timers(firings.put)
    timers.start("a", FAR)
    timers.start("a", 0.001)
    await firings.reach(1)
    assert firings.ids == ["a"]
    timers.start("a", 0.001)
    timers.start("a", FAR)
    timers.start("b", 0.01)
    await firings.reach(2)
    assert firings.ids == ["a", "b"]
    timers.close()


def _stop(timers: Timers) -> None:
    timers.stop("a")


def _close(timers: Timers) -> None:
    timers.close()
    timers.start("a", 0.0)


@pytest.mark.parametrize("forget", [_stop, _close])
async def test_a_forgotten_timer_does_not_fire(forget: Callable[[Timers], None]) -> None:
    firings, later = Firings(), Firings()
    timers, others = Timers(firings.put), Timers(later.put)
    timers.start("a", 0.001)
    forget(timers)
    others.start("later", 0.02)
    await later.reach(1)
    assert firings.ids == []


async def test_stopping_a_timer_that_never_ran_or_has_fired_is_fine() -> None:
    firings = Firings()
    timers = Timers(firings.put)
    timers.stop("never")
    timers.start("a", 0)
    await firings.reach(1)
    timers.stop("a")
    timers.close()


async def test_a_timer_may_be_restarted_from_its_own_firing() -> None:
    firings = Firings()
    done = asyncio.Event()

    def put(item: TimerFired) -> None:
        firings.put(item)
        if len(firings.ids) < 3:
            timers.start("a", 0)
        else:
            done.set()

    timers = Timers(put)
    timers.start("a", 0)
    async with asyncio.timeout(10):
        await done.wait()
    assert firings.ids == ["a", "a", "a"]

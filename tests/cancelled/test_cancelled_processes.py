"""However often it is cancelled: a process that was started has ended, and its loop knows that.

A loop that is closed before it has heard of an end leaves a process in the table of processes. So
each place has a loop of its own here, closed as soon as the body is over, and Python is asked what
it had to complain of.
"""

import asyncio
import errno
import gc
import os
import warnings
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

import pytest

from pipeline.deadline import Deadline
from pipeline.shell import process as processes
from pipeline.shell.process import Program, ProgramError, ServerProcess, start

DEADLINE = 20.0
SLEEPER = Program("it", "sleep", ("600",))
STUBBORN = Program("it", "sh", ("-c", "trap '' TERM; echo on; while :; do sleep 600; done"))

Body: TypeAlias = Coroutine[Any, Any, object]


async def cancelled_at(place: int, body: Body, times: int) -> bool:
    """Let it run; from its turn `place` on it is cancelled in so many turns. Was it that long?"""
    task, loop = asyncio.create_task(body), asyncio.get_running_loop()
    async with asyncio.timeout(DEADLINE):
        for turn in range(place + times):
            if task.done():
                break
            if turn >= place:
                task.cancel()
            tick = loop.create_future()
            loop.call_soon(tick.set_result, None)
            await asyncio.wait([task, tick], return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait([task])
    if not task.cancelled():
        task.result()
    return task.cancelled()


def complaints_of(run: Coroutine[Any, Any, bool]) -> tuple[bool, list[str]]:
    """What it returned, and what Python found left when its loop was closed."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        was_cancelled = asyncio.run(run)
        gc.collect()
    return was_cancelled, [str(each.message) for each in told]


def sweep(
    make: Callable[[int, int], Coroutine[Any, Any, bool]], times: int, *, first: int = 0
) -> int:
    """Cancelled at one turn after the other, until one comes through; how many there were.

    The first turns are tried each; then they are those of a loop that waits for the system, of
    which there may be hundreds.
    """
    place, tried = first, 0
    while True:
        was_cancelled, complaints = complaints_of(make(place, times))
        assert complaints == [], f"cancelled {times} times from turn {place} on"
        if not was_cancelled:
            return tried
        place, tried = max(place + 1, place * 6 // 5), tried + 1


@pytest.mark.parametrize("times", [1, 2, 3])
def test_one_that_is_being_started(times: int) -> None:
    async def make(place: int, times: int) -> bool:
        started: list[ServerProcess] = []

        async def body() -> None:
            started.append(await start(SLEEPER, {"PATH": "/usr/bin:/bin"}))

        was_cancelled = await cancelled_at(place, body(), times)
        for process in started:
            await process.end(Deadline(0))
        return was_cancelled

    assert sweep(make, times) >= 3


@pytest.mark.parametrize("times", [1, 2, 3])
def test_one_that_is_being_ended(times: int) -> None:
    async def make(place: int, times: int) -> bool:
        process = await start(STUBBORN, {"PATH": "/usr/bin:/bin"})
        await process.stdout.readline()
        return await cancelled_at(place, process.end(Deadline(0)), times)

    assert sweep(make, times, first=1) >= 3


def test_one_that_cannot_be_killed_holds_up_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that waits for a disk which is gone: it takes SIGKILL, and stays."""
    monkeypatch.setattr(processes, "GRACE", 0.05)

    async def make() -> bool:
        process = await start(SLEEPER, {"PATH": "/usr/bin:/bin"})
        inner = process._process
        ended = inner.wait

        async def never() -> int:
            await asyncio.Event().wait()
            raise AssertionError

        monkeypatch.setattr(inner, "wait", never)
        async with asyncio.timeout(DEADLINE):
            await process.end(Deadline())
        monkeypatch.setattr(inner, "wait", ended)
        await inner.wait()
        return True

    assert complaints_of(make()) == (True, [])


def test_one_that_can_have_no_guard_is_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where no more files may be open: the program ran already, and has ended again."""

    async def refused(_: int) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(processes._Guard, "watch", refused)

    async def make() -> bool:
        with pytest.raises(ProgramError, match="cannot start 'sleep': Too many open files"):
            await start(SLEEPER, {"PATH": "/usr/bin:/bin"})
        return True

    assert complaints_of(make()) == (True, [])

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from reactivex import Observable
from reactivex.disposable import SerialDisposable

from pipeline.shell.coroutine import StrayCancellationError, from_coroutine

Push = Callable[[int], None]


class Log:
    """All that an observer hears, and a way to wait for it."""

    def __init__(self) -> None:
        self.heard: list[object] = []
        self._changed = asyncio.Event()

    def on_next(self, item: int) -> None:
        self.heard.append(item)
        self._changed.set()

    def on_error(self, exc: Exception) -> None:
        self.heard.append(exc)
        self._changed.set()

    def on_completed(self) -> None:
        self.heard.append("end")
        self._changed.set()

    async def reach(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.heard) < count:
                self._changed.clear()
                await self._changed.wait()


class Owner:
    """Spawns tasks and waits for all of them, as a task group does."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[None]] = []

    def spawn(self, coro: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.get_running_loop().create_task(coro)
        self.tasks.append(task)
        return task

    async def results(self) -> list[object]:
        async with asyncio.timeout(10):
            return list(await asyncio.gather(*self.tasks, return_exceptions=True))


def subscribe(source: Observable[int], log: Log) -> Any:
    return source.subscribe(log.on_next, log.on_error, log.on_completed)


async def test_items_then_completion_come_out_once_per_subscription() -> None:
    async def run(push: Push) -> None:
        push(1)
        await asyncio.sleep(0)
        push(2)

    owner, first, second = Owner(), Log(), Log()
    source = from_coroutine(run, owner.spawn)
    subscribe(source, first)
    subscribe(source, second)
    assert await owner.results() == [None, None]
    assert first.heard == second.heard == [1, 2, "end"]


async def test_a_failure_of_the_source_is_an_on_error() -> None:
    fault = ConnectionError("cut")

    async def run(push: Push) -> None:
        push(1)
        raise fault

    owner, log = Owner(), Log()
    subscribe(from_coroutine(run, owner.spawn), log)
    assert await owner.results() == [None]
    assert log.heard == [1, fault]


async def test_disposing_cancels_and_lets_the_cleanup_finish() -> None:
    cleaned: list[str] = []

    async def run(push: Push) -> None:
        push(1)
        try:
            await asyncio.Event().wait()
        finally:
            push(2)
            await asyncio.sleep(0)
            cleaned.append("done")

    owner, log = Owner(), Log()
    subscription = subscribe(from_coroutine(run, owner.spawn), log)
    await log.reach(1)
    subscription.dispose()
    (result,) = await owner.results()
    assert isinstance(result, asyncio.CancelledError)
    assert cleaned == ["done"]
    assert log.heard == [1]


async def test_what_a_disposed_source_pushes_returns_or_raises_is_heard_by_nobody() -> None:
    started = asyncio.Event()

    async def stubborn(push: Push) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            push(1)

    async def failing(push: Push) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            raise ConnectionError("while closing")

    for run in (stubborn, failing):
        owner, log = Owner(), Log()
        started.clear()
        # Straight to the core, as operators may do: `subscribe` would guard it once more.
        source = from_coroutine(run, owner.spawn)
        subscription = source._subscribe_core(log)  # type: ignore[arg-type]
        async with asyncio.timeout(10):
            await started.wait()
        subscription.dispose()
        assert await owner.results() == [None]
        assert log.heard == []


async def test_disposing_inside_on_next_stops_the_source_there_but_not_its_cleanup() -> None:
    steps: list[str] = []

    async def run(push: Push) -> None:
        try:
            push(1)
            steps.append("went on")
        finally:
            await asyncio.sleep(0)
            steps.append("cleaned")

    owner, log = Owner(), Log()
    slot = SerialDisposable()

    def on_next(item: int) -> None:
        log.on_next(item)
        slot.dispose()

    slot.disposable = from_coroutine(run, owner.spawn).subscribe(
        on_next, log.on_error, log.on_completed
    )
    assert await owner.results() == [None]
    assert steps == ["cleaned"]
    assert log.heard == [1]


async def test_disposing_inside_on_error_does_not_cancel_the_task() -> None:
    async def run(_push: Push) -> None:
        raise ConnectionError("cut")

    owner, log = Owner(), Log()
    slot = SerialDisposable()

    def on_error(exc: Exception) -> None:
        log.on_error(exc)
        slot.dispose()

    slot.disposable = from_coroutine(run, owner.spawn).subscribe(log.on_next, on_error)
    assert await owner.results() == [None]
    assert [str(exc) for exc in log.heard] == ["cut"]


async def test_cancellation_by_the_owner_is_no_error_and_no_completion() -> None:
    async def run(push: Push) -> None:
        push(1)
        await asyncio.Event().wait()

    owner, log = Owner(), Log()
    subscribe(from_coroutine(run, owner.spawn), log)
    await log.reach(1)
    owner.tasks[0].cancel()
    (result,) = await owner.results()
    assert isinstance(result, asyncio.CancelledError)
    assert log.heard == [1]


async def test_a_cancellation_that_was_somebody_elses_is_a_failure_not_silence() -> None:
    async def run(_push: Push) -> None:
        other: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        other.cancel()
        await other

    owner, log = Owner(), Log()
    subscribe(from_coroutine(run, owner.spawn), log)
    assert await owner.results() == [None]
    (exc,) = log.heard
    assert isinstance(exc, StrayCancellationError)


@pytest.mark.parametrize("is_swallowed", [False, True])
async def test_an_observer_that_raises_is_heard_by_the_owner(is_swallowed: bool) -> None:
    fault = ConnectionError("a bug of ours that looks like the network")

    async def run(push: Push) -> None:
        try:
            push(1)
        except ConnectionError:
            if not is_swallowed:
                raise

    errors: list[Exception] = []

    def on_next(_item: int) -> None:
        raise fault

    owner = Owner()
    from_coroutine(run, owner.spawn).subscribe(on_next, errors.append)
    assert await owner.results() == [fault]
    assert errors == []


def test_disposing_while_the_loop_stands_still_cancels_once_it_runs_again() -> None:
    async def run(_push: Push) -> None:
        await asyncio.Event().wait()

    async def start() -> tuple[Any, Owner]:
        owner = Owner()
        return subscribe(from_coroutine(run, owner.spawn), Log()), owner

    with asyncio.Runner() as runner:
        subscription, owner = runner.run(start())
        subscription.dispose()
        (result,) = runner.run(owner.results())
    assert isinstance(result, asyncio.CancelledError)

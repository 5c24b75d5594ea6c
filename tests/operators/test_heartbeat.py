"""`heartbeat`: when it fails, when it must not, and that it leaves nothing behind."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
import reactivex as rx
from hypothesis import given
from hypothesis import strategies as st
from reactivex import Observable, abc
from reactivex.scheduler.eventloop import AsyncIOScheduler
from reactivex.scheduler.scheduler import Scheduler
from reactivex.subject import Subject
from reactivex.testing import ReactiveTest, TestScheduler
from reactivex.testing.mockobserver import MockObserver

from config.options import HeartbeatOptions
from operators.heartbeat import StreamSilentError, heartbeat

on_next, on_error, on_completed = (
    ReactiveTest.on_next,
    ReactiveTest.on_error,
    ReactiveTest.on_completed,
)
subscribe = ReactiveTest.subscribe
SILENCE = 100


class CountingScheduler(TestScheduler):
    """Counts what is put on it, and says what is left."""

    scheduled = 0

    def schedule_relative(self, duetime: Any, action: Any, state: Any = None) -> abc.DisposableBase:
        self.scheduled += 1
        return super().schedule_relative(duetime, action, state)

    @property
    def pending(self) -> int:
        return sum(not item.is_cancelled() for item, _ in self._queue.items)


class ShiftedClock(Scheduler):
    """Timers of a `TestScheduler`, but a clock that somebody sets."""

    def __init__(self, timers: TestScheduler) -> None:
        self.timers = timers
        self.shift = timedelta()

    @property
    def now(self) -> datetime:
        return self.timers.now + self.shift

    def schedule(self, action: Any, state: Any = None) -> abc.DisposableBase:
        return self.timers.schedule(action, state)

    def schedule_relative(self, duetime: Any, action: Any, state: Any = None) -> abc.DisposableBase:
        return self.timers.schedule_relative(duetime, action, state)

    def schedule_absolute(self, duetime: Any, action: Any, state: Any = None) -> abc.DisposableBase:
        return self.timers.schedule_absolute(duetime, action, state)


def beat(
    suspended: Callable[[], bool] = lambda: False,
) -> Callable[[Observable[Any]], Observable[Any]]:
    return heartbeat(HeartbeatOptions(silence=SILENCE), suspended=suspended)


def at(scheduler: TestScheduler, time: float, do: Callable[[], object]) -> None:
    def action(_scheduler: abc.SchedulerBase, _state: Any = None) -> None:
        do()

    scheduler.schedule_absolute(time, action)


def drawn(result: MockObserver[Any]) -> list[tuple[float, Any]]:
    """What was seen: an item, or the type of the error, or "|"."""
    seen: list[tuple[float, Any]] = []
    for message in result.messages:
        match message.value.kind:
            case "N":
                seen.append((message.time, message.value.value))
            case "E":
                seen.append((message.time, type(message.value.exception)))
            case _:
                seen.append((message.time, "|"))
    return seen


def test_items_pass_and_silence_after_them_fails():
    scheduler = TestScheduler()
    source = scheduler.create_hot_observable(
        on_next(210, "a"), on_next(260, "b"), on_next(900, "late")
    )
    result = scheduler.start(lambda: source.pipe(beat()))
    assert drawn(result) == [(210, "a"), (260, "b"), (375, StreamSilentError)]
    assert source.subscriptions == [subscribe(200, 375)]


def test_a_source_that_never_speaks_fails_too():
    scheduler = TestScheduler()
    result = scheduler.start(lambda: rx.never().pipe(beat()))
    assert drawn(result) == [(325, StreamSilentError)]


@given(st.lists(st.integers(1, SILENCE), max_size=8))
def test_the_failure_comes_within_a_quarter_after_the_silence(gaps: list[int]):
    scheduler = TestScheduler()
    times = [200 + sum(gaps[: n + 1]) for n in range(len(gaps))]
    source = scheduler.create_hot_observable([on_next(time, time) for time in times])
    result = scheduler.start(lambda: source.pipe(beat()), disposed=5000)
    *items, (failed, error) = drawn(result)
    assert [item for _, item in items] == times
    assert error is StreamSilentError
    last = times[-1] if times else 200
    assert SILENCE <= failed - last <= 1.25 * SILENCE


def test_the_error_says_how_long_and_what_to_change():
    scheduler = TestScheduler()
    result = scheduler.start(lambda: rx.never().pipe(beat()))
    error = result.messages[0].value.exception
    assert isinstance(error, ConnectionError)
    assert "100 s" in str(error)
    assert "--silence" in str(error)


def test_the_source_is_gone_before_the_failure_is_told():
    scheduler = TestScheduler()
    source: Subject[str] = Subject()
    observers_then: list[int] = []
    source.pipe(beat()).subscribe(
        on_error=lambda _: observers_then.append(len(source.observers)), scheduler=scheduler
    )
    scheduler.start()
    assert observers_then == [0]


def test_a_thousand_items_cost_no_timer():
    scheduler = CountingScheduler()
    source: Subject[int] = Subject()
    seen: list[int] = []
    source.pipe(beat()).subscribe(seen.append, scheduler=scheduler)
    for item in range(1000):
        source.on_next(item)
    assert len(seen) == 1000
    assert scheduler.scheduled == 1


@pytest.mark.parametrize(
    "end", [lambda source: source.on_completed(), lambda source: source.on_error(OSError("lost"))]
)
def test_the_end_of_the_source_passes_and_stops_the_timer(end: Callable[[Subject[str]], None]):
    scheduler = CountingScheduler()
    source: Subject[str] = Subject()
    result = scheduler.create_observer()
    source.pipe(beat()).subscribe(result, scheduler=scheduler)
    end(source)
    assert len(result.messages) == 1
    assert scheduler.pending == 0


def test_a_source_that_ends_while_being_subscribed_leaves_no_timer():
    scheduler = CountingScheduler()
    result = scheduler.create_observer()
    one = Observable(lambda observer, _: observer.on_next("a") or observer.on_completed())
    one.pipe(beat()).subscribe(result, scheduler=scheduler)
    assert drawn(result) == [(0, "a"), (0, "|")]
    assert scheduler.pending == 0


def test_disposing_stops_the_timer_and_the_source():
    scheduler = CountingScheduler()
    source: Subject[str] = Subject()
    subscription = source.pipe(beat()).subscribe(scheduler=scheduler)
    subscription.dispose()
    assert scheduler.pending == 0
    assert source.observers == []


def test_two_subscriptions_do_not_share_their_silence():
    scheduler = TestScheduler()
    source = scheduler.create_hot_observable(on_next(290, "a"), on_next(380, "b"))
    stream = source.pipe(beat())
    second = scheduler.create_observer()
    at(scheduler, 390, lambda: stream.subscribe(second, scheduler=scheduler))
    first = scheduler.start(lambda: stream)
    assert drawn(first)[-1] == (500, StreamSilentError)
    assert drawn(second) == [(515, StreamSilentError)]


def test_silence_while_we_do_not_read_is_forgiven():
    scheduler = TestScheduler()
    result = scheduler.start(lambda: rx.never().pipe(beat(lambda: scheduler.clock < 590)))
    assert drawn(result) == [(700, StreamSilentError)]


def test_a_fault_while_asking_whether_we_read_ends_the_stream():
    scheduler = TestScheduler()
    fault = RuntimeError("no answer")

    def suspended() -> bool:
        raise fault

    source = scheduler.create_hot_observable(on_next(210, "a"), on_next(230, "b"))
    result = scheduler.start(lambda: source.pipe(beat(suspended)))
    assert result.messages == [on_next(210, "a"), on_error(225, fault)]
    assert source.subscriptions == [subscribe(200, 225)]


@pytest.mark.parametrize("length", [60, 5000])
@pytest.mark.parametrize("stopped_at", [201, 226, 280, 301, 324])
def test_a_process_that_was_stopped_gives_the_stream_its_whole_time_again(
    stopped_at: int, length: int
):
    scheduler = TestScheduler()
    at(scheduler, stopped_at, lambda: scheduler.sleep(length))
    result = scheduler.start(lambda: rx.never().pipe(beat()), disposed=20000)
    woken = stopped_at + length
    [(failed, error)] = drawn(result)
    assert error is StreamSilentError
    assert woken + SILENCE <= failed <= woken + 1.25 * SILENCE


def test_what_arrived_while_the_process_was_stopped_still_counts():
    scheduler = TestScheduler()
    source: Subject[str] = Subject()
    at(scheduler, 310, lambda: scheduler.sleep(5000))
    at(scheduler, 5320, lambda: source.on_next("kept in the socket"))
    at(scheduler, 5330, source.on_completed)
    result = scheduler.start(lambda: source.pipe(beat()), disposed=20000)
    assert drawn(result) == [(5320, "kept in the socket"), (5330, "|")]


def test_a_loop_that_is_a_little_late_is_no_excuse():
    scheduler = TestScheduler()
    at(scheduler, 320, lambda: scheduler.sleep(20))
    result = scheduler.start(lambda: rx.never().pipe(beat()))
    assert drawn(result) == [(340, StreamSilentError)]


@pytest.mark.parametrize(("step", "failed"), [(timedelta(hours=-1), 325), (timedelta(days=1), 425)])
def test_a_clock_that_is_set_back_changes_nothing_and_set_forward_forgives_once(
    step: timedelta, failed: int
):
    timers = TestScheduler()
    clock = ShiftedClock(timers)
    result = timers.create_observer()
    at(timers, 200, lambda: rx.never().pipe(beat()).subscribe(result, scheduler=clock))
    at(timers, 290, lambda: setattr(clock, "shift", step))
    timers.start()
    assert drawn(result) == [(failed, StreamSilentError)]


def test_a_silence_longer_than_any_calendar_is_fine():
    scheduler = CountingScheduler()
    options = HeartbeatOptions(silence=1e9)
    errors: list[Exception] = []
    stream = rx.never().pipe(heartbeat(options, suspended=lambda: False))
    stream.subscribe(on_error=errors.append, scheduler=scheduler).dispose()
    assert errors == []


async def test_it_ends_a_silent_stream_on_a_real_loop():
    failed: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
    scheduler = AsyncIOScheduler(asyncio.get_running_loop())
    stream = rx.never().pipe(heartbeat(HeartbeatOptions(silence=0.05), suspended=lambda: False))
    stream.subscribe(on_error=failed.set_result, scheduler=scheduler)
    async with asyncio.timeout(30):
        assert isinstance(await failed, StreamSilentError)


def test_without_a_scheduler_it_refuses_in_words():
    errors: list[Exception] = []
    subscribed: list[str] = []
    source = rx.defer(lambda _: subscribed.append("subscribed") or rx.never())
    source.pipe(beat()).subscribe(on_error=errors.append)
    assert [type(error) for error in errors] == [TypeError]
    assert "scheduler" in str(errors[0])
    assert subscribed == []

"""`retry_with_backoff`: when it tries again, when it gives up, and what it says meanwhile."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import reactivex as rx
from hypothesis import given
from hypothesis import strategies as st
from reactivex import Observable, abc
from reactivex import operators as ops
from reactivex.disposable import Disposable
from reactivex.scheduler.eventloop import AsyncIOScheduler
from reactivex.testing import ReactiveTest, TestScheduler
from reactivex.testing.mockobserver import MockObserver
from reactivex.testing.recorded import Recorded

from config.options import HeartbeatOptions, RetryOptions
from operators.fail_when import fail_when
from operators.heartbeat import StreamSilentError, heartbeat
from operators.retry_with_backoff import delay_before, delay_with_wish, retry_with_backoff

on_next, on_error, on_completed = (
    ReactiveTest.on_next,
    ReactiveTest.on_error,
    ReactiveTest.on_completed,
)
subscribe = ReactiveTest.subscribe
LOST = ConnectionError("lost")


class WishError(ConnectionError):
    """A loss with the server's own idea of when to come back."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


def options(**changes: Any) -> RetryOptions:
    """Waits of 10, 20, 40, … up to 1000, and limits that are out of the way unless told."""
    base: dict[str, Any] = {
        "attempts": 1000,
        "first_attempts": 1000,
        "total": 100_000,
        "first_delay": 10,
        "max_delay": 1000,
        "factor": 2,
        "max_wish": 300,
        "healthy_after": 50,
    }
    return RetryOptions(**base | changes)


def retry(**changes: Any) -> Callable[[Observable[Any]], Observable[Any]]:
    collaborators: dict[str, Any] = {
        "is_fatal": lambda exc: isinstance(exc, PermissionError),
        "wish": lambda exc: exc.seconds if isinstance(exc, WishError) else None,
        "announce": lambda _, delay, attempt: ("lost", delay, attempt),
        "is_healthy": lambda item: item == "good",
        "jitter": lambda: 1.0,
    }
    for name in collaborators.keys() & changes.keys():
        collaborators[name] = changes.pop(name)
    return retry_with_backoff(options(**changes), **collaborators)


def drawn(result: MockObserver[Any]) -> list[tuple[float, Any]]:
    """What was seen: an item, an exception, or "|"."""
    return [
        (
            message.time,
            getattr(message.value, "value", None) or getattr(message.value, "exception", "|"),
        )
        for message in result.messages
    ]


def connections(scheduler: TestScheduler, *each: Sequence[Recorded[Any]]) -> Observable[Any]:
    """A source whose n-th subscription is the n-th of `each`; the last one repeats."""
    sources = [scheduler.create_cold_observable(list(messages)) for messages in each]
    count = iter(range(sys.maxsize))
    return rx.defer(lambda _: sources[min(next(count), len(sources) - 1)])


def attempts_of(result: MockObserver[Any]) -> list[int]:
    return [seen[2] for _, seen in drawn(result) if isinstance(seen, tuple)]


# --- how long -------------------------------------------------------------------------------

positive = st.floats(1e-3, 1e6)
any_options = st.builds(
    RetryOptions, first_delay=positive, max_delay=positive, factor=st.floats(1, 100)
)
any_attempt = st.one_of(st.integers(1, 60), st.integers(1, 10**400))


@given(any_options, any_attempt, st.floats(0, 1))
def test_a_delay_is_never_negative_nor_above_its_ceiling(
    some: RetryOptions, attempt: int, jitter: float
):
    assert 0 <= delay_before(some, attempt, jitter) <= some.max_delay


@given(any_options, any_attempt)
def test_the_ceiling_never_shrinks_from_try_to_try(some: RetryOptions, attempt: int):
    assert delay_before(some, attempt, 1.0) <= delay_before(some, attempt + 1, 1.0)


@pytest.mark.parametrize(
    ("attempt", "jitter", "delay"),
    [(1, 1, 10), (2, 1, 20), (3, 1, 40), (3, 0.25, 10), (3, 0, 0), (8, 1, 1000), (9999, 1, 1000)],
)
def test_the_delay_is_a_share_of_a_doubling_ceiling(attempt: int, jitter: float, delay: float):
    assert delay_before(options(), attempt, jitter) == delay


@pytest.mark.parametrize(
    ("attempt", "wish", "delay"),
    [
        (1, None, 10),
        (1, 3, 3),  # exactly, though the backoff would be longer
        (1, 0, 0),
        (2, 3, 20),
        (2, 25, 25),
        (1, -1, 0),
        (1, 10.0**20, 300),
        (1, float("inf"), 300),
        (1, float("nan"), 0),
        (4, float("nan"), 80),
        (9, 10.0**20, 1000),
    ],
)
def test_a_servers_wish_is_exact_at_first_then_a_least(
    attempt: int, wish: float | None, delay: float
):
    assert delay_with_wish(options(), attempt, 1.0, wish) == delay


# --- trying again ---------------------------------------------------------------------------


def test_each_loss_is_told_before_the_wait_and_the_waits_grow():
    scheduler = TestScheduler()
    source = scheduler.create_cold_observable(on_next(2, "a"), on_error(5, LOST))
    result = scheduler.start(lambda: source.pipe(retry(first_attempts=3)))
    assert drawn(result) == [
        (202, "a"),
        (205, ("lost", 10, 1)),
        (217, "a"),
        (220, ("lost", 20, 2)),
        (242, "a"),
        (245, ("lost", 40, 3)),
        (287, "a"),
        (290, ("lost", None, 4)),
        (290, "|"),
    ]
    assert source.subscriptions == [
        subscribe(200, 205),
        subscribe(215, 220),
        subscribe(240, 245),
        subscribe(285, 290),
    ]


def test_the_wait_begins_when_the_loss_has_been_told():
    scheduler = TestScheduler()
    source = scheduler.create_cold_observable(on_error(5, LOST))
    slow = ops.do_action(lambda _: scheduler.sleep(7))
    scheduler.start(lambda: source.pipe(retry(first_attempts=1), slow))
    assert [interval.subscribe for interval in source.subscriptions] == [200, 205 + 7 + 10]


def test_a_silent_stream_and_one_dropped_from_outside_come_back_like_any_lost_one():
    scheduler = TestScheduler()
    source = scheduler.create_cold_observable(on_next(10, "a"), on_next(41, "b"))
    drop = scheduler.create_hot_observable(on_next(230, LOST))
    alive = heartbeat(HeartbeatOptions(silence=40), suspended=lambda: False)
    stage = retry(first_attempts=1, announce=lambda exc, _, attempt: (type(exc), None, attempt))
    result = scheduler.start(lambda: source.pipe(fail_when(drop), alive, stage))
    assert drawn(result) == [
        (210, "a"),
        (230, (ConnectionError, None, 1)),
        (250, "a"),
        (281, "b"),
        (330, (StreamSilentError, None, 2)),
        (330, "|"),
    ]
    assert source.subscriptions == [subscribe(200, 230), subscribe(240, 330)]


def test_the_exception_itself_is_announced():
    scheduler = TestScheduler()
    source = scheduler.create_cold_observable(on_error(5, LOST))
    stage = retry(first_attempts=0, announce=lambda *loss: loss[0])
    result = scheduler.start(lambda: source.pipe(stage))
    assert drawn(result) == [(205, LOST), (205, "|")]


def test_jitter_is_drawn_anew_for_every_wait():
    scheduler = TestScheduler()
    source = scheduler.create_cold_observable(on_error(5, LOST))
    draws = iter([0.5, 0.0, 0.25])
    result = scheduler.start(
        lambda: source.pipe(retry(first_attempts=3, jitter=lambda: next(draws)))
    )
    assert [delay for _, (_, delay, _) in drawn(result)[:-1]] == [5, 0, 10, None]


def test_completion_is_completion():
    scheduler = TestScheduler()
    source = scheduler.create_cold_observable(on_next(5, "a"), on_completed(10))
    result = scheduler.start(lambda: source.pipe(retry()))
    assert drawn(result) == [(205, "a"), (210, "|")]
    assert source.subscriptions == [subscribe(200, 210)]


def test_a_fatal_error_is_told_and_not_retried():
    scheduler = TestScheduler()
    source = scheduler.create_cold_observable(on_error(5, PermissionError()))
    result = scheduler.start(lambda: source.pipe(retry()))
    assert drawn(result) == [(205, ("lost", None, 1)), (205, "|")]
    assert source.subscriptions == [subscribe(200, 205)]


def test_an_error_may_turn_fatal_later():
    scheduler = TestScheduler()
    source = connections(scheduler, [on_error(5, LOST)], [on_error(5, PermissionError())])
    result = scheduler.start(lambda: source.pipe(retry()))
    assert drawn(result) == [(205, ("lost", 10, 1)), (220, ("lost", None, 2)), (220, "|")]


def test_a_graceful_end_with_a_wish_comes_back_exactly_then():
    scheduler = TestScheduler()
    source = connections(scheduler, [on_error(5, WishError(3))], [on_error(5, WishError(3))], [])
    result = scheduler.start(lambda: source.pipe(retry()))
    assert drawn(result) == [(205, ("lost", 3, 1)), (213, ("lost", 20, 2))]


# --- giving up, and not giving up -------------------------------------------------------------


@pytest.mark.parametrize(("first_attempts", "subscriptions"), [(0, 1), (1, 2), (4, 5)])
def test_a_server_that_was_never_healthy_has_its_own_limit(first_attempts: int, subscriptions: int):
    scheduler = TestScheduler()
    source = scheduler.create_cold_observable(on_error(5, LOST))
    scheduler.start(lambda: source.pipe(retry(first_attempts=first_attempts)))
    assert len(source.subscriptions) == subscriptions


@pytest.mark.parametrize(("attempts", "first_attempts"), [(4, 1), (1, 4)])
def test_after_a_healthy_connection_the_other_limit_holds(attempts: int, first_attempts: int):
    scheduler = TestScheduler()
    good = [on_next(50, "good"), on_error(60, LOST)]
    source = connections(scheduler, good, [on_error(5, LOST)])
    result = scheduler.start(
        lambda: source.pipe(retry(attempts=attempts, first_attempts=first_attempts))
    )
    assert attempts_of(result) == list(range(1, attempts + 2))
    assert drawn(result)[-1][1] == "|"


@pytest.mark.parametrize(
    "connection",
    [
        pytest.param([on_error(70, LOST)], id="lasts, silent"),
        pytest.param([on_next(1, "opened"), on_error(5, LOST)], id="accepts and hangs up"),
        pytest.param([on_next(1, "good"), on_error(5, LOST)], id="healthy, but hangs up at once"),
        pytest.param([on_next(1, "good"), on_error(70, LOST)], id="healthy, then silent"),
        pytest.param([on_next(49, "good"), on_error(70, LOST)], id="just too early"),
        pytest.param(
            [on_next(1, "opened"), on_next(60, "ping"), on_error(70, LOST)], id="lasts, only pings"
        ),
    ],
)
def test_flapping_server_does_not_refill_the_budget(connection: list[Recorded[Any]]):
    scheduler = TestScheduler()
    source = scheduler.create_cold_observable(connection)
    two = retry(first_attempts=2, attempts=2)
    result = scheduler.start(lambda: source.pipe(two), disposed=5000)
    assert attempts_of(result) == [1, 2, 3]
    assert drawn(result)[-1][1] == "|"
    assert len(source.subscriptions) == 3


def test_a_server_that_was_of_use_once_may_have_all_attempts():
    scheduler = TestScheduler()
    source = scheduler.create_cold_observable([on_next(1, "good"), on_error(5, LOST)])
    patient = retry(first_attempts=1, attempts=3)
    result = scheduler.start(lambda: source.pipe(patient), disposed=5000)
    assert attempts_of(result) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "connection",
    [
        pytest.param([on_next(50, "good"), on_error(51, LOST)], id="a healthy item, late enough"),
        pytest.param(
            [on_next(1, "good"), on_next(50, "ping"), on_error(60, LOST)],
            id="a healthy item, then any item late enough",
        ),
        pytest.param(
            [on_next(60, "ping"), on_next(70, "good"), on_error(71, LOST)], id="the other way round"
        ),
    ],
)
def test_healthy_connection_refills_the_budget(connection: list[Recorded[Any]]):
    scheduler = TestScheduler()
    source = scheduler.create_cold_observable(connection)
    result = scheduler.start(
        lambda: source.pipe(retry(attempts=1, first_attempts=1)), disposed=2000
    )
    assert len(attempts_of(result)) > 15
    assert set(attempts_of(result)) == {1}


def test_health_is_of_one_connection_and_does_not_add_up():
    scheduler = TestScheduler()
    source = connections(
        scheduler,
        [on_next(1, "good"), on_error(20, LOST)],
        [on_next(1, "ping"), on_next(60, "ping"), on_error(70, LOST)],
    )
    result = scheduler.start(lambda: source.pipe(retry(first_attempts=2, attempts=2)))
    assert attempts_of(result) == [1, 2, 3]


def test_an_old_connection_does_not_make_the_next_one_last():
    # 45 + 1 + a wait of 10: the first connection's 50 seconds end while the second is young.
    scheduler = TestScheduler()
    source = scheduler.create_cold_observable(
        on_next(1, "good"), on_next(44, "ping"), on_error(45, LOST)
    )
    stage = retry(first_attempts=2, attempts=2, factor=1, first_delay=1)
    result = scheduler.start(lambda: source.pipe(stage))
    assert attempts_of(result) == [1, 2, 3]


def test_with_no_time_to_last_the_healthy_item_alone_is_enough():
    scheduler = TestScheduler()
    source = scheduler.create_cold_observable(on_next(1, "good"), on_error(5, LOST))
    result = scheduler.start(lambda: source.pipe(retry(first_attempts=1, healthy_after=0)))
    assert set(attempts_of(result)) == {1}


def test_with_no_time_to_last_even_an_item_while_subscribing_is_enough():
    scheduler = TestScheduler()

    def flash(observer: abc.ObserverBase[Any], _scheduler: Any = None) -> abc.DisposableBase:
        observer.on_next("good")
        observer.on_error(LOST)
        return Disposable()

    stage = retry(attempts=1, first_attempts=0, healthy_after=0)
    result = scheduler.start(lambda: Observable(flash).pipe(stage), disposed=300)
    assert len(attempts_of(result)) == 10
    assert set(attempts_of(result)) == {1}


def test_health_is_not_asked_for_again_once_it_is_known():
    scheduler = TestScheduler()
    asked: list[str] = []
    source = scheduler.create_cold_observable(
        on_next(1, "bad"), on_next(2, "good"), on_next(3, "x"), on_next(60, "y"), on_next(70, "z")
    )
    stage = retry(is_healthy=lambda item: asked.append(item) or item == "good")
    result = scheduler.start(lambda: source.pipe(stage))
    assert asked == ["bad", "good"]
    assert len(result.messages) == 5


def test_an_outage_ends_after_its_total_time_however_many_attempts_are_left():
    scheduler = TestScheduler()
    source = scheduler.create_cold_observable(on_error(5, LOST))
    result = scheduler.start(lambda: source.pipe(retry(total=100)))
    # Losses at 205, 220, 245, 290 and 375; the outage is 100 s old at 305.
    assert drawn(result)[-3:] == [
        (290, ("lost", 80, 4)),
        (375, ("lost", None, 5)),
        (375, "|"),
    ]


def test_the_total_time_starts_over_with_the_next_outage():
    scheduler = TestScheduler()
    good = [on_next(50, "good"), on_error(60, LOST)]
    source = scheduler.create_cold_observable(good)
    result = scheduler.start(lambda: source.pipe(retry(total=65)), disposed=3000)
    assert set(attempts_of(result)) == {1}
    assert drawn(result)[-1][1] != "|"


def test_an_overdue_outage_that_ends_well_is_forgotten():
    scheduler = TestScheduler()
    source = connections(
        scheduler,
        [on_error(5, LOST)],
        [on_next(80, "good"), on_error(90, LOST)],
        [on_error(5, LOST)],
    )
    result = scheduler.start(lambda: source.pipe(retry(total=40, attempts=2)))
    assert attempts_of(result) == [1, 1, 2, 3]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 90),
            st.lists(st.tuples(st.integers(0, 90), st.sampled_from(["good", "ping"]))),
        ),
        max_size=12,
    ),
    st.integers(0, 4),
    st.integers(0, 4),
)
def test_subscriptions_never_exceed_the_limit_until_a_healthy_connection(
    lives: list[tuple[int, list[tuple[int, str]]]], attempts: int, first_attempts: int
):
    """Each life is when a connection fails, and what it says when; then there are only failures."""
    scheduler = TestScheduler()
    plans = [
        [*(on_next(when, item) for when, item in sorted(says) if when < end), on_error(end, LOST)]
        for end, says in lives
    ]
    expected, used, limit = 0, 0, first_attempts
    for plan in [*plans, *[[]] * 10]:
        expected += 1
        if any(recorded.value.kind == "N" and recorded.value.value == "good" for recorded in plan):
            limit = attempts
        if is_healthy_life(plan):
            used = 0
        used += 1
        if used > limit:
            break
    subscribed: list[float] = []
    source = connections(scheduler, *plans, [on_error(1, LOST)])
    counted = rx.defer(lambda _: subscribed.append(scheduler.clock) or source)
    result = scheduler.start(
        lambda: counted.pipe(retry(attempts=attempts, first_attempts=first_attempts)),
        disposed=50_000,
    )
    assert len(subscribed) == expected
    assert drawn(result)[-1][1] == "|"
    assert max(attempts_of(result)) <= max(attempts, first_attempts) + 1


def is_healthy_life(plan: list[Recorded[Any]]) -> bool:
    """The rule again, in the plainest words: after a good item, something at 50 or later."""
    items = [(m.time, m.value.value) for m in plan if m.value.kind == "N"]
    goods = [n for n, (_, item) in enumerate(items) if item == "good"]
    return bool(goods) and any(time >= 50 for time, _ in items[goods[0] :])


# --- endings --------------------------------------------------------------------------------


def pending(scheduler: TestScheduler) -> int:
    """How many timers are still to fire."""
    return sum(not item.is_cancelled() for item, _ in scheduler._queue.items)


@pytest.mark.parametrize(
    ("disposed", "intervals"),
    [
        pytest.param(3, [subscribe(0, 3)], id="connected"),
        pytest.param(12, [subscribe(0, 5)], id="waiting"),
        pytest.param(17, [subscribe(0, 5), subscribe(15, 17)], id="connected again"),
    ],
)
def test_disposal_stops_everything_in_every_phase(disposed: int, intervals: list[Any]):
    scheduler = TestScheduler()
    source = scheduler.create_cold_observable(on_error(5, LOST))
    subscription = source.pipe(retry()).subscribe(scheduler=scheduler)
    scheduler.advance_to(disposed)
    assert pending(scheduler) > 0
    subscription.dispose()
    assert source.subscriptions == intervals
    assert pending(scheduler) == 0


def test_giving_up_leaves_no_timer():
    scheduler = TestScheduler()
    source = scheduler.create_cold_observable(on_error(5, LOST))
    source.pipe(retry(first_attempts=1)).subscribe(scheduler=scheduler)
    scheduler.advance_to(20)
    assert source.subscriptions == [subscribe(0, 5), subscribe(15, 20)]
    assert pending(scheduler) == 0


def failing_at_once() -> tuple[Observable[Any], list[int]]:
    """A source that fails inside `subscribe`, and the depth of the stack each time."""
    depths: list[int] = []

    def fail(observer: abc.ObserverBase[Any], _scheduler: Any = None) -> abc.DisposableBase:
        depth, frame = 0, sys._getframe().f_back
        while frame is not None:
            depth, frame = depth + 1, frame.f_back
        depths.append(depth)
        observer.on_error(LOST)
        return Disposable()

    return Observable(fail), depths


def test_disposed_by_whom_it_tells_of_a_loss_it_does_not_come_back():
    scheduler = TestScheduler()
    source = scheduler.create_cold_observable(on_error(5, LOST))
    result = scheduler.start(lambda: source.pipe(retry(), ops.take(1)))
    assert drawn(result) == [(205, ("lost", 10, 1)), (205, "|")]
    assert source.subscriptions == [subscribe(200, 205)]


def test_disposed_by_whom_it_tells_of_a_loss_while_subscribing_it_does_not_come_back():
    scheduler = TestScheduler()
    source, depths = failing_at_once()
    result = scheduler.start(lambda: source.pipe(retry(), ops.take(1)))
    assert drawn(result) == [(200, ("lost", 10, 1)), (200, "|")]
    assert len(depths) == 1


def test_a_timer_that_could_not_be_cancelled_does_not_reconnect():
    class Stubborn(TestScheduler):
        """Cancels nothing, as a scheduler may."""

        def schedule_relative(self, duetime: Any, action: Any, state: Any = None) -> Any:
            super().schedule_relative(duetime, action, state)
            return Disposable()

    scheduler = Stubborn()
    source, depths = failing_at_once()
    source.pipe(retry()).subscribe(scheduler=scheduler).dispose()
    assert pending(scheduler) > 0
    scheduler.start()
    assert len(depths) == 1


async def test_a_source_that_fails_while_being_subscribed_builds_no_stack():
    scheduler = AsyncIOScheduler(asyncio.get_running_loop())
    done = asyncio.Event()
    source, depths = failing_at_once()
    stage = retry(first_attempts=300, jitter=lambda: 0.0)
    source.pipe(stage).subscribe(on_completed=done.set, scheduler=scheduler)
    async with asyncio.timeout(30):
        await done.wait()
    assert len(depths) == 301
    assert depths[-1] <= depths[1]


async def test_it_comes_back_on_a_real_loop():
    scheduler = AsyncIOScheduler(asyncio.get_running_loop())
    done = asyncio.Event()
    seen: list[Any] = []
    sources = iter([rx.throw(LOST), rx.of("a", "b")])
    stream = rx.defer(lambda _: next(sources)).pipe(retry(first_delay=0.01))
    stream.subscribe(seen.append, on_completed=done.set, scheduler=scheduler)
    async with asyncio.timeout(30):
        await done.wait()
    assert seen == [("lost", 0.01, 1), "a", "b"]


def test_two_subscriptions_have_two_budgets():
    scheduler = TestScheduler()
    source = scheduler.create_cold_observable(on_error(5, LOST))
    stream = source.pipe(retry(first_attempts=1))
    for _ in range(2):
        seen: list[Any] = []
        stream.subscribe(seen.append, scheduler=scheduler)
        scheduler.start()
        assert seen == [("lost", 10, 1), ("lost", None, 2)]


@pytest.mark.parametrize("faulty", ["is_fatal", "wish", "announce", "jitter", "is_healthy"])
def test_a_fault_of_a_collaborator_ends_the_stream_and_is_not_retried(faulty: str):
    scheduler = TestScheduler()
    fault = LookupError(faulty)

    def fail(*_: object) -> Any:
        raise fault

    source = scheduler.create_cold_observable(on_next(1, "good"), on_error(5, LOST))
    result = scheduler.start(lambda: source.pipe(retry(**{faulty: fail})))
    assert drawn(result)[-1][1] is fault
    assert len(source.subscriptions) == 1
    assert source.subscriptions[0].unsubscribe <= 205


def test_without_a_scheduler_it_refuses_in_words():
    errors: list[Exception] = []
    subscribed: list[str] = []
    source = rx.defer(lambda _: subscribed.append("subscribed") or rx.never())
    source.pipe(retry()).subscribe(on_error=errors.append)
    assert [type(error) for error in errors] == [TypeError]
    assert "scheduler" in str(errors[0])
    assert subscribed == []

"""`fail_when`: a connection dropped from outside looks like any lost connection."""

from typing import Any

import pytest
import reactivex as rx
from reactivex import Observable
from reactivex import operators as ops
from reactivex.subject import BehaviorSubject, Subject
from reactivex.testing import ReactiveTest, TestScheduler

from operators.fail_when import fail_when

on_next, on_error, on_completed = (
    ReactiveTest.on_next,
    ReactiveTest.on_error,
    ReactiveTest.on_completed,
)
subscribe = ReactiveTest.subscribe
DROP = ConnectionError("dropped by the core")


def test_a_trigger_fails_the_stream_with_its_own_exception_and_drops_the_source():
    scheduler = TestScheduler()
    source = scheduler.create_hot_observable(on_next(210, "a"), on_next(300, "b"))
    triggers = scheduler.create_hot_observable(on_next(250, DROP), on_next(260, OSError()))
    result = scheduler.start(lambda: source.pipe(fail_when(triggers)))
    assert result.messages == [on_next(210, "a"), on_error(250, DROP)]
    assert source.subscriptions == [subscribe(200, 250)]
    assert triggers.subscriptions == [subscribe(200, 250)]


@pytest.mark.parametrize("end", [on_completed(300), on_error(300, OSError("lost"))])
def test_the_end_of_the_source_passes_and_lets_the_triggers_go(end: Any):
    scheduler = TestScheduler()
    source = scheduler.create_hot_observable(on_next(210, "a"), end)
    triggers = scheduler.create_hot_observable(on_next(350, DROP))
    result = scheduler.start(lambda: source.pipe(fail_when(triggers)))
    assert result.messages == [on_next(210, "a"), end]
    assert triggers.subscriptions == [subscribe(200, 300)]


def test_triggers_that_complete_leave_the_stream_alone():
    scheduler = TestScheduler()
    source = scheduler.create_hot_observable(on_next(300, "a"), on_completed(400))
    triggers = scheduler.create_hot_observable(on_completed(250))
    result = scheduler.start(lambda: source.pipe(fail_when(triggers)))
    assert result.messages == [on_next(300, "a"), on_completed(400)]


def test_triggers_that_fail_end_the_stream():
    scheduler = TestScheduler()
    fault = LookupError("triggers")
    source = scheduler.create_hot_observable(on_next(300, "a"))
    triggers = scheduler.create_hot_observable(on_error(250, fault))
    result = scheduler.start(lambda: source.pipe(fail_when(triggers)))
    assert result.messages == [on_error(250, fault)]
    assert source.subscriptions == [subscribe(200, 250)]


def test_disposing_lets_both_go():
    scheduler = TestScheduler()
    source = scheduler.create_hot_observable(on_next(300, "a"))
    triggers = scheduler.create_hot_observable(on_next(310, DROP))
    result = scheduler.start(lambda: source.pipe(fail_when(triggers)), disposed=250)
    assert result.messages == []
    assert source.subscriptions == [subscribe(200, 250)]
    assert triggers.subscriptions == [subscribe(200, 250)]


@pytest.mark.parametrize("triggers", [BehaviorSubject(DROP), rx.throw(DROP)])
def test_a_trigger_that_waits_already_means_nothing_is_connected(triggers: Observable[Exception]):
    connected: list[str] = []
    errors: list[Exception] = []
    source = rx.defer(lambda _: connected.append("connected") or rx.never())
    source.pipe(fail_when(triggers)).subscribe(on_error=errors.append)
    assert (errors, connected) == ([DROP], [])


def test_the_source_is_gone_before_the_failure_is_told():
    source: Subject[str] = Subject()
    triggers: Subject[Exception] = Subject()
    left: list[tuple[int, int]] = []
    source.pipe(fail_when(triggers)).subscribe(
        on_error=lambda _: left.append((len(source.observers), len(triggers.observers)))
    )
    triggers.on_next(DROP)
    assert left == [(0, 0)]


def test_a_trigger_pulled_by_the_subscriber_while_it_gets_an_item_stops_the_rest():
    source: Subject[str] = Subject()
    triggers: Subject[Exception] = Subject()
    seen: list[str] = []
    errors: list[Exception] = []

    def pull(item: str) -> None:
        seen.append(item)
        triggers.on_next(DROP)

    source.pipe(fail_when(triggers)).subscribe(pull, errors.append)
    source.on_next("a")
    source.on_next("b")
    assert (seen, errors) == (["a"], [DROP])


def test_a_new_subscription_listens_to_later_triggers_only():
    scheduler = TestScheduler()
    source = scheduler.create_cold_observable(on_next(10, "a"))
    triggers = scheduler.create_hot_observable(on_next(250, DROP), on_next(350, DROP))
    stream = source.pipe(fail_when(triggers))
    result = scheduler.start(lambda: stream.pipe(ops.retry(2)))
    assert result.messages == [on_next(210, "a"), on_next(260, "a"), on_error(350, DROP)]
    assert source.subscriptions == [subscribe(200, 250), subscribe(250, 350)]

"""`machine`: state per subscription, faults that end the stream, order that cannot be broken."""

from collections.abc import Callable
from typing import Any

import pytest
import reactivex as rx
from reactivex import Observable
from reactivex import operators as ops
from reactivex.subject import Subject
from reactivex.testing import ReactiveTest, TestScheduler

from operators.machine import machine

on_next, on_error, on_completed = (
    ReactiveTest.on_next,
    ReactiveTest.on_error,
    ReactiveTest.on_completed,
)
subscribe = ReactiveTest.subscribe


def add(total: int, item: int) -> tuple[int, tuple[int, ...]]:
    return total + item, (total + item,)


def twice(count: int, item: str) -> tuple[int, tuple[str, ...]]:
    return count + 1, (f"{item}{count}", f"{item.upper()}{count}")


def swallow(state: None, item: object) -> tuple[None, tuple[object, ...]]:
    return state, ()


def listen(stream: Observable[Any]) -> tuple[list[Any], list[Exception]]:
    items: list[Any] = []
    errors: list[Exception] = []
    stream.subscribe(items.append, errors.append)
    return items, errors


def test_outputs_come_in_order_at_the_time_of_their_item():
    scheduler = TestScheduler()
    source = scheduler.create_hot_observable(
        on_next(210, "a"), on_next(250, "b"), on_completed(300)
    )
    result = scheduler.start(lambda: source.pipe(machine(twice, 0)))
    assert result.messages == [
        on_next(210, "a0"),
        on_next(210, "A0"),
        on_next(250, "b1"),
        on_next(250, "B1"),
        on_completed(300),
    ]
    assert source.subscriptions == [subscribe(200, 300)]


def test_an_item_may_yield_nothing():
    assert listen(rx.of(1, 2).pipe(machine(swallow, None))) == ([], [])


def test_every_subscription_starts_from_the_initial_state():
    stream = rx.of(1, 2, 3).pipe(machine(add, 10))
    assert listen(stream) == ([11, 13, 16], [])
    assert listen(stream) == ([11, 13, 16], [])


def test_a_step_that_raises_ends_the_stream_and_keeps_what_was_emitted():
    scheduler = TestScheduler()
    fault = ZeroDivisionError("step")

    def step(state: int, item: int) -> tuple[int, tuple[int, ...]]:
        if item == 0:
            raise fault
        return add(state, item)

    source = scheduler.create_hot_observable(on_next(210, 1), on_next(220, 0), on_next(230, 2))
    result = scheduler.start(lambda: source.pipe(machine(step, 0)))
    assert result.messages == [on_next(210, 1), on_error(220, fault)]
    assert source.subscriptions == [subscribe(200, 220)]


def test_an_error_of_the_source_passes():
    scheduler = TestScheduler()
    lost = OSError("lost")
    source = scheduler.create_hot_observable(on_next(210, 1), on_error(220, lost))
    result = scheduler.start(lambda: source.pipe(machine(add, 0)))
    assert result.messages == [on_next(210, 1), on_error(220, lost)]


def test_what_is_no_exception_is_not_taken_for_a_fault_of_the_step():
    def step(state: None, item: int) -> tuple[None, tuple[int, ...]]:
        raise KeyboardInterrupt

    head: Subject[int] = Subject()
    errors = listen(head.pipe(machine(step, None)))[1]
    with pytest.raises(KeyboardInterrupt):
        head.on_next(1)
    assert errors == []


def test_a_subscriber_that_raises_is_heard_by_the_producer_and_is_no_fault_of_the_step():
    head: Subject[int] = Subject()
    seen: list[int] = []
    errors: list[Exception] = []

    def fussy(item: int) -> None:
        seen.append(item)
        if item == 1:
            raise LookupError("subscriber")

    head.pipe(machine(add, 0)).subscribe(fussy, errors.append)
    with pytest.raises(LookupError, match="subscriber"):
        head.on_next(1)
    head.on_next(1)
    assert (seen, errors) == ([1, 2], [])


def test_no_output_reaches_a_subscriber_that_left_in_between():
    head: Subject[str] = Subject()
    items = listen(head.pipe(machine(twice, 0), ops.take(1)))[0]
    head.on_next("a")
    assert items == ["a0"]
    assert head.observers == []


def feed_back(head: Subject[str], at: str) -> Callable[[str], None]:
    return lambda item: head.on_next("c") if item == at else None


@pytest.mark.parametrize(("at", "kept"), [("a0", ["a0"]), ("A0", ["a0", "A0"])])
def test_an_item_fed_back_from_downstream_is_refused_rather_than_reordered(
    at: str, kept: list[str]
):
    head: Subject[str] = Subject()
    items, errors = listen(head.pipe(machine(twice, 0), ops.do_action(feed_back(head, at))))
    head.on_next("a")
    head.on_next("b")
    assert items == kept[:-1]
    assert [type(error) for error in errors] == [RuntimeError]
    assert "str arrived while" in str(errors[0])
    assert "mailbox" in str(errors[0])
    assert head.observers == []


def test_an_item_fed_back_from_inside_the_step_is_refused_too():
    head: Subject[int] = Subject()

    def step(state: None, item: int) -> tuple[None, tuple[int, ...]]:
        if item == 1:
            head.on_next(2)
        return None, (item,)

    items, errors = listen(head.pipe(machine(step, None)))
    head.on_next(1)
    assert items == []
    assert [type(error) for error in errors] == [RuntimeError]


def test_ten_stages_in_a_row_pass_a_burst_in_order():
    stream: Observable[int] = rx.from_iterable(range(1000))
    for _ in range(10):
        stream = machine(lambda state, item: (state, (item,)), None)(stream)
    assert listen(stream) == (list(range(1000)), [])

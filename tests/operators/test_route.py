"""`route`: numbers without gaps, the names of who wants an item, and faults that end the stream."""

from collections.abc import Callable
from typing import Any

import pytest
import reactivex as rx
from hypothesis import given
from hypothesis import strategies as st
from reactivex.subject import Subject
from reactivex.testing import ReactiveTest, TestScheduler

from operators.route import Parcel, route
from pipeline.core.codec import Entry
from pipeline.core.commands import CallModel, Item, Passing, Post
from pipeline.core.events import (
    AnswerDelta,
    ProgressReported,
    PromptSubmitted,
    ReplyReceived,
    RunEnded,
    RunStarted,
    ToolsListed,
)

on_next, on_error, on_completed = (
    ReactiveTest.on_next,
    ReactiveTest.on_error,
    ReactiveTest.on_completed,
)
subscribe = ReactiveTest.subscribe
AT = "2026-11-24T06:28:23.000001Z"
ITEMS: tuple[Item, ...] = (
    RunStarted(),
    PromptSubmitted(text="hi"),
    CallModel(call="m1", messages=()),
    AnswerDelta(text="hello"),
    Post(server="fs", url="http://h/", id="init", message={}),
    RunEnded(code=0),
)


def everything(item: Item) -> bool:
    return True


def words(item: Item) -> bool:
    return isinstance(item, AnswerDelta)


def parcels(
    items: tuple[Passing, ...],
    targets: dict[str, Callable[[Item], bool]],
    **options: Any,
) -> list[Parcel]:
    got: list[Parcel] = []
    rx.from_iterable(items).pipe(route(targets, now=lambda: AT, **options)).subscribe(got.append)
    return got


def test_each_item_becomes_a_parcel_when_it_comes():
    scheduler = TestScheduler()
    hello, end = AnswerDelta(text="hello"), RunEnded(code=0)
    source = scheduler.create_hot_observable(
        on_next(210, hello), on_next(250, end), on_completed(260)
    )
    stage = route({"jsonl": everything, "console": words}, now=lambda: f"t{scheduler.clock:g}")
    result = scheduler.start(lambda: source.pipe(stage))
    assert result.messages == [
        on_next(210, Parcel(Entry(1, "t210", hello), ("jsonl", "console"))),
        on_next(250, Parcel(Entry(2, "t250", end), ("jsonl",))),
        on_completed(260),
    ]
    assert source.subscriptions == [subscribe(200, 260)]


@given(st.lists(st.sampled_from(ITEMS)), st.integers(1, 10**9))
def test_numbers_have_no_gap_and_every_item_keeps_its_place(items: list[Item], first: int):
    got = parcels(tuple(items), {"console": words}, first_seq=first)
    assert [parcel.entry.seq for parcel in got] == list(range(first, first + len(items)))
    assert [parcel.entry.item for parcel in got] == items
    assert [parcel.to for parcel in got] == [("console",) * words(item) for item in items]


def test_an_item_for_nobody_is_numbered_all_the_same():
    assert parcels((RunStarted(),), {}) == [Parcel(Entry(1, AT, RunStarted()), ())]


def test_names_stand_in_the_order_of_the_targets():
    names = ["webhook", "console", "jsonl=b", "jsonl=a"]
    [parcel] = parcels((RunStarted(),), dict.fromkeys(names, everything))
    assert parcel.to == tuple(names)


def test_every_subscription_counts_for_itself():
    stage = route({}, now=lambda: AT, first_seq=7)
    stream = rx.from_iterable(ITEMS).pipe(stage)
    for _ in range(2):
        seqs: list[int] = []
        stream.subscribe(lambda parcel, seqs=seqs: seqs.append(parcel.entry.seq))
        assert seqs == [7, 8, 9, 10, 11, 12]


def test_targets_are_those_of_the_time_of_subscribing():
    head: Subject[Passing] = Subject()
    targets = {"console": everything}
    stream = head.pipe(route(targets, now=lambda: AT))
    targets["jsonl"] = everything
    got: list[Parcel] = []
    stream.subscribe(got.append)
    targets["late"] = everything
    head.on_next(RunStarted())
    assert got[0].to == ("console", "jsonl")


def test_a_predicate_that_raises_ends_the_stream_and_is_not_asked_again():
    scheduler = TestScheduler()
    fault = LookupError("predicate")

    def wants(item: Item) -> bool:
        if isinstance(item, AnswerDelta):
            raise fault
        return True

    source = scheduler.create_hot_observable(
        on_next(210, RunStarted()), on_next(220, AnswerDelta(text="")), on_next(230, RunStarted())
    )
    result = scheduler.start(lambda: source.pipe(route({"bad": wants}, now=lambda: AT)))
    assert result.messages == [
        on_next(210, Parcel(Entry(1, AT, RunStarted()), ("bad",))),
        on_error(220, fault),
    ]
    assert source.subscriptions == [subscribe(200, 220)]


def test_a_clock_that_raises_ends_the_stream():
    fault = OSError("clock")

    def now() -> str:
        raise fault

    errors: list[Exception] = []
    rx.of(RunStarted()).pipe(route({}, now=now)).subscribe(on_error=errors.append)
    assert errors == [fault]


@pytest.mark.parametrize(
    ("item", "name"),
    [
        (ToolsListed(server="fs", tools=()), "ToolsListed"),
        (ReplyReceived(server="fs", id="init"), "ReplyReceived"),
        (ProgressReported(server="fs", id="call:1", progress=0.5), "ProgressReported"),
    ],
)
def test_what_travels_between_stages_only_is_refused_by_name(item: Passing, name: str):
    head: Subject[Passing] = Subject()
    got: list[Parcel] = []
    errors: list[Exception] = []
    head.pipe(route({"jsonl": everything}, now=lambda: AT)).subscribe(got.append, errors.append)
    head.on_next(RunStarted())
    head.on_next(item)
    head.on_next(RunStarted())
    assert len(got) == 1
    assert [type(error) for error in errors] == [TypeError]
    assert name in str(errors[0])


def test_a_parcel_cannot_be_changed():
    parcel = Parcel(Entry(1, AT, RunStarted()), ())
    with pytest.raises(AttributeError):
        parcel.to = ("console",)  # type: ignore[misc]  the point of the test

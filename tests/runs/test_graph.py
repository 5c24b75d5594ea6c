"""The stages in their order, as a value that somebody subscribes to."""

from collections.abc import Callable, Sequence

from reactivex.subject import Subject

from operators.route import Parcel
from pipeline.core.commands import CallModel, Item, Passing, Post
from pipeline.core.events import (
    AnswerCompleted,
    InputEnded,
    PromptSubmitted,
    RunEnded,
    RunStarted,
    SessionReady,
    ToolEnded,
    ToolsChanged,
)
from pipeline.core.plan import Plan
from pipeline.graph import stages
from tests.support.play import ADD, a_plan, finished, frame, kinds, seed_start, use

RESULT = frame("result", {"id": "call:c1", "content": [{"type": "text", "text": "5"}]})
INPUTS: Sequence[Passing] = (
    RunStarted(),
    *seed_start(ADD),
    PromptSubmitted(text="2+3?"),
    finished(1, use("toolu_1", "mcp__s__add", a=2, b=3)),
    RESULT,
    finished(2, "5"),
    InputEnded(),
)


def through(plan: Plan, inputs: Sequence[Passing]) -> list[Parcel]:
    """All that comes out for these inputs."""
    source: Subject[Passing] = Subject()
    parcels: list[Parcel] = []
    faults: list[Exception] = []
    targets: dict[str, Callable[[Item], bool]] = {
        "all": lambda _: True,
        "answers": lambda item: isinstance(item, AnswerCompleted),
    }
    chain = stages(plan, targets, now=lambda: "now")
    with chain(source).subscribe(parcels.append, faults.append):
        for item in inputs:
            source.on_next(item)
    assert faults == []
    return parcels


def test_a_prompt_goes_through_all_stages_in_one_pass() -> None:
    parcels = through(a_plan("s"), INPUTS)
    items = [parcel.entry.item for parcel in parcels]
    assert [parcel.entry.seq for parcel in parcels] == [*range(1, len(parcels) + 1)]
    told = (SessionReady, ToolsChanged, CallModel, Post, ToolEnded, AnswerCompleted, RunEnded)
    assert kinds(item for item in items if isinstance(item, told)) == [
        "SessionReady",
        "ToolsChanged",
        "CallModel",
        "Post",
        "ToolEnded",
        "CallModel",
        "AnswerCompleted",
        "RunEnded",
    ]
    assert items[-1] == RunEnded(code=0)
    for item in INPUTS:
        assert item in items


def test_items_are_addressed_to_who_wants_them() -> None:
    parcels = through(a_plan("s"), INPUTS)
    (answer,) = [parcel for parcel in parcels if parcel.to != ("all",)]
    assert answer.to == ("all", "answers")
    assert answer.entry.item == AnswerCompleted(text="5", turns=2)


def test_the_same_plan_and_inputs_give_the_same_items() -> None:
    plan = a_plan("s")
    assert through(plan, INPUTS) == through(plan, INPUTS)


def test_a_chain_keeps_nothing_between_two_subscriptions() -> None:
    source: Subject[Passing] = Subject()
    chain = stages(a_plan("s"), {}, now=lambda: "now")(source)
    first: list[Parcel] = []
    second: list[Parcel] = []
    with chain.subscribe(first.append):
        for item in INPUTS:
            source.on_next(item)
    with chain.subscribe(second.append):
        for item in INPUTS:
            source.on_next(item)
    assert first == second

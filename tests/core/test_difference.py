"""Where two JSON values differ, and how that is told."""

from typing import Any

import pytest

from pipeline.core.commands import CallModel, Item, StartTimer
from pipeline.core.difference import NOTHING, describe, differences, is_same, places
from pipeline.core.events import Json, PromptSubmitted, ToolEnded, ToolStarted


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": {"x": [1]}}, {"b": {"x": [1]}, "a": 1}),
        ({"a": 2}, {"a": 2.0}),
        ([None, True, "x"], [None, True, "x"]),
        (10**30, 10**30),
    ],
)
def test_what_is_equal_as_json_differs_nowhere(one: Any, other: Any) -> None:
    assert list(differences(one, other)) == []


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        ({"a": 1}, {"a": True}, ("a", 1, True)),
        ({"a": False}, {"a": 0}, ("a", False, 0)),
        ({"a": None}, {}, ("a", None, NOTHING)),
        ({}, {"a": {"b": 1}}, ("a", NOTHING, {"b": 1})),
        ({"a": [1, 2]}, {"a": [1]}, ("a[1]", 2, NOTHING)),
        ({"a": {"b": [{"c": 1}]}}, {"a": {"b": [{"c": 2}]}}, ("a.b[0].c", 1, 2)),
        ({"a": []}, {"a": {}}, ("a", [], {})),
        ("x", "y", ("", "x", "y")),
    ],
)
def test_a_place_that_differs_is_named_with_both_values(
    one: Any, other: Any, found: tuple[str, Any, Any]
) -> None:
    assert list(differences(one, other)) == [found]


def test_the_first_places_are_told_and_the_others_counted() -> None:
    one: Json = {str(n): n for n in range(8)}
    lines = places(one, {}, ("then", "today"))
    assert lines[0] == "0: then 0, today nothing"
    assert (len(lines), lines[-1]) == (6, "and 3 more places")


def test_items_of_two_kinds_are_told_whole_and_of_one_kind_by_their_places() -> None:
    started = ToolStarted(call="c1", server="s", tool="add", arguments={"a": 1})
    other = ToolStarted(call="c1", server="s", tool="add", arguments={"a": 2})
    assert describe(started, other) == "arguments.a: recorded 1, now 2"
    assert describe(PromptSubmitted(text="hi"), None).splitlines() == [
        'recorded: {"kind":"prompt_submitted","text":"hi"}',
        "now:      nothing",
    ]


def _ended(structured: Any) -> Item:
    return ToolEnded(call="c1", server="s", tool="t", outcome="answered", structured=structured)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (_ended({"a": 1, "b": 2}), _ended({"b": 2, "a": 1})),
        (_ended({"a": 2}), _ended({"a": 2.0})),
        (StartTimer(id="t", seconds=60), StartTimer(id="t", seconds=60.0)),
        (
            CallModel(call="m", messages=({"x": 1}, {"y": 2}), since=1),
            CallModel(call="m", messages=({}, {"y": 2}), since=1),
        ),
    ],
)
def test_items_are_the_same_if_a_recording_would_say_the_same_of_both(
    one: Item, other: Item
) -> None:
    assert is_same(one, other)
    assert is_same(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (_ended({"ok": True}), _ended({"ok": 1})),
        (_ended([0, [False]]), _ended([0, [0]])),
        (_ended(None), _ended({})),
        (PromptSubmitted(text="a"), PromptSubmitted(text="b")),
        (PromptSubmitted(text="a"), StartTimer(id="a", seconds=1)),
    ],
)
def test_items_that_a_recording_tells_apart_are_not_the_same(one: Item, other: Item) -> None:
    assert not is_same(one, other)
    assert not is_same(other, one)

"""Where two JSON values differ, and how that is told."""

from typing import Any

import pytest

from pipeline.core.difference import NOTHING, describe, differences, places
from pipeline.core.events import Json, PromptSubmitted, ToolStarted


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

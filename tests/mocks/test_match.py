"""Requests are matched by meaning, and a miss says what comes closest."""

from typing import Any

import pytest

from pipeline.core.events import Json
from pipeline.mocks.match import Shelf, compact


def shelf(*asked: Json) -> Shelf[int]:
    found: Shelf[int] = Shelf(compact, leading=("name",))
    for number, each in enumerate(asked):
        found.put(each, number)
    return found


@pytest.mark.parametrize(
    ("recorded", "asked"),
    [
        ({"a": 1, "b": {"x": [1], "y": 2}}, {"b": {"y": 2, "x": [1]}, "a": 1}),
        ({"a": 2}, {"a": 2.0}),
        ({"a": [2.0]}, {"a": [2]}),
        ({"a": 10**30}, {"a": 10**30}),
    ],
)
def test_what_is_equal_as_json_is_the_same_request(recorded: Json, asked: Json) -> None:
    assert shelf(recorded).take(asked) == 0


@pytest.mark.parametrize(
    ("recorded", "asked"),
    [
        ({"a": 1}, {"a": True}),
        ({"a": 0}, {"a": False}),
        ({"a": 1}, {"a": "1"}),
        ({"a": [1, 2]}, {"a": [2, 1]}),
        ({"a": None}, {}),
        ({"a": 2}, {"a": 2.5}),
    ],
)
def test_what_differs_as_json_is_another_request(recorded: Json, asked: Json) -> None:
    found = shelf(recorded)
    assert found.take(asked) is None
    assert found.miss(asked).differences


def test_answers_to_the_same_request_come_in_order_and_the_last_one_stays() -> None:
    found = shelf({"a": 1}, {"a": 2}, {"a": 1})
    assert [found.take({"a": 1}) for _ in range(4)] == [0, 2, 2, 2]
    assert found.take({"a": 2}) == 1


def test_what_nobody_asked_for_is_told_once_for_each_answer() -> None:
    found = shelf({"a": 1}, {"a": 1}, {"a": 2})
    assert found.unused == ('{"a":1}', '{"a":1}', '{"a":2}')
    found.take({"a": 1})
    assert found.unused == ('{"a":1}', '{"a":2}')
    found.take({"a": 2})
    found.take({"a": 1})
    assert found.unused == ()


def test_a_miss_names_the_request_with_the_fewest_differences() -> None:
    found = shelf({"name": "add", "a": 1, "b": 1}, {"name": "add", "a": 2, "b": 3})
    miss = found.miss({"name": "add", "a": 2, "b": 4})
    assert miss.closest == '{"name":"add","a":2,"b":3}'
    assert miss.differences == ("b: asked 4, recorded 3",)
    assert str(miss).splitlines() == [
        'asked:   {"name":"add","a":2,"b":4}',
        'closest: {"name":"add","a":2,"b":3}',
        "differs: b: asked 4, recorded 3",
    ]


def test_the_same_tool_with_other_arguments_is_closer_than_another_tool_with_the_same() -> None:
    found = shelf({"name": "sub", "a": 1, "b": 2}, {"name": "add", "a": 8, "b": 9})
    assert found.miss({"name": "add", "a": 1, "b": 2}).closest == '{"name":"add","a":8,"b":9}'


def test_of_equally_many_differences_the_more_alike_text_is_closer() -> None:
    found = shelf({"q": "the weather in Rome"}, {"q": "how to bake bread"})
    assert "bread" in found.miss({"q": "how to bake a bread"}).closest


def test_a_miss_without_any_recording_says_so() -> None:
    miss = shelf().miss({"a": 1}, "the server is gone")
    assert miss.line == 'the recording holds nothing like {"a":1}'
    assert str(miss).endswith(
        "closest: nothing of the kind is recorded\nnote:    the server is gone"
    )


@pytest.mark.parametrize(
    ("asked", "recorded", "words"),
    [
        ({}, {"a": 1}, ["a: asked nothing, recorded 1"]),
        ({"a": [1]}, {"a": [1, 2]}, ["a[1]: asked nothing, recorded 2"]),
        ({"a": [1, 2]}, {"a": [1]}, ["a[1]: asked 2, recorded nothing"]),
        ({"a": {"b": 1}}, {"a": {"b": None}}, ["a.b: asked 1, recorded null"]),
        ({"a": "x"}, {"a": "y"}, ['a: asked "x", recorded "y"']),
        ({"a": [1]}, {"a": "y"}, ['a: asked [1], recorded "y"']),
    ],
)
def test_each_place_that_differs_is_named(asked: Any, recorded: Any, words: list[str]) -> None:
    assert list(shelf(recorded).miss(asked).differences) == words


def test_long_texts_are_shown_from_where_they_part() -> None:
    same = "word " * 40
    (words,) = shelf({"t": f"{same}there and on"}).miss({"t": f"{same}here"}).differences
    assert words.startswith("t from character 185: asked ")
    assert '"word word word here", recorded "word word word there and on"' in words


def test_no_more_than_five_places_are_told() -> None:
    miss = shelf({str(n): 0 for n in range(9)}).miss({str(n): 1 for n in range(9)})
    assert (len(miss.differences), miss.differences[-1]) == (6, "and 4 more places")

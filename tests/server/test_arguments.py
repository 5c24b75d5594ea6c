from typing import Any

import pytest

from server.arguments import ArgumentError, check_arguments, shorten

SCHEMA = {
    "type": "object",
    "properties": {
        "text": {"type": "string", "minLength": 1, "maxLength": 3},
        "number": {"type": "number", "minimum": 0, "maximum": 60},
        "count": {"type": "integer", "minimum": 1},
        "top": {"type": "number", "maximum": 9},
        "flag": {"type": "boolean"},
        "list": {"type": "array"},
        "map": {"type": "object"},
        "none": {"type": "null"},
        "either": {"type": ["string", "null"]},
        "any": {},
    },
    "required": ["text"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    "arguments",
    [
        {"text": "a"},
        {"text": "abc", "number": 0, "count": 2.0, "top": -5, "flag": False},
        {"text": "a", "number": 60.0, "count": 10**40},
        {"text": "a", "list": [], "map": {}, "none": None, "either": None, "any": [1]},
        {"text": "a", "either": "b"},
    ],
)
def test_arguments_that_fit_pass(arguments: dict[str, Any]) -> None:
    check_arguments(SCHEMA, arguments)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "argument 'text' is missing, expected a string from 1 to 3 characters"),
        ({"text": 5}, "argument 'text': found 5, expected a string from 1 to 3 characters"),
        ({"text": ""}, "argument 'text': found '', expected a string from 1 to 3 characters"),
        ({"text": "abcd"}, "found 'abcd', expected a string from 1 to 3 characters"),
        ({"text": "a", "number": "2"}, "argument 'number': found '2', expected a number from 0"),
        ({"text": "a", "number": True}, "argument 'number': found true, expected a number"),
        ({"text": "a", "number": 61}, "found 61, expected a number from 0 to 60"),
        ({"text": "a", "number": -0.5}, "found -0.5, expected a number from 0 to 60"),
        ({"text": "a", "count": 1.5}, "found 1.5, expected a whole number of at least 1"),
        ({"text": "a", "count": True}, "found true, expected a whole number of at least 1"),
        ({"text": "a", "top": 10}, "found 10, expected a number of at most 9"),
        ({"text": "a", "flag": "yes"}, "found 'yes', expected true or false"),
        ({"text": "a", "list": {}}, "found an object of 0, expected a list"),
        ({"text": "a", "map": [1, 2]}, "found a list of 2, expected an object"),
        ({"text": "a", "none": 0}, "found 0, expected null"),
        ({"text": "a", "either": 1}, "found 1, expected a string or null"),
        ({"text": "a", "extra": 1}, "argument 'extra' is unknown, expected 'text', 'number'"),
        ({"text": None}, "found null, expected a string"),
    ],
)
def test_what_does_not_fit_is_told_with_what_was_found_and_expected(
    arguments: dict[str, Any], words: str
) -> None:
    with pytest.raises(ArgumentError) as caught:
        check_arguments(SCHEMA, arguments)
    assert words in str(caught.value)


def test_a_tool_without_arguments_says_so() -> None:
    with pytest.raises(ArgumentError, match="'x' is unknown, expected no arguments"):
        check_arguments({"additionalProperties": False}, {"x": 1})


def test_unknown_arguments_pass_where_the_schema_allows_them() -> None:
    check_arguments({"required": []}, {"x": 1})


def test_a_required_argument_without_a_schema_is_any_value() -> None:
    with pytest.raises(ArgumentError, match="'x' is missing, expected a value"):
        check_arguments({"required": ["x"]}, {})


def test_at_most_five_problems_are_told() -> None:
    with pytest.raises(ArgumentError) as caught:
        check_arguments(SCHEMA, {f"x{number}": 1 for number in range(100)})
    assert str(caught.value).count(";") == 5
    assert str(caught.value).endswith("; and 96 more")


def test_foreign_values_are_cut_and_never_walked_into() -> None:
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    assert shorten(deep) == "a list of 1"
    assert len(shorten("x" * 10_000)) < 70

"""`x-mcp-header`: which schemas break its rules, and what a call sends."""

from typing import Any

import pytest

from pipeline.core.events import Json
from pipeline.core.param_headers import headers_for, problem_with


def schema(**properties: Any) -> Json:
    return {"type": "object", "properties": properties}


def marked(name: Any = "Region", kind: Any = "string", **more: Any) -> Json:
    return {"type": kind, "x-mcp-header": name, **more}


@pytest.mark.parametrize(
    "fine",
    [
        {},
        {"type": "object"},
        schema(a=marked()),
        schema(a=marked(kind="integer"), b=marked("B", "boolean")),
        schema(a=schema(b=marked())),
        schema(**{"x-mcp-header": {"type": "string"}}),
        {"properties": {"a": 1}},
        {"properties": []},
    ],
)
def test_a_schema_that_keeps_the_rules(fine: Json) -> None:
    assert problem_with(fine) is None


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (schema(a=marked("")), "found '' as x-mcp-header, expected a token"),
        (schema(a=marked("a b")), "found 'a b'"),
        (schema(a=marked("a\n")), "expected a token"),
        (schema(a=marked("Ä")), "expected a token"),
        (schema(a=marked(1)), "found 1 as"),
        (schema(a=marked("X"), b=marked("x")), "found the x-mcp-header 'x' twice"),
        (schema(a=marked(kind="number")), "at type 'number', expected string, integer or boolean"),
        (schema(a=marked(kind="object")), "at type 'object'"),
        (schema(a=marked(kind=["string", "null"])), "at type ['string', 'null']"),
        (schema(a={"x-mcp-header": "A"}), "at type None"),
        (schema(a={"type": "array", "items": marked()}), "outside of `properties`"),
        ({"$defs": {"a": marked()}, **schema()}, "outside of `properties`"),
        ({"anyOf": [schema(a=marked())]}, "outside of `properties`"),
        (marked(), "outside of `properties`"),
    ],
)
def test_a_schema_that_breaks_them(bad: Json, words: str) -> None:
    assert words in str(problem_with(bad))


def test_each_marked_argument_has_a_header() -> None:
    wanted = schema(
        region=marked(),
        count=marked("Count", "integer"),
        dry=marked("Dry", "boolean"),
        inner=schema(deep=marked("Deep")),
        plain={"type": "string"},
    )
    arguments = {"region": "eu", "count": -3, "dry": False, "inner": {"deep": "x"}, "plain": "p"}
    assert headers_for(wanted, arguments) == {
        "Mcp-Param-Region": "eu",
        "Mcp-Param-Count": "-3",
        "Mcp-Param-Dry": "false",
        "Mcp-Param-Deep": "x",
    }


@pytest.mark.parametrize(("value", "sent"), [(42.0, "42"), (-0.0, "0"), (True, "true")])
def test_an_integer_is_one_however_it_is_written(value: Any, sent: str) -> None:
    wanted = schema(a=marked("A", "integer"))
    assert headers_for(wanted, {"a": value}) == {"Mcp-Param-A": sent}


@pytest.mark.parametrize("value", [None, 1.5, 2**53, 2.0**53, float("inf"), [1], {"a": 1}])
def test_what_is_null_or_no_primitive_has_none(value: Any) -> None:
    assert headers_for(schema(a=marked()), {"a": value}) == {}
    assert headers_for(schema(a=marked()), {}) == {}


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("plain words", "plain words"),
        ("", ""),
        ("日本", "=?base64?5pel5pys?="),
        (" padded", "=?base64?IHBhZGRlZA==?="),
        ("tab\there", "=?base64?dGFiCWhlcmU=?="),
        ("a\r\nEvil: 1", "=?base64?YQ0KRXZpbDogMQ==?="),
        ("=?base64?eA==?=", "=?base64?PT9iYXNlNjQ/ZUE9PT89?="),
    ],
)
def test_what_is_not_plain_goes_as_base64(value: str, sent: str) -> None:
    assert headers_for(schema(a=marked()), {"a": value}) == {"Mcp-Param-Region": sent}

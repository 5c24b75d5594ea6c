"""Does structured content keep its schema? Whatever a stranger wrote, the check ends."""

from typing import Any

import pytest

from pipeline.core.events import Json
from pipeline.core.structured import complaint

DOUBLING: Json = {
    f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}, {"$ref": f"#/$defs/d{n + 1}"}]}
    for n in range(40)
}
SLOW = "(a+)+$"
LONG = "a" * 60 + "b"


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({}, None),
        ({"type": "object", "properties": {"sum": {"type": "integer"}}}, {"sum": 5}),
        ({"type": "array", "items": {"type": "string"}}, ["a"]),
        ({"$defs": {"n": {"type": "number"}}, "$ref": "#/$defs/n"}, 1.5),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "type": "null"}, None),
        ({"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "null"}, None),
        ({"type": "string", "format": "email"}, "no address, and formats only annotate"),
    ],
)
def test_what_fits_is_no_reason_to_complain(schema: Json, value: Any) -> None:
    assert complaint(schema, value) == ""


@pytest.mark.parametrize(
    ("schema", "value", "words"),
    [
        ({"type": "object"}, 5, "at $: 5 is not of type 'object'"),
        ({"properties": {"sum": {"type": "integer"}}}, {"sum": "5"}, "at $.sum: '5' is not"),
        ({"required": ["sum"]}, {}, "'sum' is a required property"),
        ({"prefixItems": [{"const": 1}]}, [2], "at $[0]: 1 was expected"),
        ({"uniqueItems": True}, [1, 1], "non-unique"),
        ({"properties": {}, "additionalProperties": False}, {"a": 1}, "'a' was unexpected"),
        ({"type": 5}, {}, "its output schema is no JSON Schema: 5"),
        ({"$schema": "https://x.invalid/mine"}, {}, "an unknown dialect: https://x.invalid/mine"),
        ({"$ref": "https://x.invalid/other"}, {}, "refers to something outside: "),
        ({"$ref": "file:///etc/passwd"}, {}, "refers to something outside: "),
        ({"$schema": ["x"]}, {}, "it cannot be checked: "),
        ({"$ref": "#"}, {}, "it cannot be checked: RecursionError"),
        ({"$id": "http://[", "$ref": "b"}, {}, "it cannot be checked: "),
        ({"multipleOf": 0.1}, 10**400, "it cannot be checked: OverflowError"),
    ],
)
def test_what_does_not_fit_or_cannot_be_checked_is_told(
    schema: Json, value: Any, words: str
) -> None:
    assert words in complaint(schema, value)


def test_a_schema_that_takes_for_ever_is_given_up() -> None:
    schema: Json = {"$defs": {**DOUBLING, "d40": {}}, "$ref": "#/$defs/d0"}
    assert complaint(schema, {}) == "to check it takes more than 100000 steps"


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"pattern": SLOW}, LONG),
        ({"propertyNames": {"pattern": SLOW}}, {LONG: 1}),
        ({"patternProperties": {SLOW: False}}, {LONG: 1}),
        ({"patternProperties": {SLOW: {}}, "additionalProperties": False}, {LONG: 1}),
        ({"patternProperties": {SLOW: {}}, "unevaluatedProperties": False}, {LONG: 1}),
        ({"uniqueItems": True}, [{"n": n} for n in range(50_000)]),
    ],
)
def test_what_could_keep_python_busy_for_ever_is_passed_over(schema: Json, value: Any) -> None:
    assert complaint(schema, value) == ""


def test_a_complaint_is_short_however_large_what_was_found() -> None:
    assert len(complaint({"type": "object"}, "x" * 100_000)) < 300

"""Forms that a server wants filled in: what they ask, what a person typed, what may be sent."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.events import Json
from pipeline.core.forms import (
    MAX_FIELDS,
    BadAnswerError,
    BadFormError,
    Field,
    check,
    expected,
    read_answer,
    read_form,
)

COLOURS: Json = {"enum": ["red", "green", "blue"], "type": "string"}
TITLED: Json = {
    "type": "string",
    "oneOf": [{"const": "#f00", "title": "Red"}, {"const": "#0f0", "title": "Green"}],
}
SEVERAL: Json = {"type": "array", "items": COLOURS, "minItems": 1, "maxItems": 2}


def form(*required: str, **properties: Any) -> tuple[Field, ...]:
    return read_form({"type": "object", "properties": properties, "required": list(required)})


def field(**schema: Any) -> Field:
    return form(x=schema)[0]


# --- reading a form ---------------------------------------------------------------------------


def test_the_fields_come_in_the_servers_order_with_what_it_says_of_them() -> None:
    name, age = form(
        "name",
        name={"type": "string", "title": "Name", "description": "Yours", "default": "Ada"},
        age={"type": "integer", "minimum": 1},
    )
    assert name == Field(
        name="name",
        kind="string",
        title="Name",
        description="Yours",
        is_required=True,
        default="Ada",
    )
    assert (age.name, age.kind, age.is_required, age.limits) == (
        "age",
        "integer",
        False,
        {"minimum": 1},
    )


@pytest.mark.parametrize(
    ("schema", "kind", "choices"),
    [
        (COLOURS, "choice", {"red": "red", "green": "green", "blue": "blue"}),
        (
            {**COLOURS, "enumNames": ["R", "G", "B"]},
            "choice",
            {"red": "R", "green": "G", "blue": "B"},
        ),
        (
            {**COLOURS, "enumNames": ["R"]},
            "choice",
            {"red": "red", "green": "green", "blue": "blue"},
        ),
        (TITLED, "choice", {"#f00": "Red", "#0f0": "Green"}),
        (SEVERAL, "choices", {"red": "red", "green": "green", "blue": "blue"}),
        (
            {"type": "array", "items": {"anyOf": TITLED["oneOf"]}},
            "choices",
            {"#f00": "Red", "#0f0": "Green"},
        ),
        ({"type": "array", "items": {"oneOf": [{"const": "a"}]}}, "choices", {"a": "a"}),
        ({"enum": ["a"]}, "choice", {"a": "a"}),
        ({"type": "integer", "enum": [1, 2]}, "integer", {}),
    ],
)
def test_choices_are_read_as_each_revision_writes_them(
    schema: Json, kind: str, choices: Json
) -> None:
    assert (field(**schema).kind, field(**schema).choices) == (kind, choices)


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (None, "no `properties`"),
        ([], "no `properties`"),
        ({"type": "object"}, "no `properties`"),
        ({"properties": []}, "no `properties`"),
        ({"properties": {"x": True}}, "found bool as field 'x'"),
        ({"properties": {"x": {"type": "object"}}}, "found type 'object' for field 'x'"),
        ({"properties": {"x": {"type": ["string", "null"]}}}, "for field 'x'"),
        ({"properties": {"x": {"type": "array", "items": {"type": "string"}}}}, "type 'array'"),
        ({"properties": {"x": {"type": "array", "items": 5}}}, "type 'array'"),
        ({"properties": {"x": {}}}, "found type None"),
        ({"properties": {str(n): {} for n in range(MAX_FIELDS + 1)}}, "found 65 fields"),
    ],
)
def test_what_is_no_form_is_refused_in_words(schema: Any, words: str) -> None:
    with pytest.raises(BadFormError) as caught:
        read_form(schema)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("schema", "default"),
    [
        ({"type": "string", "default": 5}, None),
        ({"type": "integer", "default": 5.0}, 5),
        ({"type": "integer", "default": True}, None),
        ({"type": "boolean", "default": False}, False),
        ({**COLOURS, "default": "red"}, "red"),
        ({**COLOURS, "default": "pink"}, None),
        ({**COLOURS, "default": ["red"]}, None),
        ({**SEVERAL, "default": ["red"]}, ["red"]),
        ({**SEVERAL, "default": [["red"]]}, None),
        ({"type": "string", "maxLength": 2, "default": "long"}, None),
    ],
)
def test_a_default_that_the_form_itself_would_refuse_is_none(schema: Json, default: Any) -> None:
    assert field(**schema).default == default


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
_KEYS = (
    "type", "enum", "enumNames", "oneOf", "items", "default", "format", "minimum", "maximum",
    "minLength", "maxItems", "title",
)  # fmt: skip


@given(
    st.dictionaries(
        st.sampled_from(_KEYS), _json | st.sampled_from(["string", "array", "integer"])
    ),
    _json,
)
def test_whatever_a_server_writes_is_a_form_or_is_refused(schema: Json, value: Any) -> None:
    try:
        fields = form("x", x=schema)
    except BadFormError:
        return
    for each in (value, str(value)):
        with suppress(BadAnswerError):
            read_answer(fields[0], str(each))
        with suppress(BadAnswerError):
            assert list(check(fields, {"x": each})) == ["x"]


# --- what a person typed ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "typed", "value"),
    [
        ({"type": "string"}, " Ada ", "Ada"),
        ({"type": "string"}, "   ", None),
        ({"type": "boolean"}, "Yes", True),
        ({"type": "boolean"}, "0", False),
        ({"type": "integer"}, "-5", -5),
        ({"type": "number"}, "2.5", 2.5),
        ({"type": "number"}, "2", 2),
        (COLOURS, "GREEN", "green"),
        (COLOURS, "3", "blue"),
        (TITLED, "red", "#f00"),
        (TITLED, "#0f0", "#0f0"),
        ({"enum": ["2", "1"]}, "2", "2"),
        (SEVERAL, "red, 3", ["red", "blue"]),
        ({"type": "string", "format": "email"}, "a@b.c", "a@b.c"),
        ({"type": "string", "format": "date"}, "2026-11-24", "2026-11-24"),
        ({"type": "string", "format": "date-time"}, "2026-11-24T10:00:00Z", "2026-11-24T10:00:00Z"),
        ({"type": "string", "format": "uri"}, "https://a.b", "https://a.b"),
        ({"type": "string", "format": "unheard-of"}, "a", "a"),
        ({"type": "string", "format": ["email"]}, "a", "a"),
    ],
)
def test_what_was_typed_is_a_value_of_the_field(schema: Json, typed: str, value: Any) -> None:
    found = read_answer(field(**schema), typed)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("schema", "typed", "words"),
    [
        ({"type": "integer"}, "five", "x: found 'five', expected a whole number"),
        ({"type": "integer"}, "2.5", "expected a whole number"),
        ({"type": "integer", "minimum": 1, "maximum": 9}, "10", "a whole number from 1 up to 9"),
        ({"type": "number", "minimum": 0.5}, "0", "a number from 0.5"),
        ({"type": "number"}, "nan", "expected a number"),
        ({"type": "number"}, "inf", "expected a number"),
        ({"type": "number"}, "1e999", "expected a number"),
        ({"type": "boolean"}, "maybe", "expected yes or no"),
        (COLOURS, "4", "expected one of red, green, blue"),
        (COLOURS, "0", "expected one of"),
        (SEVERAL, "red,green,blue", "expected some of red, green, blue"),
        (SEVERAL, "red,pink", "found ['red', 'pink']"),
        ({"type": "string", "minLength": 3}, "ab", "text, at least 3 characters"),
        ({"type": "string", "maxLength": 3}, "abcd", "text, at most 3 characters"),
        ({"type": "string", "format": "email"}, "a", "text in the form of email"),
        ({"type": "string", "format": "date"}, "24.11.2026", "text in the form of date"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_was_expected(
    schema: Json, typed: str, words: str
) -> None:
    with pytest.raises(BadAnswerError) as caught:
        read_answer(field(**schema), typed)
    assert words in str(caught.value)


def test_two_choices_that_read_alike_are_told_apart_by_their_value_only() -> None:
    twins = field(oneOf=[{"const": "a", "title": "Same"}, {"const": "b", "title": "Same"}])
    with pytest.raises(BadAnswerError):
        read_answer(twins, "same")
    assert read_answer(twins, "b") == "b"


def test_a_refusal_is_short_however_long_what_was_found_or_may_be_chosen() -> None:
    many = field(enum=[f"choice {number}" for number in range(1000)])
    with pytest.raises(BadAnswerError) as caught:
        read_answer(many, "x" * 5000)
    assert len(str(caught.value)) < 600
    assert expected(many).endswith("choice 19, …")
    with pytest.raises(BadAnswerError):
        read_answer(field(type="integer", maximum=10**300), "9" * 4000)


# --- what may be sent -------------------------------------------------------------------------


def test_defaults_stand_for_what_was_left_out() -> None:
    fields = form(
        "name",
        name={"type": "string", "default": "Ada"},
        age={"type": "integer", "default": 36},
        note={"type": "string"},
    )
    assert check(fields, {}) == {"name": "Ada", "age": 36}
    assert check(fields, {"age": 0, "note": "", "stray": 1}) == {
        "name": "Ada",
        "age": 0,
        "note": "",
    }


def test_a_required_field_without_default_has_to_be_filled_in() -> None:
    with pytest.raises(BadAnswerError, match="name: found nothing, expected text"):
        check(form("name", name={"type": "string"}), {})


def test_a_value_of_another_type_is_not_sent() -> None:
    with pytest.raises(BadAnswerError, match="x: found '5', expected a whole number"):
        check((field(type="integer"),), {"x": "5"})

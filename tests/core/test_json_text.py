"""JSON as others write it: halves of characters, arrays with a rotten member, names that repeat."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.json_text import (
    UNREADABLE,
    is_nested_deeper,
    parts_of,
    read_any,
    repeated,
    without_halves,
)

FFFD = "\ufffd"
NAMES = ("id", "method", "result")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'{"a":"x\ud800"}', {"a": "x" + FFFD}),
        (r'{"a":"\uDC00x"}', {"a": FFFD + "x"}),
        (r'{"a":"\ud800\ud800\udc00"}', {"a": FFFD + "\U00010000"}),
        (r'{"a":"\ud83dA"}', {"a": FFFD + "A"}),
        (r'{"a":"\ud83d\n"}', {"a": FFFD + "\n"}),
        (r'{"\ud800":1}', {FFFD: 1}),
        (r'["\\ud800","\ud83d\ude00"]', [r"\ud800", "\U0001f600"]),
        (r'["\\\ud800"]', ["\\" + FFFD]),
        ('["plain"]', ["plain"]),
    ],
)
def test_half_a_character_costs_that_character_alone(text: str, value: Any) -> None:
    assert read_any(text) == value


@given(st.lists(st.characters() | st.characters(categories=["Cs"]), max_size=8))
def test_any_text_that_can_be_escaped_can_be_read_and_written_as_utf_8(signs: list[str]) -> None:
    text = "".join(signs)
    value = read_any(json.dumps([text]))
    assert value == [text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")]
    msgspec.json.encode(value).decode("utf-8")


@given(st.text())
def test_what_is_mended_keeps_its_length_so_that_places_in_it_stay(text: str) -> None:
    wild = f"{text}\\ud800{text}\\udbff\\udc00{text}\\udfff"
    assert len(without_halves(wild)) == len(wild)


@pytest.mark.parametrize(
    "text",
    ["", "{", r'["\ud800"', '{"a":NaN}', '{"a":Infinity}', "\ud800", '["\\ud8"]', "[" * 9000],
)
def test_what_is_no_json_is_refused_all_the_same(text: str) -> None:
    with pytest.raises(UNREADABLE):
        read_any(text)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[]", [""]),
        ('[1, {"a":[2,3]} ,"]"]', ["1", ' {"a":[2,3]} ', '"]"']),
        ('[{"a":NaN},{"b":"\\""}]\n', ['{"a":NaN}', '{"b":"\\""}']),
        (f"[{'[' * 9000}{']' * 9000},7]", [f"{'[' * 9000}{']' * 9000}", "7"]),
        ('[{"a":1},', None),
        ("[1]x", None),
        ("[1}", None),
        ('["', None),
    ],
)
def test_an_array_is_cut_into_its_members_whatever_they_are(
    text: str, parts: list[str] | None
) -> None:
    assert parts_of(text) == parts


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('{"id":1,"id":1}', "id"),
        ('{"id":1,"result":{},"id":2}', "id"),
        ('{"result":{"id":1},"result":{"id":2}}', "result"),
        ('{"id":1,"result":{"id":2,"x":{"id":3,"id":4}}}', ""),
        ('{"id":"id","method":"id"}', ""),
        ('{"id":"a","result":{"text":"{\\"id\\":1,\\"id\\":2}"}}', ""),
        ('{"ID":1,"id":2}', ""),
        ('{"other":1,"other":2}', ""),
        ('{"other":{"id":1},"id":[{"id":2}],"other":{"id":3}}', ""),
        ('{"result":{"id":1,"x":["id"]},"result":{"id":2}}', "result"),
        ('{ "id" : 1 , "id"\n: 2 }', "id"),
        (r'{"id":"\ud800","id":"b"}', "id"),
    ],
)
def test_a_name_counts_as_repeated_only_where_it_stands_at_the_top(text: str, name: str) -> None:
    assert repeated(text, NAMES) == name


@pytest.mark.parametrize(("depth", "is_deeper"), [(3, False), (4, True), (100_000, True)])
@pytest.mark.parametrize(("opens", "closes"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_how_deep_a_line_is_does_not_hang_on_what_it_is_read_into(
    opens: bytes, closes: bytes, depth: int, is_deeper: bool
) -> None:
    assert is_nested_deeper(opens * depth + b"1" + closes * depth, 3) is is_deeper


def test_brackets_in_strings_and_side_by_side_are_no_depth() -> None:
    assert not is_nested_deeper(b'["[[[[[[[[\\"[[[[",[],[],[],[],{}]', 2)

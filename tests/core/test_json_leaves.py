"""Each string of a JSON text is found with its place, and a piece of it can be replaced there."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.json_leaves import leaves, strings

TEXTS = st.text(st.characters(codec="utf-8"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=20,
)


def told(text: str) -> list[tuple[str, str, str]]:
    return [(leaf.place.path(), leaf.key, leaf.text) for leaf in leaves(text)]


def replaced(text: str, word: str, new: str) -> str:
    """Every `word` of a leaf replaced in the whole text, from behind."""
    spans: list[tuple[int, int]] = []
    for leaf in leaves(text):
        at = leaf.text.find(word)
        while at >= 0:
            spans.append(leaf.lift(at, at + len(word)))
            at = leaf.text.find(word, at + len(word))
    for start, stop in sorted(spans, reverse=True):
        text = text[:start] + new + text[stop:]
    return text


def test_the_strings_of_a_text_come_in_order_with_their_keys() -> None:
    assert told('{"a": {"b c": ["x", 1, {"d": "y"}, "z"]}, "e": "w"}') == [
        (". | keys[]", "", "a"),
        (".a | keys[]", "", "b c"),
        ('.a["b c"][0]', "b c", "x"),
        ('.a["b c"][2] | keys[]', "", "d"),
        ('.a["b c"][2].d', "d", "y"),
        ('.a["b c"][3]', "b c", "z"),
        (". | keys[]", "", "e"),
        (".e", "e", "w"),
    ]


def test_both_values_of_a_key_that_stands_twice_are_seen() -> None:
    assert [text for _, key, text in told('{"a":"one","a":"two"}') if key] == ["one", "two"]


def test_json_inside_of_a_string_is_looked_into_at_any_depth() -> None:
    inner = json.dumps({"b": json.dumps([json.dumps({"c": "deep"})])})
    (*_, last) = told(json.dumps({"a": inner}))
    assert last == (".a | fromjson | .b | fromjson | .[0] | fromjson | .c", "c", "deep")


def test_no_string_is_looked_into_where_only_strings_are_asked_for() -> None:
    inner = '{"b": "x"}'
    found = [(leaf.place.path(), leaf.text) for leaf in strings(json.dumps({"a": inner}))]
    assert found == [(". | keys[]", "a"), (".a", inner)]
    assert [leaf.text for leaf in strings("no JSON")] == ["no JSON"]


def test_the_data_of_an_event_stream_is_looked_into_and_what_is_between_is_text() -> None:
    body = 'event: message\ndata: {"a": "x"}\n\nid: 7\ndata:["y"]\r\ndata: {oops\n'
    assert told(json.dumps({"body": body}))[1:] == [
        (".body", "body", "event: message\ndata: "),
        ('.body | split("\\n")[1] | ltrimstr("data:") | fromjson | . | keys[]', "", "a"),
        ('.body | split("\\n")[1] | ltrimstr("data:") | fromjson | .a', "a", "x"),
        (".body", "body", "\n\nid: 7\ndata:"),
        ('.body | split("\\n")[4] | ltrimstr("data:") | fromjson | .[0]', "body", "y"),
        (".body", "body", "\ndata: {oops\n"),
    ]


@pytest.mark.parametrize("text", ["", "word", "{oops", '{"a": }', "[" * 5000 + "]" * 5000])
def test_what_is_no_json_is_one_leaf(text: str) -> None:
    assert told(text) == [(".", "", text)]


@pytest.mark.parametrize(
    "text",
    [
        r'{"a":  "x\n\"secret\" é"}',
        r'{"a": "\u0073ecr\u0065t"}',
        r'{"a": "😀 \ud83d\ude00 secret \/ \t"}',
        r'{"secret": ["\\secret", "\\\u0073ecret"]}',
        r'{"a": "{\"b\": \"x\\n\\u0073ecret\\\\\"}"}',
        r'{"a": "event: x\ndata: {\"b\": \"\\u0073ecret\"}\n\n"}',
    ],
)
def test_a_piece_is_replaced_where_it_stands_however_it_is_escaped(text: str) -> None:
    changed = replaced(text, "secret", "S")
    assert told(changed) == [
        (path.replace("secret", "S"), key.replace("secret", "S"), leaf.replace("secret", "S"))
        for path, key, leaf in told(text)
    ]
    assert "S" in changed
    assert "secret" not in str(told(changed))


@given(VALUES, st.booleans(), st.integers(0, 3))
def test_whatever_is_replaced_the_rest_is_as_it_was(value: Any, is_ascii: bool, depth: int) -> None:
    text = json.dumps({"first": "secret", "value": value}, ensure_ascii=is_ascii)
    for _ in range(depth):
        text = json.dumps([text, "a secret"], ensure_ascii=is_ascii)
    assert replaced(replaced(text, "secret", "SSSSSS"), "SSSSSS", "secret") == text


@given(VALUES)
def test_every_string_of_a_value_is_told(value: Any) -> None:
    found = {leaf.text for leaf in strings(json.dumps([value]))}
    assert strings_in(value) <= found


def strings_in(value: Any) -> set[str]:
    match value:
        case str():
            return {value}
        case dict():
            inner = [strings_in(child) for child in value.values()]
            return set(value).union(*inner)
        case list():
            return set[str]().union(*(strings_in(child) for child in value))
        case _:
            return set()


def test_a_text_with_half_a_character_in_it_is_looked_into_and_keeps_its_places() -> None:
    text = r'{"a":"\ud800","b":"{\"c\":\"x\\udc00\"}"}'
    found = {leaf.text: leaf for leaf in leaves(text)}
    assert list(found) == ["a", "\ufffd", "b", "c", "x\ufffd"]
    assert text[slice(*found["x\ufffd"].lift(0, 1))] == "x"
    assert text[slice(*found["x\ufffd"].lift(1, 2))] == r"\\udc00"
    assert [leaf.text for leaf in strings(text)][:2] == ["a", "\ufffd"]

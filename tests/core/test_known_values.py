"""A known value is found however it is written, and a look tells texts that cannot hold one."""

import json
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.json_leaves import leaves
from pipeline.core.known_values import KnownValues

VALUE = 'k"e\\y/1+abc=='
TEXTS = st.text(st.characters(codec="utf-8"))


def values_in(known: KnownValues, text: str) -> list[str]:
    return [value for leaf in leaves(text) for _, _, value in known.find(leaf.text)]


@pytest.mark.parametrize(
    "text",
    [
        f"so {VALUE} it is",
        quote(VALUE, safe=""),
        quote(VALUE, safe="").lower(),
        quote(VALUE),
        json.dumps([VALUE]),
        json.dumps([VALUE]).replace("/", r"\/"),
        json.dumps([json.dumps({VALUE: 1})]),
        f"broken {json.dumps([VALUE])}",
        json.dumps([VALUE]).replace("abc", r"\u0061b\u0063"),
        json.dumps([VALUE]).replace("+", r"\u002B").replace("=", r"\u003d"),
        f"event: x\ndata: {json.dumps([VALUE])}\n\n",
        *[b64encode(b"~" * ahead + VALUE.encode()).decode() for ahead in range(4)],
        *[
            urlsafe_b64encode(b"~" * ahead + f"{VALUE}{VALUE[0]}".encode()).decode()
            for ahead in (0, 1)
        ],
        json.dumps([b64encode(VALUE.encode()).decode()]).replace("/", r"\/"),
    ],
)
def test_a_value_is_found_however_it_is_written(text: str) -> None:
    known = KnownValues([VALUE])
    assert known.may_be_in(text)
    assert values_in(known, text) == [VALUE]


def test_the_longest_value_is_found_first() -> None:
    known = KnownValues(["token-123", "Bearer token-123"])
    found = known.find("x token-123 and Bearer token-123")
    assert [value for _, _, value in found] == ["token-123", "Bearer token-123"]


def test_a_short_value_is_found_as_a_word_only() -> None:
    known = KnownValues(["pin42"])
    assert [at for at, _, _ in known.find("pin42 pin421 xpin42 (pin42)")] == [0, 21]


def test_without_values_nothing_is_found() -> None:
    known = KnownValues(["", ""])
    assert not known.may_be_in(r"anything \u0061")
    assert known.find("anything") == []
    assert known.held_back("anything") == 0


def test_a_value_that_is_no_plain_letter_at_all_is_looked_for_everywhere() -> None:
    known = KnownValues(["пароль!!!"])
    assert known.may_be_in("x")
    assert values_in(known, json.dumps(["пароль!!!"])) == ["пароль!!!"]


@pytest.mark.parametrize(
    ("text", "held"),
    [("", 0), ("abc", 0), ("x to", 2), ("t", 1), ("token-12", 8), ("ttto", 2), ("token", 5)],
)
def test_an_end_that_may_be_a_beginning_is_held_back(text: str, held: int) -> None:
    assert KnownValues(["token-123", "-]^"]).held_back(text) == held


@given(TEXTS, TEXTS, st.text(st.characters(codec="utf-8"), min_size=8), st.integers(0, 3))
def test_a_look_never_misses_a_value(before: str, after: str, value: str, depth: int) -> None:
    text = f"{before}{value}{after}"
    for level in range(depth):
        text = json.dumps([text], ensure_ascii=level % 2 == 0)
    assert KnownValues([value]).may_be_in(text)


@given(st.binary(), st.binary(), st.text(st.characters(codec="utf-8"), min_size=8), st.booleans())
def test_base64_hides_no_value_wherever_it_stands(
    before: bytes, after: bytes, value: str, is_for_urls: bool
) -> None:
    encode = urlsafe_b64encode if is_for_urls else b64encode
    text = encode(before + value.encode() + after).decode()
    known = KnownValues([value])
    assert known.may_be_in(text)
    assert value in values_in(known, text)


def test_base64_of_a_short_value_is_not_looked_for() -> None:
    known = KnownValues(["pin42"])
    assert known.find(b64encode(b"pin42").decode()) == []


@given(st.text(), st.text(min_size=1))
def test_what_is_held_back_is_the_longest_beginning(text: str, value: str) -> None:
    held = KnownValues([value]).held_back(text)
    begins = [n for n in range(1, len(value)) if text.endswith(value[:n])]
    assert held >= max(begins, default=0)

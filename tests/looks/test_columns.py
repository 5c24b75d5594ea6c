"""Text in columns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.looks.columns import wrap
from sinks.terminal_text import cells, fit


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", [""]),
        ("one two three", ["one two", "three"]),
        ("one two", ["one two"]),
        ("abcdefghijk", ["abcdefg", "hijk"]),
        ("ab cdefghijklm", ["ab", "cdefghi", "jklm"]),
        ("    indented more", ["    ind", "ented", "more"]),
        ("a\n\nb", ["a", "", "b"]),
        ("寿司寿司 x", ["寿司寿", "司 x"]),
    ],
)
def test_lines_break_at_spaces_where_there_are(text: str, lines: list[str]) -> None:
    assert wrap(text, 7, 7) == lines


def test_the_first_line_may_be_shorter() -> None:
    assert wrap("one two three", 4, 9) == ["one", "two three"]


def test_combining_marks_take_no_room() -> None:
    assert cells("e\u0301") == 1
    assert fit("e\u0301e", 1) == "e\u0301"


@given(st.text(), st.integers(2, 20), st.integers(2, 20))
def test_nothing_but_spaces_is_lost_and_no_line_is_too_wide(
    text: str, first: int, rest: int
) -> None:
    lines = wrap(text, first, rest)
    assert all(cells(line) <= (rest if at else first) for at, line in enumerate(lines))
    assert "".join("".join(lines).split()) == "".join(text.split())

"""Where answers and notices stand on a screen."""

import io

import pytest

from sinks.notices import Notice
from sinks.screen import Screen
from sinks.writer import Stream

OUT, ERR = Stream(io.StringIO(), "out"), Stream(io.StringIO(), "err")


def screen(*, is_terminal: bool = True, colour: bool = False) -> Screen:
    return Screen(OUT, ERR, colour=colour, is_terminal=is_terminal)


def written(shown: Screen) -> tuple[str, str, str]:
    """Standard output, standard error, and both as they come."""
    pieces = shown.take()
    both = "".join(str(piece.data) for piece in pieces)
    one, other = (
        "".join(str(piece.data) for piece in pieces if piece.stream is stream)
        for stream in (OUT, ERR)
    )
    return one, other, both


def displayed(text: str) -> list[str]:
    """The lines that a terminal shows, given only text, line feeds and carriage returns."""
    lines, column = [""], 0
    for char in text:
        if char == "\n":
            lines.append("")
            column = 0
        elif char == "\r":
            column = 0
        else:
            lines[-1] = lines[-1][:column] + char + lines[-1][column + 1 :]
            column += 1
    return [line.rstrip() for line in lines]


@pytest.mark.parametrize("is_terminal", [True, False])
@pytest.mark.parametrize(
    ("deltas", "out"),
    [
        (["one"], "one\n"),
        (["one", " two\n"], "one two\n"),
        (["one\n", "\n\n"], "one\n"),
        (["one\n", "\ntwo"], "one\n\ntwo\n"),
        (["\n", "one"], "\none\n"),
        (["\n\n"], ""),
        (["", "x", ""], "x\n"),
        ([], ""),
    ],
)
def test_an_answer_ends_with_exactly_one_line_break(
    deltas: list[str], out: str, is_terminal: bool
) -> None:
    shown = screen(is_terminal=is_terminal)
    for delta in deltas:
        shown.answer(delta)
    shown.end_answer()
    assert written(shown) == (out, "", out)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_standard_output_is_the_same_with_and_without_notices(is_terminal: bool) -> None:
    shown = screen(is_terminal=is_terminal)
    shown.answer("I add.\n")
    shown.notice(Notice(">", "add a=2"))
    shown.progress(Notice("·", "add 1/2"), 80)
    shown.answer("It is ")
    shown.notice(Notice("!", "local: odd", "look"))
    shown.answer("5.")
    shown.end_answer()
    assert written(shown)[0] == "I add.\nIt is 5.\n"


def test_a_notice_in_mid_answer_starts_on_a_fresh_line_of_a_terminal() -> None:
    shown = screen()
    shown.answer("The sum")
    shown.notice(Notice(">", "add"))
    shown.notice(Notice("<", "add ok"))
    shown.answer(" is 5.")
    shown.end_answer()
    shown.notice(Notice("=", "after", "hint"))
    _, _, both = written(shown)
    assert displayed(both) == ["The sum", "> add", "< add ok", " is 5.", "= after", "  hint", ""]


def test_no_fresh_line_where_the_streams_go_different_ways() -> None:
    shown = screen(is_terminal=False)
    shown.answer("The sum")
    shown.notice(Notice(">", "add"))
    assert written(shown)[1] == "> add\n"


def test_progress_replaces_progress_on_a_terminal() -> None:
    shown = screen()
    shown.answer("Wait")
    for text in ("wait 1/10 a long message", "wait 2/10", "wait 3/10"):
        shown.progress(Notice("·", text), 80)
    first = written(shown)[2]
    assert displayed(first) == ["Wait", "· wait 3/10"]
    shown.notice(Notice("<", "wait ok"))
    shown.progress(Notice("·", "more"), 80)
    shown.answer("Done")
    shown.progress(Notice("·", "again"), 80)
    shown.finish()
    assert displayed(first + written(shown)[2]) == [
        "Wait",
        "· wait 3/10",
        "< wait ok",
        "· more",
        "Done",
        "· again",
        "",
        "",
    ]


def test_progress_is_a_line_each_where_there_is_no_terminal() -> None:
    shown = screen(is_terminal=False)
    shown.progress(Notice("·", "wait 1/2"), 80)
    shown.progress(Notice("·", "wait 2/2"), 80)
    assert written(shown)[1] == "· wait 1/2\n· wait 2/2\n"


@pytest.mark.parametrize(
    ("text", "width", "line"),
    [
        ("abcdef", 5, "· ab"),
        ("漢字漢字", 6, "· 漢"),
        ("e\u0301e\u0301e\u0301", 5, "· e\u0301e\u0301"),
        ("abc", 1, "·"),
        ("abc", 0, "·"),
        ("a\nb\x1b", 80, r"· a\nb\x1b"),
    ],
)
def test_progress_never_wraps_for_a_wrapped_line_could_not_be_replaced(
    text: str, width: int, line: str
) -> None:
    shown = screen()
    shown.progress(Notice("·", text), width)
    assert written(shown)[1] == f"\r{line}"


def test_colour_is_around_a_notice_and_never_in_an_answer() -> None:
    shown = screen(colour=True)
    shown.answer("\x1b[31mred")
    shown.end_answer()
    shown.notice(Notice("!", "bad\x1b[0m", "hint"))
    shown.progress(Notice("·", "1/2"), 80)
    out, err, _ = written(shown)
    assert out == "\\x1b[31mred\n"
    assert err == ("\x1b[31m! bad\\x1b[0m\x1b[0m\n\x1b[31m  hint\x1b[0m\n\r\x1b[2m· 1/2\x1b[0m")


def test_a_notice_cannot_forge_another() -> None:
    shown = screen(is_terminal=False)
    shown.notice(Notice("<", "ok\n! forged", "so\n\tit is"))
    assert written(shown)[1] == "< ok\\n! forged\n  so\\n\\tit is\n"


def test_finishing_an_empty_screen_writes_nothing() -> None:
    shown = screen()
    shown.finish()
    assert written(shown) == ("", "", "")

"""Texts in pieces are put together, and a span of one is found in its pieces."""

from pipeline.core.pieces import Pieces, Streamed, head_of


def line(kind: str, **fields: str) -> str:
    inner = ",".join(f'"{name}":"{value}"' for name, value in {"kind": kind, **fields}.items())
    return f'{{"seq":1,{inner}}}\n'


def texts(*lines: str) -> list[str]:
    """What ends where, as `line number: text`; `end` for what nothing ended."""
    pieces, told = Pieces(), list[str]()
    for number, each in enumerate(lines, 1):
        told += [f"{number}: {s.text}" for s in pieces.read(number, head_of(each))]
    return told + [f"end: {streamed.text}" for streamed in pieces.end()]


def test_what_a_model_says_and_thinks_in_one_call_ends_with_the_call() -> None:
    assert texts(
        line("model_spoke", call="1", text="a"),
        line("model_thought", call="1", text="t"),
        line("frame_received", server="s", text="no piece"),
        line("model_spoke", call="2", text="other"),
        line("model_spoke", call="1", text="b"),
        line("model_finished", call="1"),
        line("model_failed", call="2"),
    ) == ["6: ab", "6: t", "7: other"]


def test_what_is_shown_ends_with_the_answer() -> None:
    deltas = [line("answer_delta", text=text) for text in "xyz"]
    assert texts(deltas[0], deltas[1], line("answer_completed", text="xy"), deltas[2]) == [
        "3: xy",
        "end: z",
    ]


def test_a_call_that_was_cancelled_or_a_run_that_stops_ends_a_text() -> None:
    spoke = line("model_spoke", call="1", text="a")
    assert texts(spoke, line("cancel_model", call="1"), spoke, line("recording")) == [
        "2: a",
        "4: a",
    ]


def test_what_is_no_line_is_no_piece() -> None:
    odd = ['{"kind":7}', "nonsense", '{"kind":"model_spoke","call":"1","text":7}', "\ud800"]
    assert [head_of(each).is_piece for each in odd] == [False] * 4
    assert texts(*odd) == []


def test_a_span_is_told_by_line_and_place_in_the_piece() -> None:
    streamed = Streamed()
    for number, piece in ((3, "abc"), (5, ""), (9, "def"), (10, "g")):
        streamed.add(number, piece)
    assert streamed.line == 3
    assert list(streamed.cut(1, 5)) == [(3, 1, 3), (9, 0, 2)]
    assert list(streamed.cut(6, 7)) == [(10, 0, 1)]
    assert list(streamed.cut(0, 3)) == [(3, 0, 3)]

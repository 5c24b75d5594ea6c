"""What `lint` finds in a recording, and that it gives no secret away."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from pipeline.core.commands import CallModel, CancelModel
from pipeline.core.events import (
    AnswerDelta,
    FrameReceived,
    ModelSpoke,
    Problem,
    PromptSubmitted,
    QuestionAsked,
    QuestionClosed,
    RequestEnded,
    RequestStarted,
    RunEnded,
    RunResumed,
)
from pipeline.looks.lint import lint
from pipeline.shell.recordings import RecordingError
from tests.support.sample_session import HEADER, LOGS, Script, asked, called, ended, lines

ROOT = Path(__file__).resolve().parents[2]
KEPT = sorted((ROOT / "tests" / "recordings").glob("*.jsonl"))
KEY = "sk-ant-" + "api03-Vx8mT2qLw9"
OVER: Script = [(9.0, [RunEnded(code=0)])]


def linted(folder: Path, *parts: bytes) -> list[str]:
    """The findings, without the file's name."""
    path = folder / "r.jsonl"
    path.write_bytes(b"".join(parts))
    prefix = f"{path}:"
    found = [str(each) for each in lint(path)]
    assert all(each.startswith(prefix) for each in found)
    return [each.removeprefix(prefix) for each in found]


def whole(script: Script) -> list[bytes]:
    return [line + b"\n" for line in lines([*script, *OVER])]


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.name)
def test_nothing_is_wrong_with_recordings_of_real_runs(path: Path) -> None:
    assert lint(path) == []


def test_nothing_is_wrong_with_the_sample(tmp_path: Path) -> None:
    assert linted(tmp_path, *[line + b"\n" for line in lines()]) == []


def test_a_secret_is_named_by_its_place_and_not_printed(tmp_path: Path) -> None:
    call = called("c1", LOGS, "tail", key=KEY, password="hunter2")[:1]
    script: Script = [(0.0, [*call, ended("c1", LOGS, "tail")])]
    found = linted(tmp_path, *whole(script))
    assert found == [
        f"2: secret: anthropic-key sk-a… ({len(KEY)} characters) at .arguments.key",
        "2: secret: telling-key (7 characters) at .arguments.password",
    ]


def test_a_secret_that_stands_in_many_places_is_told_once(tmp_path: Path) -> None:
    script: Script = [(0.0, [PromptSubmitted(text=f"use {KEY}")] * 5)]
    (found,) = linted(tmp_path, *whole(script))
    assert found.startswith("2: secret: ")
    assert found.endswith(" at .text, and 4 times more in this file")


def test_secrets_are_found_in_the_header_in_frames_and_in_lines_that_are_no_json(
    tmp_path: Path,
) -> None:
    plan = replace(HEADER.plan, system_prompt=f"the key is {KEY}a")
    data = f'{{"result": {{"content": [{{"text": "{KEY}b"}}]}}}}'
    frame = FrameReceived(server=LOGS, event="message", data=data)
    first, *rest = lines([(0.0, [frame]), *OVER], replace(HEADER, plan=plan))
    found = linted(tmp_path, *[line + b"\n" for line in (first, *rest)], f"{KEY}c".encode())
    assert [each.partition(" at ")[2] for each in found if ": secret: " in each] == [
        ".plan.system_prompt",
        ".data | fromjson | .result.content[0].text",
        ".",
    ]


def test_a_secret_that_is_cut_into_pieces_is_found(tmp_path: Path) -> None:
    pieces = [ModelSpoke(call="model:1", text=text) for text in ("it is ", KEY[:7], KEY[7:])]
    cut = [CancelModel(call="model:1"), *(AnswerDelta(text=text) for text in (KEY[:3], KEY[3:]))]
    (found,) = linted(tmp_path, *whole([(0.0, [*pieces, *cut])]))
    assert found.startswith("2: secret: anthropic-key sk-a… ")
    assert found.endswith(" at .text, put together with the pieces after it")
    again = linted(tmp_path, *whole([(0.0, [*pieces, PromptSubmitted(text=KEY)])]))
    assert [each.partition(" at ")[2] for each in again] == [".text"]


def test_a_kind_of_the_future_is_named(tmp_path: Path) -> None:
    first, second, last = whole([(0.0, [PromptSubmitted(text="x")])])
    odd = second.replace(b"prompt_submitted", b"dream_dreamt")
    assert linted(tmp_path, first, odd, last) == [
        "2: unknown-kind: found 'dream_dreamt', which is no kind that this version knows"
    ]


def test_a_line_that_does_not_fit_its_kind_is_told(tmp_path: Path) -> None:
    first, second, last = whole([(0.0, [PromptSubmitted(text="x")])])
    (shape,) = linted(tmp_path, first, second.replace(b'"x"', b"7"), last)
    assert shape.startswith("2: malformed: not a line of a recording: Expected `str`, got `int`")
    (broken,) = linted(tmp_path, first, b"nonsense\n", last)
    assert broken.startswith("2: malformed: not a line of a recording: ")


def test_a_gap_is_told_where_it_is(tmp_path: Path) -> None:
    first, second, third, last = whole([(0.0, [PromptSubmitted(text="x")] * 2)])
    assert linted(tmp_path, first, third, last) == ["2: seq-gap: found seq 2 after 0, expected 1"]
    assert linted(tmp_path, first, second, second, third, last) == [
        "3: seq-gap: found seq 1 after 1, expected 2"
    ]


def test_a_torn_tail_is_told(tmp_path: Path) -> None:
    first, *rest = whole([(0.0, [PromptSubmitted(text="x")])])
    found = linted(tmp_path, first, *rest, b'{"seq":3,')
    assert found == [
        "4: torn-tail: the last line is not whole (9 bytes), as after a crash; it does not count"
    ]


def test_calls_without_an_end_and_ends_without_a_call_are_told(tmp_path: Path) -> None:
    script: Script = [
        (0.0, [*called("c1", LOGS, "tail")[:1], asked(1), asked(2), CancelModel(call="model:2")]),
        (1.0, [ended("c2", LOGS, "tail")]),
        (2.0, [*called("c1", LOGS, "tail")[:1]]),
    ]
    assert linted(tmp_path, *whole(script)) == [
        "3: open-call: the model call 'model:1' has no end in this run",
        "6: ended-twice: the call 'c2' ends, but is not under way",
        "7: started-twice: the call 'c1' is under way",
        "7: open-call: the call 'c1' of the tool 'tail' has no end in this run",
    ]


def test_requests_and_questions_without_an_end_are_told(tmp_path: Path) -> None:
    read = RequestStarted(request="r1", server="s", method="resources/read")
    asks = QuestionAsked(question="q1", server="s", form="form", message="who?")
    script: Script = [
        (0.0, [read, asks, asks]),
        (1.0, [QuestionClosed(question="q2", server="s", action="accept")]),
    ]
    assert linted(tmp_path, *whole(script)) == [
        "2: open-call: the request 'r1' (resources/read) has no end in this run",
        "4: started-twice: the question 'q1' is under way",
        "4: open-call: the question 'q1' of 's' has no end in this run",
        "5: ended-twice: the question 'q2' ends, but is not under way",
    ]
    ends = [
        QuestionClosed(question="q1", server="s", action="accept"),
        RequestEnded(request="r1", server="s", method="resources/read", outcome="answered"),
    ]
    assert linted(tmp_path, *whole([(0.0, [read, asks]), (1.0, ends)])) == []


def test_a_run_without_an_end_is_told(tmp_path: Path) -> None:
    first, second, _ = whole([(0.0, [PromptSubmitted(text="x")])])
    assert linted(tmp_path, first, second) == [
        "2: no-end: the run has no run_ended: it was cut off, or goes on"
    ]


def test_a_run_that_went_on_is_one_run_and_the_model_is_asked_again(tmp_path: Path) -> None:
    begun: Script = [
        (0.0, [asked(1), *called("c1", LOGS, "tail")[:1], RunEnded(code=130)]),
        (1.0, [RunResumed(goal="chat", servers=()), CallModel(call="model:2", messages=())]),
    ]
    rest: Script = [(2.0, [ended("c1", LOGS, "tail"), CancelModel(call="model:2")])]
    assert linted(tmp_path, *whole([*begun, *rest])) == []
    found = linted(tmp_path, *[line + b"\n" for line in lines(begun)])
    assert [each.partition(": ")[2].partition(":")[0] for each in found] == [
        "open-call",
        "open-call",
        "no-end",
    ]


def test_each_run_of_a_file_is_looked_at_on_its_own(tmp_path: Path) -> None:
    run = whole([(0.0, [*called("c1", LOGS, "tail")[:1]])])
    found = linted(tmp_path, *run, *run)
    assert [each.partition(":")[0] for each in found] == ["2", "5"]


def test_a_time_that_runs_backwards_or_is_none_is_told(tmp_path: Path) -> None:
    script: Script = [(3.0, [PromptSubmitted(text="x")]), (1.5, [PromptSubmitted(text="y")])]
    first, second, third, last = whole(script)
    assert linted(tmp_path, first, second, third, last) == [
        "3: time-backwards: 2026-11-24T06:28:24.500000Z is 1.50 s before the line above: "
        "the clock was set back"
    ]
    bad = second.replace(b"2026-11-24T06:28:26.000000Z", b"soon")
    found = linted(tmp_path, first, bad, third, last)
    assert [each.partition(" expected")[0] for each in found] == ["2: bad-time: found 'soon',"]


def test_a_header_of_another_format_is_told_and_the_rest_is_read(tmp_path: Path) -> None:
    run = whole([(0.0, [PromptSubmitted(text="x")])])
    later = run[0].replace(b'"format":2', b'"format":99')
    found = linted(tmp_path, *run, later, *run[1:-1], b"nonsense\n")
    assert found[0].startswith("4: malformed: found format 99, expected 2 or older: a newer")
    assert [each.partition(":")[0] for each in found] == ["4", "6", "6"]


def test_a_run_of_a_program_without_a_clock_may_have_no_time_in_its_header(tmp_path: Path) -> None:
    text = lines(OVER, replace(HEADER, at=""))
    assert linted(tmp_path, *[line + b"\n" for line in text]) == []


def test_foreign_text_in_a_finding_is_harmless(tmp_path: Path) -> None:
    script: Script = [(0.0, [*called("c\x1b\n", LOGS, "t\u202e")[:1]])]
    (found,) = linted(tmp_path, *whole(script))
    assert not set(found) & {"\x1b", "\n", "\u202e"}


@pytest.mark.parametrize("content", [b"{}\n", b"hello\n", b"\n"], ids=["json", "text", "blank"])
def test_a_file_that_is_no_recording_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "r.txt"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=r"r\.txt:1: not a recording: found"):
        lint(path)


def test_a_file_that_is_not_there_and_one_that_is_empty_are_errors(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"cannot read .*No such file"):
        lint(tmp_path / "gone.jsonl")
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(RecordingError, match="is empty"):
        lint(tmp_path / "empty")


def test_all_findings_are_by_line(tmp_path: Path) -> None:
    script: Script = [
        (0.0, [*called("c1", LOGS, "tail", password="hunter2")[:1]]),
        (1.0, [Problem(where="x", detail=KEY)]),
    ]
    found = linted(tmp_path, *whole(script))
    assert [each.split(": ")[:2] for each in found] == [
        ["2", "open-call"],
        ["2", "secret"],
        ["3", "secret"],
    ]

"""Two recordings side by side, in words."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from pipeline.core.events import AnswerCompleted, PromptSubmitted
from pipeline.looks.diff import diff
from pipeline.shell.recordings import RecordingError, last_run
from server.options import ServerOptions
from server.run import serve
from tests.support.play import finished, use
from tests.support.program import run
from tests.support.sample_session import HEADER, LOGS, Script, asked, called, ended, write


def script(argument: int) -> Script:
    return [
        (0.0, [PromptSubmitted(text="go"), asked(1)]),
        (1.0, [finished(1, use("t", "tail", n=argument)), *called("c1", LOGS, "tail", n=argument)]),
        (2.0, [ended("c1", LOGS, "tail", str(argument)), AnswerCompleted(text="x", turns=1)]),
    ]


def test_the_same_is_said_to_be_the_same(tmp_path: Path) -> None:
    found = diff(write(tmp_path / "a", script(1)), write(tmp_path / "b", script(1)))
    assert found.is_same
    assert found.text == "the same: 7 events mean the same in both\n"


def test_the_first_difference_is_told_with_what_led_to_it(tmp_path: Path) -> None:
    a, b = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    found = diff(write(a, script(1)), write(b, script(2)))
    assert not found.is_same
    assert found.text.splitlines() == [
        "they differ after 2 events that mean the same, in: conversation",
        "",
        "before that, in both:",
        '      1  prompt_submitted {"text":"go"}',
        '      2  call_model {"call":"model:1","messages":[],"tools_changed":false}',
        "",
        f"A: {a}: event 3",
        f"B: {b}: event 3",
        "",
        "  content[0].input.n: in A 1, in B 2",
    ]


def test_an_event_that_is_missing_is_told(tmp_path: Path) -> None:
    b = tmp_path / "b.jsonl"
    found = diff(write(tmp_path / "a.jsonl", script(1)), write(b, script(1)[:1]))
    assert f"B: {b}: which has no such event\n" in found.text
    assert "  in B: nothing\n" in found.text


def test_runs_that_part_at_once_have_nothing_before(tmp_path: Path) -> None:
    one = write(tmp_path / "a", [(0.0, [PromptSubmitted(text="\x1b[2J\n")])])
    other = write(tmp_path / "b", [(0.0, [PromptSubmitted(text="b")])])
    found = diff(one, other)
    assert found.text.startswith(
        "they differ after 0 events that mean the same, in: prompts\n\nA: "
    )
    assert "before that" not in found.text
    assert "\x1b" not in found.text


def test_what_the_runs_were_set_to_is_told_and_is_no_difference(tmp_path: Path) -> None:
    header = replace(HEADER, plan=replace(HEADER.plan, model="other\x1b", max_turns=3))
    found = diff(write(tmp_path / "a", script(1)), write(tmp_path / "b", script(1), header))
    assert found.is_same
    assert found.text.splitlines()[:2] == [
        'set differently: model is "claude-sonnet-5-5" in A, "other\\u001b" in B',
        "set differently: max_turns is 16 in A, 3 in B",
    ]


async def recorded(path: Path, prompts: str) -> None:
    """A whole run, with a server on a port of its own."""
    async with serve(ServerOptions()) as server:
        argv = ("--server", server.url, "--sink", f"jsonl={path.name}")
        ended_ = await run(*argv, cwd=path.parent, stdin=prompts.encode())
        assert path.exists(), ended_.words


async def test_two_real_runs_that_did_the_same_mean_the_same(tmp_path: Path) -> None:
    for name in ("a", "b"):
        await recorded(tmp_path / name, "add a=2 b=3 ; echo message=hi\nfail message=no\nnope\n")
    found = diff(last_run(tmp_path / "a"), last_run(tmp_path / "b"))
    assert found.is_same, found.text


async def test_two_real_runs_that_did_not_are_told_apart(tmp_path: Path) -> None:
    await recorded(tmp_path / "a", "add a=2 b=3\n")
    await recorded(tmp_path / "b", "add a=2 b=4\n")
    found = diff(last_run(tmp_path / "a"), last_run(tmp_path / "b"))
    assert 'text: in A "add a=2 b=3", in B "add a=2 b=4"' in found.text


def test_a_recording_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    one, other = write(tmp_path / "a", script(1)), write(tmp_path / "b", script(1))
    with other.path.open("ab") as file:
        file.write(b"nonsense\n")
    with pytest.raises(RecordingError, match="not a line of a recording"):
        diff(one, other)

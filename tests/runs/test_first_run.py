"""The main job: what somebody sees who has only just got the program."""

from pathlib import Path

import pytest

from pipeline.core.events import AnswerCompleted, RunEnded, ToolEnded
from tests.support.program import run, shell
from tests.support.recordings import read_runs

TOLD = ["tools_changed", "prompt_submitted", "tool_started", "tool_ended", "answer_completed"]


async def test_a_prompt_from_a_pipe_is_answered_and_recorded(tmp_path: Path) -> None:
    sinks = ("--sink", "console", "--sink", "jsonl=run.jsonl")
    first = await run(*sinks, cwd=tmp_path, stdin=b"add a=2 b=3\n")
    second = await run(*sinks, cwd=tmp_path, stdin=b"add a=40 b=2\n")
    assert (first.code, first.out) == (0, "5\n")
    assert (second.code, second.out) == (0, "42\n")
    assert "add" in first.words
    one, two = read_runs(tmp_path / "run.jsonl")
    for recorded, answer in ((one, "5"), (two, "42")):
        kinds = recorded.kinds
        assert [kind for kind in kinds if kind in TOLD] == TOLD
        assert (kinds[0], kinds[-1]) == ("run_started", "run_ended")
        assert [answered.text for answered in recorded.only(AnswerCompleted)] == [answer]
        (ended,) = recorded.only(ToolEnded)
        assert (ended.tool, ended.outcome, ended.is_error) == ("add", "answered", False)
        assert recorded.only(RunEnded) == [RunEnded(code=0)]
        assert recorded.header.plan.model == "direct"
    assert one.header.session != two.header.session


@pytest.mark.parametrize("closing", ["</dev/null", "<&-", "<&- >out.txt", "< <(:)"])
async def test_without_input_it_greets_lists_the_tools_and_ends_well(
    tmp_path: Path, closing: str
) -> None:
    ended = await shell(f"rxmcp {closing}", tmp_path)
    assert "6 tools: add, echo, fail, now, search_text, wait" in ended.words
    assert (ended.code, ended.out) == (0, "")


async def test_all_standard_streams_may_be_closed(tmp_path: Path) -> None:
    ended = await shell("rxmcp --sink jsonl=run.jsonl <&- >&- 2>&-; echo $? >code", tmp_path)
    assert ended.code == 0
    assert (tmp_path / "code").read_text() == "0\n"
    assert read_runs(tmp_path / "run.jsonl")[0].only(RunEnded) == [RunEnded(code=0)]


async def test_a_prompt_of_the_command_line_takes_standard_input_as_its_context(
    tmp_path: Path,
) -> None:
    ended = await run("-q", "-p", "add a=1 b=1", cwd=tmp_path, stdin=b"add a=2 b=2\n")
    assert (ended.code, ended.out, ended.err) == (0, "2\n4\n", "")

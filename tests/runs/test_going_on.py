"""`resume FILE` and `fork FILE`: a recorded run goes on where it stopped, or takes another way."""

import asyncio
import signal
from pathlib import Path

import pytest

from pipeline.core.events import (
    AnswerCompleted,
    RunEnded,
    RunResumed,
    ToolEnded,
    ToolRepeated,
    ToolStarted,
)
from tests.support.messages_api import HOLD, MessagesApi, Stream, say, start, turn, use
from tests.support.program import run, running
from tests.support.recordings import read_run
from tests.support.servers import reference_server

THREE = b"add a=1 b=2 ; echo message=hi ; wait seconds=0.5\n"


async def cut_off_in_mid_turn(folder: Path, *words: str) -> Path:
    """A recording of three calls that ends, as by `kill -9`, when two of them are answered."""
    await run("--sink", "jsonl=run.jsonl", *words, cwd=folder, stdin=THREE)
    path = folder / "run.jsonl"
    return await asyncio.to_thread(_cut, path)


def _cut(path: Path) -> Path:
    lines = path.read_bytes().splitlines(keepends=True)
    ends = [place for place, line in enumerate(lines) if b'"kind":"tool_ended"' in line]
    path.write_bytes(b"".join(lines[: ends[1] + 1]) + lines[ends[1] + 1][:10])
    return path


async def test_a_turn_that_was_cut_off_is_finished_calling_only_what_was_not_answered(
    tmp_path: Path,
) -> None:
    path = await cut_off_in_mid_turn(tmp_path)
    ended = await run("resume", "run.jsonl", cwd=tmp_path)
    assert (ended.code, ended.out) == (0, "3\nhi\nwaited 0.5 seconds\n")
    recorded = read_run(path)
    assert [call.tool for call in recorded.only(ToolStarted)] == ["add", "echo", "wait"]
    assert [call.tool for call in recorded.only(ToolRepeated)] == ["wait"]
    assert [call.tool for call in recorded.only(ToolEnded)] == ["add", "echo", "wait"]
    checked = await run("replay", "run.jsonl", "--check", cwd=tmp_path)
    assert checked.code == 0, checked.err


async def test_a_process_that_was_killed_can_be_resumed(tmp_path: Path) -> None:
    async with running("--sink", "console", "--sink", "jsonl=run.jsonl", cwd=tmp_path) as program:
        await program.say("add a=1 b=2 ; echo message=hi ; wait seconds=2\n")
        await program.told("< echo ok")
        program.signal(signal.SIGKILL)
        await program.ended()
    ended = await run("resume", "run.jsonl", cwd=tmp_path)
    assert (ended.code, ended.out) == (0, "3\nhi\nwaited 2 seconds\n"), ended.err
    recorded = read_run(tmp_path / "run.jsonl")
    assert sorted(call.tool for call in recorded.only(ToolEnded)) == ["add", "echo", "wait"]


async def test_a_lost_call_that_may_do_harm_is_not_sent_again(tmp_path: Path) -> None:
    path = await cut_off_in_mid_turn(tmp_path, "--repeat-calls", "never")
    ended = await run("resume", "run.jsonl", cwd=tmp_path)
    assert ended.code == 0
    assert "? wait outcome unknown: the run was cut off before the answer came" in ended.words
    wait = read_run(path).only(ToolEnded)[-1]
    assert (wait.tool, wait.outcome) == ("wait", "unknown")


async def test_the_model_gets_the_same_conversation_when_its_turn_was_cut_off(
    tmp_path: Path,
) -> None:
    with reference_server(tmp_path) as server:
        alias = f"mcp__localhost-{server.port}__add"
        script = [turn(use(alias, {"a": 2, "b": 3})), Stream([start(), HOLD])]
        words = ("--server", server.url, "--model", "claude-test")
        async with MessagesApi(script) as api:
            env = {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": "k"}
            recorded = ("--sink", "jsonl=run.jsonl", "-p", "add 2 and 3")
            async with running(*words, *recorded, cwd=tmp_path, env=env) as program:
                async with asyncio.timeout(30):
                    await api.holding.wait()
                program.signal(signal.SIGKILL)
                await program.ended()
        async with MessagesApi([turn(say("It is 5."))]) as api:
            env = {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": "k"}
            ended = await run("resume", "run.jsonl", *words, cwd=tmp_path, env=env)
            asked = api.requests[0].body["messages"]
    assert (ended.code, ended.out) == (0, "It is 5.\n"), ended.err
    assert [message["role"] for message in asked] == ["user", "assistant", "user"]
    assert asked[2]["content"][0]["content"] == [{"type": "text", "text": "5"}]


async def test_a_run_that_ended_takes_another_prompt(tmp_path: Path) -> None:
    await run("--sink", "jsonl=run.jsonl", cwd=tmp_path, stdin=b"add a=2 b=3\n")
    ended = await run("resume", "run.jsonl", "-p", "add a=4 b=4", cwd=tmp_path)
    assert (ended.code, ended.out) == (0, "8\n")
    recorded = read_run(tmp_path / "run.jsonl")
    assert [answer.text for answer in recorded.only(AnswerCompleted)] == ["5", "8"]
    assert len(recorded.only(RunEnded)) == 2
    assert len(recorded.only(RunResumed)) == 1
    checked = await run("replay", "run.jsonl", "--check", cwd=tmp_path)
    assert checked.code == 0, checked.err


async def test_a_fork_goes_another_way_and_leaves_the_recording_alone(tmp_path: Path) -> None:
    await run("--sink", "jsonl=run.jsonl", cwd=tmp_path, stdin=b"add a=2 b=3\nadd a=9 b=9\n")
    before = (tmp_path / "run.jsonl").read_bytes()
    answered = before.split(b"\n").index(
        next(line for line in before.split(b"\n") if b'"answer_completed"' in line)
    )
    words = ("fork", "run.jsonl", "--at", str(answered), "--sink", "console")
    ended = await run(*words, "--sink", "jsonl=new.jsonl", cwd=tmp_path, stdin=b"add a=1 b=1\n")
    assert (ended.code, ended.out) == (0, "2\n"), ended.err
    assert (tmp_path / "run.jsonl").read_bytes() == before
    answers = read_run(tmp_path / "new.jsonl").only(AnswerCompleted)
    assert [answer.text for answer in answers] == ["5", "2"]
    checked = await run("replay", "new.jsonl", "--check", cwd=tmp_path)
    assert checked.code == 0, checked.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("resume", "no.jsonl"), "cannot read 'no.jsonl': No such file or directory"),
        (("resume", "run.jsonl", "--sink", "jsonl=x.jsonl"), "leave out jsonl=…"),
        (("fork", "run.jsonl"), "fork needs --at N"),
        (("fork", "run.jsonl", "--at", "9999"), "expected 9999 or more"),
        (("fork", "run.jsonl", "--at", "5", "--sink", "jsonl=run.jsonl"), "File exists"),
    ],
)
async def test_what_cannot_go_on_is_told_in_words(
    tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    await run("--sink", "jsonl=run.jsonl", cwd=tmp_path, stdin=b"add a=2 b=3\n")
    before = (tmp_path / "run.jsonl").read_bytes()
    ended = await run(*words, cwd=tmp_path)
    assert ended.code == 2
    assert said in ended.words
    assert (tmp_path / "run.jsonl").read_bytes() == before

"""How a run ends when somebody, or the system, wants it to."""

import asyncio
import signal
from pathlib import Path

import pytest

from pipeline.core.events import AnswerCompleted, RunEnded, ToolEnded, ToolStarted
from tests.support.program import run, running, shell
from tests.support.receiver import Answer, Receiver
from tests.support.recordings import read_run
from tests.support.servers import reference_server

SINKS = ("--sink", "console", "--sink", "jsonl=run.jsonl")
SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]


@pytest.mark.parametrize(("number", "code"), SIGNALS)
async def test_a_signal_ends_the_call_under_way_and_then_the_run(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    async with running(*SINKS, cwd=tmp_path) as program:
        await program.say("wait seconds=50\nadd a=2 b=3\n")
        await program.told("> wait")
        program.signal(number)
        ended = await program.ended()
    assert (ended.code, ended.out) == (code, "")
    recorded = read_run(tmp_path / "run.jsonl")
    (call,) = recorded.only(ToolEnded)
    # The signal may come before the message has left: then that is known.
    words = {"unknown": "? wait outcome unknown", "not_sent": "! wait not sent"}[call.outcome]
    assert f"{words}: cancelled by the user\n! cancelled\n" in ended.words
    assert recorded.items[-1] == RunEnded(code=code, reason="interrupted")
    assert [answer.stop for answer in recorded.only(AnswerCompleted)] == ["cancelled"]


async def test_a_signal_while_it_waits_for_a_prompt_ends_the_run(tmp_path: Path) -> None:
    async with running(*SINKS, cwd=tmp_path) as program:
        await program.say("add a=2 b=3\n")
        await program.answered("5\n")
        program.signal(signal.SIGINT)
        ended = await program.ended()
    assert (ended.code, ended.out) == (130, "5\n")
    recorded = read_run(tmp_path / "run.jsonl")
    assert recorded.items[-1] == RunEnded(code=130, reason="interrupted")


async def test_a_signal_while_it_connects_ends_the_run(tmp_path: Path) -> None:
    with reference_server(tmp_path) as server:
        url = f"{server.url}?dialect=sse"  # it never sends `tools`, so this waits for ever
        argv = ("--server", url, "--dialect", "seed", "--sink", "jsonl=run.jsonl")
        async with running(*argv, "--connect-timeout", "100", cwd=tmp_path) as program:
            await asyncio.to_thread(server.saw, "opened")
            program.signal(signal.SIGINT)
            ended = await program.ended()
    assert (ended.code, ended.words) == (130, "")


async def test_the_second_signal_leaves_at_once(tmp_path: Path) -> None:
    """The first one waits for a webhook that has a minute for its last messages."""
    async with Receiver([Answer(hangs=True)]) as receiver:
        sinks = (*SINKS, "--sink", f"webhook={receiver.url}")
        env = {"RXMCP_WEBHOOK_DRAIN": "60", "RXMCP_WEBHOOK_TIMEOUT": "60"}
        env["RXMCP_SHUTDOWN_TIMEOUT"] = "120"
        async with running(*sinks, cwd=tmp_path, env=env) as program:
            await program.say("wait seconds=50\n")
            await receiver.received(1)
            await program.told("> wait")
            program.signal(signal.SIGINT)
            await program.told("! cancelled")
            program.signal(signal.SIGINT)
            ended = await program.ended(seconds=20.0)
    assert ended.code == 130
    assert "Traceback" not in ended.err
    # How far the recording came is a matter of luck, but it has no half of a line.
    assert read_run(tmp_path / "run.jsonl").only(ToolStarted)


@pytest.mark.parametrize(("number", "code"), SIGNALS)
async def test_a_server_stops_on_a_signal(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    async with running("serve", "--port", "0", cwd=tmp_path) as program:
        await program.told("= serving http://127.0.0.1:")
        program.signal(number)
        ended = await program.ended()
    assert (ended.code, ended.out) == (code, "")
    assert ended.words.endswith("= stopped\n")


@pytest.mark.parametrize(
    "pipe",
    [
        "yes help | rxmcp | head -c 1",
        "rxmcp tools | head -c 1",
        "rxmcp call echo message=hello | head -c 0",
        "yes help | rxmcp --json | head -c 1",
        "rxmcp --help | head -c 1",
        "rxmcp 2>&1 </dev/null | head -c 0",
    ],
)
async def test_a_reader_who_leaves_ends_the_run_without_a_traceback(
    pipe: str, tmp_path: Path
) -> None:
    ended = await shell(pipe, tmp_path, seconds=20.0)
    assert ended.code == 0  # of `head`
    assert "Exception ignored" not in ended.words


async def test_a_recording_goes_on_when_the_screen_is_gone(tmp_path: Path) -> None:
    script = "(echo help; echo help; echo add a=2 b=3) | rxmcp -q --sink console --sink jsonl=r"
    ended = await shell(f"{script} | head -c 1; echo ${{PIPESTATUS[1]}} >code", tmp_path)
    assert (tmp_path / "code").read_text() == "0\n"
    assert "Exception ignored" not in ended.words
    answers = read_run(tmp_path / "r").only(AnswerCompleted)
    assert answers[-1].text == "5"


async def test_a_full_device_as_standard_output_is_told(tmp_path: Path) -> None:
    ended = await shell("echo add a=2 b=3 | rxmcp >/dev/full; echo $? >code", tmp_path)
    assert (tmp_path / "code").read_text() != "0\n"
    assert "standard output: No space left on device" in ended.words


async def test_a_closed_standard_error_costs_only_the_words(tmp_path: Path) -> None:
    ended = await shell("echo add a=2 b=3 | rxmcp 2>&-", tmp_path)
    assert (ended.code, ended.out) == (0, "5\n")


async def test_a_replay_that_is_interrupted_leaves_no_traceback(tmp_path: Path) -> None:
    await run(*SINKS, cwd=tmp_path, stdin=b"add a=2 b=3\nadd a=3 b=3\n")
    lines = (tmp_path / "run.jsonl").read_bytes().splitlines(keepends=True)
    answered = next(n for n, line in enumerate(lines) if b'"kind":"answer_completed"' in line)
    later = b"".join(lines[answered:]).replace(b'"at":"2', b'"at":"3')  # a thousand years
    (tmp_path / "slow.jsonl").write_bytes(b"".join(lines[:answered]) + later)
    async with running("replay", "slow.jsonl", "--speed", "1", cwd=tmp_path) as program:
        await program.answered("5\n")
        program.signal(signal.SIGINT)
        ended = await program.ended()
    assert (ended.code, ended.out) == (130, "5\n")
    assert "KeyboardInterrupt" not in ended.words


async def test_a_run_without_a_word_from_the_server_ends_by_its_own_deadline(
    tmp_path: Path,
) -> None:
    with reference_server(tmp_path) as server:
        argv = ("--server", f"{server.url}?dialect=sse", "--dialect", "seed")
        ended = await run(*argv, "--start-timeout", "0.5", "tools", cwd=tmp_path)
    assert ended.code == 4
    assert "no answer in time (--start-timeout)" in ended.words

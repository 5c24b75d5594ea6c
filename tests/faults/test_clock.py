"""The clock on the wall is set in mid call, and the process itself is stopped for a while.

`libfaketime` sets the clock for one process. Where it is missing, its tests are skipped.
"""

import asyncio
import signal
from pathlib import Path

import pytest

from pipeline.core.events import StreamLost, ToolEnded
from tests.faults.dialects import CALL, FLAGS, OF_ONE_STREAM, Dialect
from tests.faults.exchange import Exchange, On
from tests.faults.good import accept, answer, end, run
from tests.faults.steps import pings
from tests.faults.switchboard import switchboard
from tests.support.program import Program, running
from tests.support.program import run as run_program
from tests.support.recordings import read_run

_FAKE = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
JUMPS: tuple[tuple[str, Dialect], ...] = (
    ("-1d", "sse"),
    ("-1h", "http"),
    ("+1d", "modern"),
)
SILENCE, SIGNS, BETWEEN = 1.5, 110, 0.02  # seconds; more than two of them with signs of life
SINKS = ("--sink", "console", "--sink", "jsonl=run.jsonl")
PROMPTS = "act n=1\nact n=2\n"


@pytest.mark.parametrize(("jump", "dialect"), JUMPS)
async def test_a_clock_that_is_set_in_mid_call_ends_nothing_early_and_nothing_late(
    jump: str, dialect: Dialect, tmp_path: Path
) -> None:
    """The first call is answered all the same; the second, which never is, has its time."""
    if _FAKE is None:
        pytest.skip("libfaketime is not installed, and nothing else sets the clock of one process")
    clock = tmp_path / "clock"
    clock.write_text("+0")

    async def set_clock(_: Exchange) -> None:
        clock.write_text(jump)

    env = {
        "LD_PRELOAD": str(_FAKE),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    set_first = On(CALL, run, accept, set_clock, answer, end)
    mute_then = On(CALL, run, accept, pings, n=2)
    async with switchboard(dialect, set_first, mute_then) as server:
        words = ("--server", server.url, "--dialect", FLAGS[dialect], "--call-timeout", "3")
        ended = await run_program(*words, *SINKS, cwd=tmp_path, stdin=PROMPTS.encode(), env=env)
    assert ended.code == 0, ended.err
    recorded = read_run(tmp_path / "run.jsonl")
    assert [each.outcome for each in recorded.only(ToolEnded)] == ["answered", "unknown"]
    assert "(--call-timeout)" in recorded.only(ToolEnded)[1].reason
    assert recorded.only(StreamLost) == []
    hours = [entry.at[:13] for entry in recorded.entries]
    assert hours[0] != hours[-1], "the clock was not set"


@pytest.mark.parametrize("dialect", OF_ONE_STREAM)
async def test_a_client_that_was_stopped_does_not_take_its_sleep_for_the_servers_silence(
    dialect: Dialect, tmp_path: Path
) -> None:
    """It is stopped for longer than it would wait for a word; the server spoke all the while."""
    programs = list[Program]()

    async def speak_while_it_is_stopped(x: Exchange) -> None:
        (program,) = programs
        program.signal(signal.SIGSTOP)
        for _ in range(SIGNS):
            await x.out.send(b": ping\n\n")
            await asyncio.sleep(BETWEEN)
        program.signal(signal.SIGCONT)

    fault = On(CALL, run, accept, speak_while_it_is_stopped, answer, end)
    async with switchboard(dialect, fault) as server:
        words = ("--server", server.url, "--dialect", FLAGS[dialect], "--silence", str(SILENCE))
        async with running(*words, *SINKS, cwd=tmp_path) as program:
            programs.append(program)
            await program.say(PROMPTS)
            program.end_input()
            ended = await program.ended()
    assert ended.code == 0, ended.err
    recorded = read_run(tmp_path / "run.jsonl")
    assert recorded.only(StreamLost) == []
    assert [each.outcome for each in recorded.only(ToolEnded)] == ["answered", "answered"]

"""What holds from one process to the next: ids, calls that may do harm, what a webhook gets."""

import asyncio
import json
import signal
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.core.codec import Entry, Header
from pipeline.core.events import ToolEnded, ToolStarted
from sinks.jsonl import JsonlSink
from tests.faults.dialects import CALL, DIALECTS, FLAGS, JSON_RPC, Dialect
from tests.faults.exchange import Exchange, On
from tests.faults.good import accept, answer, end, run
from tests.faults.ledger import judge_run
from tests.faults.steps import pings
from tests.faults.switchboard import switchboard
from tests.support.in_process import play
from tests.support.program import run as run_program
from tests.support.program import running
from tests.support.receiver import Answer, Receiver
from tests.support.recordings import read_run

PROMPTS = b"act n=1 ; look n=2 ; act n=3\n"


@pytest.mark.parametrize("dialect", JSON_RPC)
async def test_after_a_kill_no_id_is_used_again_and_nothing_harmful_is_sent_again(
    dialect: Dialect, tmp_path: Path
) -> None:
    """It dies while two of three calls wait for their answers: one may do harm, one only reads."""
    mute = (run, accept, pings)
    async with switchboard(dialect, On(CALL, *mute, n=2), On(CALL, *mute, n=3)) as server:
        words = ("--server", server.url, "--dialect", FLAGS[dialect], "--sink", "jsonl=run.jsonl")
        async with running(*words, "--sink", "console", cwd=tmp_path) as program:
            await program.say(PROMPTS)
            await program.told("< act ok")
            await server.got(CALL, 3)
            program.signal(signal.SIGKILL)
            await program.ended()
        ended = await run_program("resume", "run.jsonl", cwd=tmp_path)
    recorded = read_run(tmp_path / "run.jsonl")
    assert ended.code == 0, ended.err
    verdict = judge_run(server.ledger, recorded.items)
    assert verdict.is_clean, verdict
    outcomes = {each.call: each.outcome for each in recorded.only(ToolEnded)}
    harmful = [each.call for each in recorded.only(ToolStarted) if each.tool == "act"]
    assert sorted(outcomes[call] for call in harmful) == ["answered", "unknown"]
    ids = Counter(x.message["id"] for x in server.seen if "id" in x.message and x.method)
    assert [id_ for id_, count in ids.items() if count > 1] == []


class SlowDisk(JsonlSink):
    """A recording that takes longer than a message to a server would."""

    async def emit(self, entries: Sequence[Entry]) -> None:
        for _ in range(50):
            await asyncio.sleep(0)
        await super().emit(entries)


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_call_is_written_down_before_the_server_hears_of_it_and_its_end_before_the_next(
    dialect: Dialect, tmp_path: Path
) -> None:
    path, found = tmp_path / "run.jsonl", list[list[str]]()

    async def look(_: Exchange) -> None:
        kinds = [json.loads(line)["kind"] for line in path.read_bytes().splitlines()]
        found.append([kind for kind in kinds if kind in ("tool_started", "tool_ended")])

    faults = [On(CALL, look, run, accept, answer, end, n=n) for n in (1, 2)]
    async with switchboard(dialect, *faults) as server:
        words = ("--server", server.url, "--dialect", FLAGS[dialect])
        disk = SlowDisk(path, Header(), on_notice=lambda _: None)
        played = await play(*words, prompts=["act n=1", "act n=2"], sinks=[disk])
    assert played.ended.code == 0
    assert found == [["tool_started"], ["tool_started", "tool_ended", "tool_started"]]


async def test_what_a_receiver_missed_is_sent_again_from_the_recording_under_the_same_ids(
    tmp_path: Path,
) -> None:
    """The live run reached one receiver, and not the other, which was down."""
    env = {"RXMCP_WEBHOOK_DRAIN": "0.2", "RXMCP_WEBHOOK_ATTEMPTS": "1"}
    async with (
        switchboard("http") as server,
        Receiver() as one,
        Receiver([Answer(503)] * 20) as other,
    ):
        words = ("--server", server.url, "--sink", "jsonl=run.jsonl", "--sink")
        sinks = (*words, f"webhook={one.url}", "--sink", f"webhook={other.url}")
        await run_program(*sinks, cwd=tmp_path, stdin=b"act n=1\n", env=env)
        assert other.accepted == []
        await other.stop()
        async with Receiver() as again:
            replay = ("replay", "run.jsonl", "--sink", f"webhook={again.url}")
            ended = await run_program(*replay, cwd=tmp_path)
    assert ended.code == 0, ended.err
    assert [(each.id, each.json["type"]) for each in again.accepted] == [
        (each.id, each.json["type"]) for each in one.accepted
    ]

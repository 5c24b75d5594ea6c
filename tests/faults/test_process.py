"""What happens to processes: a server that is frozen, a client that runs out of descriptors."""

import asyncio
import os
import resource
import signal
from pathlib import Path

import pytest

from pipeline.core.events import PostAnswered, SessionReady, StreamLost, ToolEnded, ToolsChanged
from tests.faults.dialects import DIALECTS, FLAGS, OF_ONE_STREAM, Dialect
from tests.faults.ledger import judge_run
from tests.faults.switchboard import switchboard
from tests.support.in_process import QUICK, Lines, playing
from tests.support.ports import free_port
from tests.support.real_servers import official
from tests.support.servers import Server, reference_server

PATIENT = {**QUICK, "RXMCP_RETRY_ATTEMPTS": "10000"}


@pytest.mark.parametrize("dialect", OF_ONE_STREAM)
async def test_a_server_that_is_frozen_is_found_dead_and_used_again_when_it_thaws(
    dialect: Dialect, tmp_path: Path
) -> None:
    """Its system still takes connections for it: nothing but silence tells."""
    lines = Lines(["wait seconds=50"], is_open=True)
    with reference_server(tmp_path) as server:
        argv = ("--server", server.url, "--dialect", dialect, "--silence", "0.3")
        words = (*argv, "--repeat-calls", "never", "--connect-timeout", "0.3")
        async with playing(*words, lines=lines, env=PATIENT) as client:
            await asyncio.to_thread(server.saw, "calls 'wait'")
            os.kill(server.process.pid, signal.SIGSTOP)
            lost = await client.saw(StreamLost)
            await client.saw(ToolEnded, tool="wait", outcome="unknown")
            os.kill(server.process.pid, signal.SIGCONT)
            lines.say("add a=2 b=3")
            await client.saw(ToolEnded, tool="add", outcome="answered")
            lines.end()
            played = await client.ended()
    assert isinstance(lost, StreamLost)
    assert "nothing arrived for 0.3 s" in lost.reason
    assert played.ended.code == 0


async def test_a_frozen_server_that_answers_each_call_by_itself_costs_a_call_and_not_the_next(
    tmp_path: Path,
) -> None:
    """Nothing is expected of such a server between calls: the deadline of the call tells."""
    lines, port = Lines(is_open=True), free_port()
    server = Server(
        official("http", str(port)),
        ready="running on",
        url=f"http://127.0.0.1:{port}/mcp",
        env={},
        cwd=tmp_path,
    )
    try:
        words = ("--server", server.url, "--dialect", "http", "--call-timeout", "2")
        async with playing(*words, lines=lines, env=PATIENT) as client:
            await client.saw(ToolsChanged)
            os.kill(server.process.pid, signal.SIGSTOP)
            lines.say("add a=2 b=3")
            await client.saw(ToolEnded, outcome="unknown")
            os.kill(server.process.pid, signal.SIGCONT)
            lines.say("add a=2 b=4")
            await client.saw(ToolEnded, outcome="answered")
            lines.end()
            played = await client.ended()
    finally:
        server.kill()
    first, second = played.only(ToolEnded)
    assert "(--call-timeout)" in first.reason
    assert "6" in str(second.content)
    assert played.ended.code == 0


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_without_descriptors_it_waits_until_there_are_some(dialect: Dialect) -> None:
    lines = Lines(is_open=True)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with switchboard(dialect) as server:
        argv = ("--server", server.url, "--dialect", FLAGS[dialect])
        async with playing(*argv, lines=lines, env=PATIENT) as client:
            await client.saw(SessionReady)
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))  # what is open stays open
            try:
                await server.forget()
                lines.say("act n=1")
                told = await client.memory.wait_for(_is_out_of_descriptors, 20)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            await client.saw(ToolEnded)
            lines.say("act n=2")
            await client.saw(ToolEnded, outcome="answered")
            lines.end()
            played = await client.ended()
    assert isinstance(told, StreamLost | PostAnswered)
    assert judge_run(server.ledger, played.items).is_clean
    assert played.ended.code == 0


def _is_out_of_descriptors(item: object) -> bool:
    return isinstance(item, StreamLost | PostAnswered) and "too many open files" in item.reason

"""A server that dies in the middle of a call, and comes back."""

import asyncio
from pathlib import Path

import pytest

from pipeline.core.events import (
    AnswerCompleted,
    SessionClosed,
    SessionReady,
    StreamLost,
    ToolEnded,
    ToolsChanged,
)
from pipeline.core.run import DONE
from tests.support.in_process import QUICK
from tests.support.messages_api import MessagesApi, say, turn, use
from tests.support.program import running
from tests.support.recordings import read_run
from tests.support.servers import reference_server


@pytest.mark.parametrize("dialect", ["seed", "sse"])
async def test_a_killed_server_ends_the_call_and_the_next_prompt_works(
    dialect: str, tmp_path: Path
) -> None:
    with reference_server(tmp_path) as server:
        alias = f"mcp__localhost-{server.port}__"
        script = [
            turn(use(f"{alias}wait", {"seconds": 50})),
            turn(say("I do not know whether it waited.")),
            turn(use(f"{alias}add", {"a": 2, "b": 3}, "toolu_2")),
            turn(say("5")),
        ]
        argv = ("--server", server.url, "--dialect", dialect, "--model", "claude-test")
        sinks = ("--sink", "console", "--sink", "jsonl=run.jsonl")
        async with MessagesApi(script) as api:
            env = {**QUICK, "ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": "k"}
            env["RXMCP_RETRY_ATTEMPTS"] = "1000"  # it may take long on a busy machine
            async with running(*argv, *sinks, cwd=tmp_path, env=env) as program:
                await program.say("wait for me\n")
                await asyncio.to_thread(server.saw, "call")
                server.kill()
                await program.answered("I do not know whether it waited.\n")
                await program.told("wait outcome unknown: the connection to")
                with reference_server(tmp_path, port=server.port):
                    await program.told("ready again")
                    await program.say("add 2 and 3\n")
                    await program.answered("5\n")
                    program.end_input()
                    ended = await program.ended()
    assert ended.code == DONE
    assert "connection lost" in ended.words
    (result,) = api.requests[1].body["messages"][-1]["content"]
    assert result["is_error"]
    assert result["content"][0]["text"].startswith("The outcome is unknown: the connection to")

    recorded = read_run(tmp_path / "run.jsonl")
    unknown, answered = recorded.only(ToolEnded)
    assert (unknown.tool, unknown.outcome) == ("wait", "unknown")
    assert (answered.tool, answered.outcome) == ("add", "answered")
    assert recorded.only(StreamLost)
    assert len(recorded.only(SessionClosed)) == 1
    assert len(recorded.only(SessionReady)) == 2
    assert [bool(changed.added) for changed in recorded.only(ToolsChanged)] == [True, False]
    assert len(recorded.only(AnswerCompleted)) == 2
    order = [kind for kind in recorded.kinds if kind in ("stream_lost", "tool_ended")]
    assert order[:2] == ["stream_lost", "tool_ended"]

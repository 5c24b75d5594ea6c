"""A server that dies in the middle of a call, and comes back."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from config.options import RetryOptions
from pipeline.core.commands import Post
from pipeline.core.events import (
    AnswerCompleted,
    PostAnswered,
    RunEnded,
    SessionClosed,
    SessionReady,
    StreamLost,
    ToolEnded,
    ToolRepeated,
    ToolsChanged,
    ToolStarted,
)
from pipeline.core.run import DONE, NO_CONNECTION
from server.arguments import Arguments
from server.options import ServerOptions
from server.run import serve
from server.tool import Progress, Tool
from server.tools import default_tools
from tests.support.in_process import QUICK, Lines, playing
from tests.support.messages_api import MessagesApi, say, turn, use
from tests.support.program import running
from tests.support.recordings import read_run
from tests.support.servers import reference_server

PATIENT = {**QUICK, "RXMCP_RETRY_ATTEMPTS": "10000", "RXMCP_RETRY_FIRST_ATTEMPTS": "10000"}
"""On a busy machine it may take long until the server is there again."""


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
        argv = (*argv, "--repeat-calls", "never")
        sinks = ("--sink", "console", "--sink", "jsonl=run.jsonl")
        async with MessagesApi(script) as api:
            env = {**PATIENT, "ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": "k"}
            async with running(*argv, *sinks, cwd=tmp_path, env=env) as program:
                await program.say("wait for me\n")
                await asyncio.to_thread(server.saw, "calls 'wait'")
                server.kill()
                await program.answered("I do not know whether it waited.\n")
                await program.told("? wait outcome unknown: ")
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
    assert result["content"][0]["text"].startswith("The outcome is unknown: ")

    recorded = read_run(tmp_path / "run.jsonl")
    unknown, answered = recorded.only(ToolEnded)
    assert (unknown.tool, unknown.outcome) == ("wait", "unknown")
    assert (answered.tool, answered.outcome) == ("add", "answered")
    assert recorded.only(StreamLost)
    assert len(recorded.only(SessionClosed)) == 1
    assert len(recorded.only(SessionReady)) == 2
    assert [bool(changed.added) for changed in recorded.only(ToolsChanged)] == [True, False]
    assert len(recorded.only(AnswerCompleted)) == 2


@pytest.mark.parametrize("dialect", ["seed", "sse"])
async def test_a_server_that_was_ready_is_waited_for_longer_than_one_never_met(
    dialect: str,
) -> None:
    """`first_attempts` is for addresses that are wrong; this one was right a moment ago."""
    lines = Lines(is_open=True)
    async with serve(ServerOptions()) as server, AsyncExitStack() as stack:
        argv = ("--server", server.url, "--dialect", dialect)
        run = await stack.enter_async_context(playing(*argv, lines=lines, env=QUICK))
        await run.saw(ToolsChanged)
        outlives_the_server = stack.pop_all()
    async with outlives_the_server:
        await run.saw(StreamLost, retry_in=None)
        lines.end()
        played = await run.ended()
    assert len(played.only(StreamLost)) == RetryOptions().attempts + 1
    assert played.ended.code == NO_CONNECTION


async def test_calls_that_were_not_sent_wait_for_the_server_and_those_sent_are_unknown() -> None:
    """In the seed dialect the second call waits for the answer of the first."""
    lines = Lines(["wait seconds=50 ; add a=2 b=3"], is_open=True)
    async with serve(ServerOptions()) as server, AsyncExitStack() as stack:
        argv = ("--server", server.url, "--dialect", "seed", "--repeat-calls", "never")
        run = await stack.enter_async_context(playing(*argv, lines=lines, env=PATIENT))
        await run.saw(PostAnswered, id="call:c1")
        outlives_the_server, port = stack.pop_all(), server.port
    async with outlives_the_server:
        await run.saw(ToolEnded, tool="wait")
        async with serve(ServerOptions(port=port)):
            await run.saw(ToolEnded, tool="add")
            lines.end()
            played = await run.ended()
    wait, add = played.only(ToolEnded)
    assert (wait.outcome, wait.call) == ("unknown", "c1")
    assert (add.outcome, add.content) == ("answered", ({"type": "text", "text": "5"},))
    assert [post.id for post in played.only(Post)] == ["call:c1", "call:c2"]
    (answer,) = played.only(AnswerCompleted)
    assert answer.text.startswith("error: The outcome is unknown: ")
    assert answer.text.endswith("\n5")
    assert played.ended == RunEnded(code=0)


@pytest.mark.parametrize("dialect", ["seed", "sse"])
async def test_a_call_that_only_reads_is_made_again_when_its_server_is_back(dialect: str) -> None:
    lines = Lines(["wait seconds=50"], is_open=True)
    async with serve(ServerOptions()) as server, AsyncExitStack() as stack:
        argv = ("--server", server.url, "--dialect", dialect)
        run = await stack.enter_async_context(playing(*argv, lines=lines, env=PATIENT))
        await run.saw(PostAnswered, id="call:c1")
        outlives_the_server, port = stack.pop_all(), server.port
    async with outlives_the_server:
        await run.saw(ToolRepeated, tool="wait")
        async with serve(ServerOptions(port=port), tools={"wait": answering("at once")}):
            await run.saw(AnswerCompleted)
            lines.end()
            played = await run.ended()
    assert played.one(ToolStarted).call == played.one(ToolEnded).call
    assert played.one(ToolEnded).outcome == "answered"
    assert played.one(AnswerCompleted).text == "at once"
    assert played.ended == RunEnded(code=0)


def answering(words: str) -> Tool:
    """A `wait` that does not."""

    async def run(_arguments: Arguments, _progress: Progress) -> str:
        return words

    described = default_tools(".")["wait"]
    return Tool(
        name="wait",
        description=described.description,
        input_schema=described.input_schema,
        run=run,
        annotations=described.annotations,
    )

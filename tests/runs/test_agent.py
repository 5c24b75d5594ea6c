"""The agent loop against a Messages API over real HTTP, and a real MCP server."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.events import (
    AnswerCompleted,
    Problem,
    RunEnded,
    ToolEnded,
    ToolStarted,
    Usage,
)
from server.arguments import Arguments
from server.options import ServerOptions
from server.run import serve
from server.tool import Progress, Tool, ToolError
from server.tools import default_tools, schema
from tests.support.in_process import Played, play
from tests.support.messages_api import MessagesApi, Refusal, Script, refusal, say, turn, use
from tests.support.program import run

MODEL = "claude-sonnet-5-5"
KEY = "sk-ant-very-secret"
EMPTY = schema({})


def meeting() -> dict[str, Tool]:
    """Two tools of which neither ends before the other runs, and `early` is done first."""
    late_runs, early_is_done = asyncio.Event(), asyncio.Event()

    async def late(_arguments: Arguments, _progress: Progress) -> str:
        late_runs.set()
        await early_is_done.wait()
        return "late is done"

    async def early(_arguments: Arguments, _progress: Progress) -> str:
        await late_runs.wait()
        early_is_done.set()
        raise ToolError("early went wrong")

    tools = (
        Tool(name="late", description="Is done last.", input_schema=EMPTY, run=late),
        Tool(name="early", description="Is done first.", input_schema=EMPTY, run=early),
    )
    return {tool.name: tool for tool in tools}


def tool(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "description": description, "input_schema": EMPTY}


async def test_what_the_model_is_sent_is_right_to_the_letter(tmp_path: Path) -> None:
    script = [
        turn(
            say("I ask both."),
            use("mcp__{}__late", {}, "toolu_A"),
            use("mcp__{}__early", {}, "toolu_B"),
        ),
        turn(say("Both are "), say("done.")),
    ]
    async with serve(ServerOptions(), tools=meeting()) as server:
        name = f"localhost-{server.port}"
        aliases = [f"mcp__{name}__late", f"mcp__{name}__early"]
        script[0] = turn(
            say("I ask both."),
            use(aliases[0], {}, "toolu_A"),
            use(aliases[1], {}, "toolu_B"),
        )
        async with MessagesApi(script) as api:
            env = {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": KEY}
            argv = ("--server", server.url, "--model", MODEL, "--system-prompt", "Be brief.")
            sinks = ("--sink", "console", "--sink", "jsonl=run.jsonl")
            ended = await run(*argv, *sinks, "-p", "go", cwd=tmp_path, env=env, stdin=None)
    assert (ended.code, ended.out) == (0, "I ask both.\nBoth are done.\n")
    assert f"< early failed: early went wrong\n< late ok\n" in ended.words
    first, second = (request.body for request in api.requests)
    asked = {"role": "user", "content": [{"type": "text", "text": "go"}]}
    assert first == {
        "model": MODEL,
        "max_tokens": 8192,
        "stream": True,
        "cache_control": {"type": "ephemeral"},
        "system": "Be brief.",
        "tools": [tool(aliases[1], "Is done first."), tool(aliases[0], "Is done last.")],
        "messages": [asked],
    }
    assert second == {
        **first,
        "messages": [
            asked,
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "I ask both."},
                    {"type": "tool_use", "id": "toolu_A", "name": aliases[0], "input": {}},
                    {"type": "tool_use", "id": "toolu_B", "name": aliases[1], "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "toolu_A",
                        "content": [{"type": "text", "text": "late is done"}],
                    },
                    {
                        "type": "tool_result",
                        "tool_use_id": "toolu_B",
                        "content": [{"type": "text", "text": "early went wrong"}],
                        "is_error": True,
                    },
                ],
            },
        ],
    }
    recording = (tmp_path / "run.jsonl").read_text()
    assert KEY not in recording + ended.out + ended.err


# --- inside the test ------------------------------------------------------------------------


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run one prompt, or several, with a scripted model and our own server."""

    async def play_script(script: Script, *argv: str, prompts: Any = ("hi",)) -> Any:
        tools = default_tools(".")
        async with serve(ServerOptions(), tools=tools) as server, MessagesApi(script) as api:
            monkeypatch.setenv("ANTHROPIC_BASE_URL", api.url)
            monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
            api.alias = f"mcp__localhost-{server.port}__"  # type: ignore[attr-defined]
            words = ("--server", server.url, "--model", MODEL, *argv)
            played = await play(*words, prompts=prompts)
        return played, api

    return play_script

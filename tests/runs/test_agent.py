"""The agent loop against a Messages API over real HTTP, and a real MCP server."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

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
from tests.support.messages_api import MessagesApi, Script, refusal, say, turn, use
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
    async with serve(ServerOptions(), tools=meeting()) as server:
        aliases = [f"mcp__localhost-{server.port}__{name}" for name in ("late", "early")]
        script = [
            turn(say("I ask both."), *(use(aliases[at], {}, f"toolu_{at}") for at in (0, 1))),
            turn(say("Both are "), say("done.")),
        ]
        async with MessagesApi(script) as api:
            env = {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": KEY}
            argv = ("--server", server.url, "--dialect", "sse", "--model", MODEL)
            more = (
                "--system-prompt",
                "Be brief.",
                "--sink",
                "console",
                "--sink",
                "jsonl=run.jsonl",
            )
            ended = await run(*argv, *more, "-p", "go", cwd=tmp_path, env=env, stdin=None)
    assert (ended.code, ended.out) == (0, "I ask both.\nBoth are done.\n")
    assert "< early failed: early went wrong\n< late ok\n" in ended.words
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
                    {"type": "tool_use", "id": "toolu_0", "name": aliases[0], "input": {}},
                    {"type": "tool_use", "id": "toolu_1", "name": aliases[1], "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "toolu_0",
                        "content": [{"type": "text", "text": "late is done"}],
                    },
                    {
                        "type": "tool_result",
                        "tool_use_id": "toolu_1",
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

Alias: TypeAlias = Callable[[str], str]


class Ask(Protocol):
    """Run prompts with a model that follows `script(alias)`, and our own server."""

    async def __call__(
        self,
        script: Callable[[Alias], Script],
        *argv: str,
        prompts: Sequence[str] = ("hi",),
        tools: dict[str, Tool] | None = None,
    ) -> tuple[Played, MessagesApi]: ...


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Ask:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)

    async def ask_it(
        script: Callable[[Alias], Script],
        *argv: str,
        prompts: Sequence[str] = ("hi",),
        tools: dict[str, Tool] | None = None,
    ) -> tuple[Played, MessagesApi]:
        async with serve(ServerOptions(), tools=tools) as server:
            turns = script(lambda name: f"mcp__localhost-{server.port}__{name}")
            async with MessagesApi(turns) as api:
                monkeypatch.setenv("ANTHROPIC_BASE_URL", api.url)
                words = ("--server", server.url, "--model", MODEL, *argv)
                return await play(*words, prompts=prompts), api

    return ask_it


async def test_a_conversation_only_ever_grows(ask: Ask) -> None:
    played, api = await ask(
        lambda alias: [
            turn(use(alias("add"), {"a": 2, "b": 3})),
            turn(say("It is 5.")),
            turn(say("You are welcome.")),
        ],
        prompts=["2+3?", "thanks"],
    )
    assert [answer.text for answer in played.only(AnswerCompleted)] == [
        "It is 5.",
        "You are welcome.",
    ]
    assert played.ended == RunEnded(code=0)
    talks = [request.body["messages"] for request in api.requests]
    assert talks[1][: len(talks[0])] == talks[0]
    assert talks[2][: len(talks[1])] == talks[1]
    assert talks[2][len(talks[1]) :] == [
        {"role": "assistant", "content": [say("It is 5.")]},
        {"role": "user", "content": [say("thanks")]},
    ]
    assert [usage.tokens.output for usage in played.only(Usage)] == [42, 42, 42]


async def test_calls_in_the_seed_dialect_go_side_by_side_once_the_server_echoes_ids(
    ask: Ask,
) -> None:
    """Its origin echoes none: until it is seen to, an answer could belong to any call."""
    played, api = await ask(
        lambda alias: [
            turn(use(alias("echo"), {"message": "hi"})),
            turn(use(alias("late"), {}, "toolu_0"), use(alias("early"), {}, "toolu_1")),
            turn(say("done")),
        ],
        "--dialect",
        "seed",
        tools={**default_tools("."), **meeting()},
    )
    assert [ended.tool for ended in played.only(ToolEnded)] == ["echo", "early", "late"]
    results = api.requests[2].body["messages"][-1]["content"]
    assert [result["tool_use_id"] for result in results] == ["toolu_0", "toolu_1"]


async def test_calls_of_a_message_that_was_cut_off_are_not_run(ask: Ask) -> None:
    played, api = await ask(
        lambda alias: [
            turn(say("Let me"), use(alias("add"), {"a": 1, "b": 1}), stop_reason="max_tokens"),
            turn(say("again")),
        ],
        prompts=["hi", "go on"],
    )
    assert played.only(ToolStarted) == []
    assert [answer.stop for answer in played.only(AnswerCompleted)] == ["max_tokens", "end_turn"]
    assert played.ended == RunEnded(code=8, reason="the answer ended by max_tokens")
    assert api.requests[1].body["messages"][1:] == [
        {"role": "assistant", "content": [say("Let me")]},
        {"role": "user", "content": [say("go on")]},
    ]


async def test_what_was_refused_is_not_asked_again(ask: Ask) -> None:
    played, api = await ask(
        lambda _: [turn(say("I"), stop_reason="refusal"), turn(say("hello"))],
        prompts=["something bad", "hi"],
    )
    assert [answer.stop for answer in played.only(AnswerCompleted)] == ["refusal", "end_turn"]
    assert played.ended.code == 1
    assert api.requests[1].body["messages"] == [{"role": "user", "content": [say("hi")]}]


async def test_a_pause_is_gone_on_from(ask: Ask) -> None:
    played, api = await ask(
        lambda _: [turn(say("First, "), stop_reason="pause_turn"), turn(say("second."))]
    )
    assert played.ended == RunEnded(code=0)
    assert api.requests[1].body["messages"][1:] == [
        {"role": "assistant", "content": [say("First, ")]}
    ]


async def test_a_refused_key_is_exit_status_7_and_says_what_to_set(ask: Ask) -> None:
    played, api = await ask(lambda _: [refusal(401, "authentication_error", f"no {KEY}")])
    problem = played.one(Problem)
    assert "ANTHROPIC_API_KEY" in problem.detail
    assert KEY not in problem.detail
    assert played.one(AnswerCompleted).stop == "model_failed"
    assert played.ended.code == 7
    assert len(api.requests) == 1


async def test_a_model_that_never_ends_is_stopped_after_max_turns(ask: Ask) -> None:
    played, api = await ask(
        lambda alias: (
            lambda request: turn(
                use(alias("add"), {"a": 1, "b": 1}, f"toolu_{len(request.body['messages'])}")
            )
        ),
        "--max-turns",
        "3",
    )
    assert len(api.requests) == 3
    assert played.one(AnswerCompleted).stop == "max_turns"
    assert played.ended == RunEnded(code=8, reason="the answer ended by max_turns")
    assert len(played.only(ToolEnded)) == 3


async def test_a_budget_that_is_spent_stops_the_next_turn(ask: Ask) -> None:
    played, api = await ask(
        lambda alias: [turn(use(alias("add"), {"a": 1, "b": 1})), turn(say("never asked"))],
        "--max-budget-usd",
        "0.0001",
    )
    assert len(api.requests) == 1
    assert played.one(Usage).cost_usd == pytest.approx(10 * 2e-6 + 42 * 10e-6)
    assert played.one(AnswerCompleted).stop == "max_budget"
    assert played.ended.code == 8


async def test_a_tool_that_the_model_may_not_have_is_neither_offered_nor_run(ask: Ask) -> None:
    played, api = await ask(
        lambda alias: [turn(use(alias("wait"), {"seconds": 60})), turn(say("sorry"))],
        "--disallowed-tools",
        "wait",
    )
    assert not any(tool["name"].endswith("__wait") for tool in api.requests[0].body["tools"])
    assert played.only(ToolStarted) == []
    (result,) = api.requests[1].body["messages"][-1]["content"]
    assert result["is_error"]
    assert "no tool is named" in result["content"][0]["text"]
    assert played.ended == RunEnded(code=0)

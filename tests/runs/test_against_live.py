"""`replay FILE --against live`: the recorded prompts again, for real, and a word where they differ.

Every run here is a real one, on a real server; recordings are made by runs, too.
"""

import json
import signal
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from config.prices import Price
from pipeline.against.live import LiveReplay
from pipeline.core.events import (
    CallSubmitted,
    Input,
    PromptSubmitted,
    RequestSubmitted,
    RunEnded,
    RunStarted,
    ToolStarted,
)
from pipeline.core.plan import Plan
from pipeline.core.plan import Price as PlanPrice
from server.arguments import Arguments
from server.options import ServerOptions
from server.run import RunningServer, serve
from server.tool import Progress, Tool, ToolError
from server.tools import schema
from tests.mocks.tapes import record, write
from tests.support.in_process import servers_of, settings_of
from tests.support.messages_api import MessagesApi, refusal, say, turn, use
from tests.support.program import Ended, run, running
from tests.support.recordings import read_run
from tests.support.servers import reference_server

NUMBER = {"type": "number"}


def tool(name: str, *, fails: bool = False, reads: bool = True, **properties: Any) -> Tool:
    """A tool that answers with what it got, or with an error."""

    async def run(arguments: Arguments, _progress: Progress) -> str:
        if fails:
            raise ToolError("it is out of order")
        return json.dumps(arguments)

    described = schema(properties)
    hints = {"readOnlyHint": reads}
    return Tool(name=name, description="", input_schema=described, run=run, annotations=hints)


@asynccontextmanager
async def serving(*tools: Tool, key: str | None = None) -> AsyncGenerator[RunningServer]:
    offered = {each.name: each for each in tools}
    async with serve(ServerOptions(api_key=key), tools=offered) as server:
        yield server


async def replayed(
    path: Path, *argv: str, env: Mapping[str, str] | None = None
) -> tuple[int, RunEnded]:
    """In this process: the exit status, and how the new run ended."""
    settings = settings_of("replay", str(path), "--against", "live", *argv, env=env)
    replay = LiveReplay(settings)
    client = replay.run(servers_of(settings), is_terminal=False, say=pytest.fail)
    ended = await client.run(RunStarted())
    return replay.finish(ended), ended


# --- as recorded ------------------------------------------------------------------------------

PROMPTS = b"add a=2 b=3\nadd a=1 b=1 ; echo message=hi\nfail message=no\nnothing of the kind\n"


async def test_a_server_that_does_as_it_did_is_the_same(tmp_path: Path) -> None:
    await run("--sink", "jsonl=run.jsonl", cwd=tmp_path, stdin=PROMPTS)
    again = await run("replay", "run.jsonl", "--against", "live", cwd=tmp_path)
    assert (again.code, again.out.splitlines()) == (
        0,
        [
            "ok         1  add a=2 b=3",
            "ok         2  add a=1 b=1 ; echo message=hi",
            "ok         3  fail message=no",
            "ok         4  nothing of the kind",
            "run.jsonl against live: 4 prompts: 4 ok; servers and tools: as recorded",
        ],
    )
    assert "> add a=2 b=3\n< add ok\n5\n" in again.words, "the run is shown beside"
    assert "tools are really called" not in again.words, "all of them only read"


async def test_the_new_run_can_be_recorded_and_is_a_run_like_any_other(tmp_path: Path) -> None:
    await run("--sink", "jsonl=run.jsonl", cwd=tmp_path, stdin=PROMPTS)
    sink = ("--sink", "jsonl=now.jsonl")
    again = await run("replay", "run.jsonl", "--against", "live", *sink, cwd=tmp_path)
    assert (again.code, again.err) == (0, ""), "without the console nothing is shown but the end"
    recorded, now = (read_run(tmp_path / name) for name in ("run.jsonl", "now.jsonl"))
    assert now.only(PromptSubmitted) == recorded.only(PromptSubmitted)
    assert now.header.session != recorded.header.session
    assert now.header.plan.goal == "chat"
    checked = await run("replay", "now.jsonl", "--check", cwd=tmp_path)
    assert checked.code == 0, checked.err
    same = await run("diff", "run.jsonl", "now.jsonl", cwd=tmp_path)
    assert same.code == 0, same.out


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("tools",), 0),
        (("call", "add", "a=2", "b=3"), 0),
        (("call", "fail", "message=no"), 5),
        (("call", "nothing", "of=this"), 2),
        (("-p", "add a=2 b=3"), 0),
    ],
)
async def test_a_run_of_any_kind_is_made_again(
    words: tuple[str, ...], code: int, tmp_path: Path
) -> None:
    """What a call came to is compared, and no failure of the comparison."""
    first = await run(*words, "--sink", "jsonl=run.jsonl", cwd=tmp_path)
    sink = ("--sink", "jsonl=now.jsonl")
    again = await run("replay", "run.jsonl", "--against", "live", *sink, cwd=tmp_path)
    assert (first.code, again.code) == (code, 0), again.out
    one, other = (read_run(tmp_path / name) for name in ("run.jsonl", "now.jsonl"))
    assert other.header.plan.goal == one.header.plan.goal
    assert other.only(CallSubmitted) == one.only(CallSubmitted)
    assert other.only(ToolStarted) == one.only(ToolStarted)


# --- what differs -----------------------------------------------------------------------------


async def test_a_server_that_does_otherwise_is_told_place_by_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.jsonl"
    prompts = ["one n=1", "two n=2 ; one n=3", "three"]
    async with serving(tool("one", n=NUMBER), tool("two", n=NUMBER), tool("three")) as before:
        await record(path, "--server", before.url, prompts=prompts)
    changed = (tool("one", n=NUMBER), tool("two", fails=True, n=NUMBER), tool("four"))
    async with serving(*changed) as after:
        code, ended = await replayed(path, "--server", after.url)
    assert (code, ended.code) == (6, 0)
    assert capsys.readouterr().out.splitlines() == [
        "differs   localhost three: it is not offered now",
        "differs   localhost four: it was not offered in the recording",
        "ok         1  one n=1",
        "differs    2  two n=2 ; one n=3",
        "              localhost two: recorded answered, now an error (it is out of order)",
        "differs    3  three",
        "              localhost three: not called now; recorded with {}",
        "run.jsonl against live: 3 prompts: 1 ok, 2 differs; servers and tools: 2 differences",
    ]


async def test_a_program_gets_the_comparison_as_one_object(tmp_path: Path) -> None:
    await run("call", "add", "a=2", "b=3", "--sink", "jsonl=run.jsonl", cwd=tmp_path)
    text = (tmp_path / "run.jsonl").read_text("utf-8")
    (tmp_path / "other.jsonl").write_text(text.replace('"a=2 b=3"', '"a=2 b=4"'), "utf-8")
    form = ("--output-format", "json")
    again = await run("replay", "other.jsonl", "--against", "live", *form, cwd=tmp_path)
    assert (again.code, again.err) == (6, "")
    value = json.loads(again.out)
    assert (value["is_same"], value["exit_code"]) == (False, 6)
    assert value["prompts"][0]["differences"] == [
        {"kind": "arguments", "server": "local", "tool": "add", "text": "b: recorded 3, now 4"}
    ]


# --- the model --------------------------------------------------------------------------------

MODEL = ("--model", "claude-test")


async def asked(tmp_path: Path, script: Any, *argv: str) -> tuple[Ended, list[Any]]:
    """A run with a model that follows a script, and what the model was asked."""
    async with MessagesApi(script) as api:
        env = {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": "k"}
        ended = await run(*argv, cwd=tmp_path, env=env)
    return ended, [request.body for request in api.requests]


async def test_the_model_is_asked_again_as_it_was_and_its_calls_are_compared(
    tmp_path: Path,
) -> None:
    add = "mcp__local__add"
    words = ("--system-prompt", "Be brief.", "--max-turns", "3", "--sink", "jsonl=run.jsonl")
    script = [turn(use(add, {"a": 2, "b": 3})), turn(say("It is 5."))]
    first, before = await asked(tmp_path, script, *MODEL, *words, "-p", "add 2 and 3")
    assert (first.code, first.out) == (0, "")
    script = [
        turn(say("Let me see."), use(add, {"b": 3.0, "a": 2}, "toolu_x")),
        turn(say("5, says the tool.")),
    ]
    same, now = await asked(tmp_path, script, "replay", "run.jsonl", "--against", "live")
    assert (same.code, same.out.splitlines()[0]) == (0, "ok         1  add 2 and 3"), same.err
    assert [each["model"] for each in now] == ["claude-test"] * 2
    assert (now[0]["system"], now[0]["messages"]) == (before[0]["system"], before[0]["messages"])
    script = [turn(use(add, {"a": 2, "b": 3})), turn(use(add, {"a": 5, "b": 0})), turn(say(" "))]
    other = ("--model", "claude-other")
    differs, now = await asked(tmp_path, script, "replay", "run.jsonl", "--against", "live", *other)
    assert [each["model"] for each in now] == ["claude-other"] * 3
    assert (differs.code, differs.out.splitlines()[:3]) == (
        6,
        [
            "differs    1  add 2 and 3",
            '              local add: not called in the recording; now with {"a":5,"b":0}',
            "              note: the answer is empty now",
        ],
    )


async def test_a_run_that_fails_keeps_its_exit_status(tmp_path: Path) -> None:
    add = "mcp__local__add"
    script = [turn(use(add, {"a": 2, "b": 3})), turn(say("It is 5."))]
    prompts = ("-p", "add 2 and 3", "--sink", "jsonl=run.jsonl")
    await asked(tmp_path, script, *MODEL, *prompts)
    live = ("replay", "run.jsonl", "--against", "live")
    failed, _ = await asked(tmp_path, [refusal(401, "authentication_error", "no")], *live)
    assert failed.code == 7
    assert "recorded ended by end_turn, now ended by model_failed" in failed.out
    limited, _ = await asked(tmp_path, script, *live, "--max-turns", "1")
    assert limited.code == 8
    assert "recorded ended by end_turn, now ended by max_turns" in limited.out
    assert "the run ended with exit status 8: the answer ended by max_turns" in limited.out
    gone = ("--server", "http://127.0.0.1:9/sse", "--output-format", "json")
    env = {"RXMCP_RETRY_FIRST_DELAY": "0.01", "RXMCP_RETRY_MAX_DELAY": "0.02"}
    unreached = await run(*live, *gone, cwd=tmp_path, env=env)
    assert unreached.code == 4
    assert json.loads(unreached.words)["error"]["code"] == 4
    value = json.loads(unreached.out)
    assert [each["result"] for each in value["prompts"]] == ["not_run"]
    assert value["exit_code"] == 4
    assert value["reason"].startswith("no server could be used")


async def test_a_limit_that_the_recorded_run_reached_too_is_no_failure(tmp_path: Path) -> None:
    script = [turn(use("mcp__local__add", {"a": 2, "b": 3}))]
    words = ("--max-turns", "1", "--sink", "jsonl=run.jsonl", "-p", "add 2 and 3")
    first, _ = await asked(tmp_path, script, *MODEL, *words)
    again, _ = await asked(tmp_path, script, "replay", "run.jsonl", "--against", "live")
    assert (first.code, again.code) == (8, 0), again.out


# --- which prompts ----------------------------------------------------------------------------


async def test_a_cancelled_prompt_is_told_and_left_out(tmp_path: Path) -> None:
    sinks = ("--sink", "console", "--sink", "jsonl=run.jsonl")
    async with running(*sinks, cwd=tmp_path) as program:
        await program.say("add a=2 b=3\nwait seconds=50\n")
        await program.told("> wait")
        program.signal(signal.SIGTERM)
        await program.ended()
    sink = ("--sink", "jsonl=now.jsonl")
    again = await run("replay", "run.jsonl", "--against", "live", *sink, cwd=tmp_path)
    assert (again.code, again.out.splitlines()[:2]) == (
        0,
        [
            "ok         1  add a=2 b=3",
            "left out   2  wait seconds=50 (it was cancelled in the recorded run)",
        ],
    )
    assert [call.tool for call in read_run(tmp_path / "now.jsonl").only(ToolStarted)] == ["add"]


async def test_a_signal_ends_it_and_what_was_not_run_is_told(tmp_path: Path) -> None:
    wait = "seconds=0.01"
    prompts = b"wait seconds=0.01\nadd a=2 b=3\n"
    await run("--sink", "jsonl=run.jsonl", cwd=tmp_path, stdin=prompts)
    path = tmp_path / "run.jsonl"
    path.write_text(path.read_text("utf-8").replace(wait, "seconds=50"), "utf-8")
    async with running("replay", "run.jsonl", "--against", "live", cwd=tmp_path) as program:
        await program.told("> wait")
        program.signal(signal.SIGINT)
        ended = await program.ended()
    assert (ended.code, ended.out.splitlines()[:2]) == (
        130,
        [
            "not run    1  wait seconds=50 (the run ended in it)",
            "not run    2  add a=2 b=3 (the run ended before it)",
        ],
    )


async def test_a_request_of_a_person_is_made_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The reference server has no resources: what comes of it then is compared as well."""
    path = tmp_path / "run.jsonl"
    prompts: list[str | Input] = [RequestSubmitted(method="resources/list"), "one"]
    async with serving(tool("one")) as server:
        await record(path, "--server", server.url, prompts=prompts)
        code, _ = await replayed(path, "--server", server.url)
    assert code == 0
    assert capsys.readouterr().out.splitlines()[:2] == [
        "ok         1  resources/list",
        "ok         2  one",
    ]


# --- before it starts -------------------------------------------------------------------------


async def test_tools_that_may_do_more_than_read_are_named_before_they_are_called(
    tmp_path: Path,
) -> None:
    path = tmp_path / "run.jsonl"
    tools = (tool("look"), tool("write\x1b", reads=False), tool("drop", reads=False))
    async with serving(*tools) as server:
        await record(path, "--server", server.url, prompts=["look", "drop ; write\x1b", "drop"])
        settings = settings_of("replay", str(path), "--against", "live")
        replay = LiveReplay(settings)
    assert list(replay.notices(())) == [
        "tools are really called; in the recording 3 calls went to tools that do not say that they "
        r"only read: drop, write\x1b"
    ]


async def test_a_recorded_address_gets_no_key_and_one_of_the_command_line_does(
    tmp_path: Path,
) -> None:
    """A recording may come from anybody: its address could be there to collect keys."""
    with reference_server(tmp_path, "--api-key", "letmein-please") as server:
        env = {
            "MCP_API_KEY": "letmein-please",
            "RXMCP_RETRY_FIRST_DELAY": "0.01",
            "RXMCP_RETRY_MAX_DELAY": "0.02",
        }
        there = ("--server", server.url)
        sink = ("--sink", "jsonl=run.jsonl")
        await run(*there, *sink, cwd=tmp_path, env=env, stdin=b"add a=2 b=3\n")
        live = ("replay", "run.jsonl", "--against", "live")
        refused = await run(*live, cwd=tmp_path, env=env)
        let_in = await run(*live, *there, cwd=tmp_path, env=env)
    assert refused.code == 3, refused.err
    assert (
        f"! MCP_API_KEY is not sent to what only the recording names (localhost-{server.port}); "
        "if that is where it belongs, give --server URL\n"
    ) in refused.words
    assert (let_in.code, "MCP_API_KEY" in let_in.err) == (0, False)


async def test_a_file_that_is_no_recording_is_told(tmp_path: Path) -> None:
    gone = await run("replay", "no.jsonl", "--against", "live", cwd=tmp_path)
    assert (gone.code, gone.out) == (2, "")
    assert "cannot read 'no.jsonl'" in gone.words


# --- settings ---------------------------------------------------------------------------------


def settled(tmp_path: Path, *argv: str, env: Mapping[str, str] | None = None, **plan: Any) -> Any:
    path = tmp_path / "run.jsonl"
    recorded = write(path)
    header = path.read_bytes()
    assert recorded.header.plan.model == "direct"
    changed = json.loads(header)
    changed["plan"] |= json.loads(json.dumps(plan))
    path.write_text(json.dumps(changed) + "\n", "utf-8")
    return LiveReplay(
        settings_of("replay", str(path), "--against", "live", *argv, env=env)
    ).settings


PRICE = {"input": 7.0, "output": 8.0, "cache_read": 1.0, "cache_write": 2.0}


def test_what_is_not_told_now_is_as_it_was_recorded(tmp_path: Path) -> None:
    plan = {
        "model": "claude-then",
        "system_prompt": "Be brief.",
        "max_turns": 3,
        "max_budget_usd": 0.5,
        "price": PRICE,
        "allowed_tools": ["a*"],
        "disallowed_tools": ["ab*"],
        "start_timeout": 1.5,
        "connect_timeout": 2.5,
        "call_timeout": 3.5,
        "call_timeout_max": 4.5,
        "repeat_calls": "never",
        "ignore_tool_error": True,
    }
    assert set(plan) <= set(Plan.__struct_fields__)
    env = {"ANTHROPIC_API_KEY": "k"}  # that makes Claude the default of any other run
    settings = settled(tmp_path, env=env, **plan)
    assert settings.model_price == Price(**PRICE)
    found = {name: getattr(settings, name) for name in plan if name != "price"}
    assert json.loads(json.dumps(found)) == {k: v for k, v in plan.items() if k != "price"}


def test_what_is_told_now_beats_the_recording(tmp_path: Path) -> None:
    argv = ("--model", "claude-haiku-4-5", "--max-turns", "16")
    env = {"RXMCP_SYSTEM_PROMPT": "Be long."}
    then = {"model": "x", "price": PRICE, "max_turns": 3, "system_prompt": "Be brief."}
    settings = settled(tmp_path, *argv, env=env, **then)
    assert (settings.model, settings.max_turns) == ("claude-haiku-4-5", 16)
    assert settings.system_prompt == "Be long."
    assert settings.model_price == Price.of(1, 5), "a price is that of its model"


def test_the_prices_of_plan_and_settings_are_the_same_thing() -> None:
    assert set(PlanPrice.__struct_fields__) == set(Price.model_fields)

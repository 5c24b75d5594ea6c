"""`tools` and `call` against servers as they are: npm's, Python's, and our own in both dialects."""

import base64
import json
from pathlib import Path

import pytest

from pipeline.core.events import RunEnded, SessionReady, ToolEnded
from tests.support.in_process import play
from tests.support.messages_api import MessagesApi, say, turn, use
from tests.support.program import run
from tests.support.python_sse_server import PIXEL
from tests.support.recordings import read_run
from tests.support.servers import reference_server


async def test_tools_and_calls_of_the_npm_server(everything: str, tmp_path: Path) -> None:
    at = ("--server", everything)
    called = await run(*at, "call", "echo", "message=hi", cwd=tmp_path)
    assert (called.code, called.out, called.err) == (0, "Echo: hi\n", "")
    listed = await run(*at, "tools", cwd=tmp_path)
    assert (listed.code, listed.err) == (0, "")
    assert "echo message=TEXT\n    Echoes back the input string\n" in listed.out
    described = await run(*at, "tools", "--json", cwd=tmp_path)
    tools = {tool["name"]: tool for tool in json.loads(described.out)}
    assert len(tools) == 13
    assert tools["echo"]["inputSchema"]["required"] == ["message"]
    assert tools["get-structured-content"]["outputSchema"]["type"] == "object"


async def test_a_picture_is_named_on_the_screen_and_whole_in_the_recording(
    everything: str, tmp_path: Path
) -> None:
    argv = ("--server", everything, "--sink", "console", "--sink", "jsonl=run.jsonl")
    called = await run(*argv, "call", "get-tiny-image", cwd=tmp_path)
    assert called.code == 0
    assert "(image, image/png, 4035 bytes)" in called.out
    (ended,) = read_run(tmp_path / "run.jsonl").only(ToolEnded)
    assert [block["type"] for block in ended.content] == ["text", "image", "text"]
    assert ended.content[1]["data"].startswith("iVBORw0KGgo")


async def test_a_picture_of_a_real_server_reaches_the_model(
    official: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = official.split(":")[2].partition("/")[0]
    script = [turn(use(f"mcp__localhost-{port}__picture", {})), turn(say("seen"))]
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    async with MessagesApi(script) as api:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", api.url)
        played = await play("--server", official, "--model", "claude-test", prompts=["look"])
    assert played.ended == RunEnded(code=0)
    (result,) = api.requests[1].body["messages"][-1]["content"]
    data = base64.b64encode(PIXEL).decode()
    source = {"type": "base64", "media_type": "image/png", "data": data}
    assert result["content"] == [{"type": "image", "source": source}]


async def test_a_long_operation_of_the_npm_server_tells_its_progress(
    everything: str, tmp_path: Path
) -> None:
    call = ("call", "trigger-long-running-operation", "duration=0.2", "steps=2")
    called = await run("-v", "--server", everything, *call, cwd=tmp_path)
    assert called.code == 0
    assert called.out == "Long running operation completed. Duration: 0.2 seconds, Steps: 2.\n"
    assert "· trigger-long-running-operation 2/2" in called.words


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["add", "a=2", "b=3"], "5\n"),
        (["add", '{"a": 2, "b": 3}'], "5\n"),
        (["echo", "message=two words"], "two words\n"),
        (["slow", "steps=3"], "3 steps\n"),
        (["picture"], "(image, image/png, 36 bytes)\n"),
    ],
)
async def test_calls_of_the_python_server(
    official: str, words: list[str], answer: str, tmp_path: Path
) -> None:
    called = await run("--server", official, "call", *words, cwd=tmp_path)
    assert (called.code, called.out, called.err) == (0, answer, "")


async def test_tools_of_the_python_server(official: str, tmp_path: Path) -> None:
    listed = await run("--server", official, "tools", cwd=tmp_path)
    assert (listed.code, listed.err) == (0, "")
    assert "add a=INTEGER b=INTEGER\n    Add two numbers.\n" in listed.out
    assert "picture\n    Answer with a picture.\n" in listed.out


@pytest.mark.parametrize("dialect", ["seed", "sse", "auto"])
async def test_our_own_server_in_each_dialect(reference: str, dialect: str, tmp_path: Path) -> None:
    at = ("--server", reference, "--dialect", dialect)
    called = await run(*at, "call", "add", "a=2", "b=3", cwd=tmp_path)
    assert (called.code, called.out, called.err) == (0, "5\n", "")
    listed = await run(*at, "tools", cwd=tmp_path)
    assert listed.out.startswith("add a=NUMBER b=NUMBER\n    Add two numbers.")
    assert listed.code == 0


async def test_auto_finds_the_dialect_of_each_server(
    reference: str, official: str, tmp_path: Path
) -> None:
    for server, protocol in ((reference, "seed"), (official, "2025-11-25")):
        path = f"{protocol}.jsonl"
        await run("--server", server, "--sink", f"jsonl={path}", "tools", cwd=tmp_path)
        (ready,) = read_run(tmp_path / path).only(SessionReady)
        assert ready.protocol == protocol


async def test_two_servers_are_listed_under_their_names(
    reference: str, official: str, tmp_path: Path
) -> None:
    both = ("--server", reference, "--server", official)
    listed = await run(*both, "tools", cwd=tmp_path)
    assert listed.code == 0
    assert listed.out.count("\nlocalhost-") + listed.out.startswith("localhost-") == 2
    called = await run(*both, "call", "add", "a=1", "b=1", cwd=tmp_path)
    assert (called.code, called.out) == (2, "")
    assert "'add' could be any of localhost-" in called.words


@pytest.mark.parametrize("dialect", ["seed", "sse"])
async def test_a_tool_that_fails_is_exit_status_5(
    reference: str, dialect: str, tmp_path: Path
) -> None:
    argv = ("--server", reference, "--dialect", dialect, "call", "fail", "message=on purpose")
    failed = await run(*argv, cwd=tmp_path)
    assert (failed.code, failed.out) == (5, "on purpose\n")
    assert failed.words == "< fail failed: on purpose\n"


async def test_the_error_of_a_tool_can_be_ignored(reference: str, tmp_path: Path) -> None:
    argv = ("--server", reference, "--ignore-tool-error", "call", "fail", "message=on purpose")
    failed = await run(*argv, cwd=tmp_path)
    assert (failed.code, failed.out) == (0, "on purpose\n")


@pytest.mark.parametrize(
    ("call", "found"),
    [
        (["nope"], "no tool is named 'nope'"),
        (["add", "a=two", "b=3"], "'a': found 'two', expected a number"),
        (["add", "a=1", "a=2"], "found 'a' twice"),
    ],
)
async def test_a_call_that_cannot_be_made_is_exit_status_2(
    reference: str, call: list[str], found: str, tmp_path: Path
) -> None:
    refused = await run("--server", reference, "call", *call, cwd=tmp_path)
    assert (refused.code, refused.out) == (2, "")
    assert found in refused.words


async def test_the_key_of_a_server_is_sent_and_its_absence_is_exit_status_3(
    tmp_path: Path,
) -> None:
    with reference_server(tmp_path, "--api-key", "s3cret-key-of-a-test") as server:
        at = ("--server", server.url)
        key = {"MCP_API_KEY": "s3cret-key-of-a-test"}
        sinks = ("--sink", "console", "--sink", "jsonl=run.jsonl")
        let_in = await run(*at, *sinks, "call", "add", "a=2", "b=3", cwd=tmp_path, env=key)
        assert (let_in.code, let_in.out) == (0, "5\n")
        assert b"s3cret" not in (tmp_path / "run.jsonl").read_bytes()
        for env in ({}, {"MCP_API_KEY": "another"}):
            refused = await run(*at, "call", "add", "a=2", "b=3", cwd=tmp_path, env=env)
            assert (refused.code, refused.out) == (3, "")
            assert "401" in refused.words
            assert "MCP_API_KEY" in refused.words
            assert "another" not in refused.words

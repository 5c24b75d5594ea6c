"""Every kind of server that people run, found out unaided: its tools, a call, an agent's turn."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from pipeline.core.events import RunEnded, SessionReady, StreamLost, ToolEnded
from tests.support.in_process import QUICK, Lines, play, playing
from tests.support.messages_api import MessagesApi, say, turn, use
from tests.support.program import run
from tests.support.real_servers import (
    Real,
    config_of,
    kill_child,
    npm,
    official,
    pypi,
    started,
)
from tests.support.recordings import read_run
from tests.support.servers import NODE

ADD = {"tool": "add", "arguments": {"a": 2, "b": 3}, "says": "5"}
ECHO = {"tool": "echo", "arguments": {"message": "hi"}, "says": "Echo: hi"}
TIME = {"tool": "get_current_time", "arguments": {"timezone": "UTC"}, "says": '"timezone": "UTC"'}
LEGACY, MODERN = "2025-11-25", "2026-07-28"
UVICORN = "Uvicorn running"


def fastmcp(*words: str) -> tuple[str, ...]:
    script = Path(__file__).parents[1] / "support" / "fastmcp_server.py"
    return (str(pypi("servers") / "python"), str(script), *words)


def proxy() -> tuple[str, ...]:
    time = str(pypi("servers") / "mcp-server-time")
    return (str(pypi("proxy") / "mcp-proxy"), "--port", "PORT", "--host", "127.0.0.1", time)


MADE: dict[str, Callable[[], Real]] = {
    "everything-stdio": lambda: Real(
        "everything-stdio", **ECHO, command=npm("server-everything", "stdio"), speaks=LEGACY
    ),
    "everything-sse": lambda: Real(
        "everything-sse",
        **ECHO,
        serve=npm("server-everything", "sse"),
        path="/sse",
        environ={"PORT": "PORT"},
        speaks=LEGACY,
    ),
    "everything-http": lambda: Real(
        "everything-http",
        **ECHO,
        serve=npm("server-everything", "streamableHttp"),
        environ={"PORT": "PORT"},
        speaks=LEGACY,
    ),
    "filesystem": lambda: Real(
        "filesystem",
        tool="list_allowed_directories",
        arguments={},
        says="Allowed directories",
        command=npm("server-filesystem", str(NODE)),
        speaks=LEGACY,
    ),
    "memory": lambda: Real(
        "memory",
        tool="search_nodes",
        arguments={"query": "x"},
        says="entities",
        command=npm("server-memory"),
        speaks=LEGACY,
    ),
    "time": lambda: Real(
        "time", **TIME, command=(str(pypi("servers") / "mcp-server-time"),), speaks=MODERN
    ),
    "python-sse": lambda: Real(
        "python-sse",
        **ADD,
        serve=official("sse", "PORT"),
        ready=UVICORN,
        path="/sse",
        speaks=LEGACY,
    ),
    "python-http": lambda: Real(
        "python-http", **ADD, serve=official("http", "PORT"), ready=UVICORN, speaks=MODERN
    ),
    "python-http-json": lambda: Real(
        "python-http-json",
        **ADD,
        serve=official("http", "PORT", "json"),
        ready=UVICORN,
        speaks=MODERN,
    ),
    "python-stateless": lambda: Real(
        "python-stateless",
        **ADD,
        serve=official("http", "PORT", "stateless", "json"),
        ready=UVICORN,
        speaks=MODERN,
    ),
    "python-stdio": lambda: Real(
        "python-stdio", **ADD, command=official("stdio", "0"), speaks=MODERN
    ),
    "fastmcp": lambda: Real("fastmcp", **ADD, serve=fastmcp("PORT"), ready=UVICORN, speaks=MODERN),
    "mcp-proxy": lambda: Real(
        "mcp-proxy", **TIME, serve=proxy(), ready=UVICORN, path="/mcp", speaks=LEGACY
    ),
    "mcp-proxy-sse": lambda: Real(
        "mcp-proxy-sse", **TIME, serve=proxy(), ready=UVICORN, path="/sse", speaks=LEGACY
    ),
}


def reached(real: Real, folder: Path, stack: ExitStack) -> tuple[str, ...]:
    """How the command line names a server: by its address, or by a configuration."""
    if real.serve:
        return ("--server", stack.enter_context(started(real, folder)))
    return ("--mcp-config", config_of({"it": real}))


@pytest.mark.parametrize("name", MADE)
async def test_a_real_server_is_found_out_unaided(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = MADE[name]()
    with ExitStack() as stack:
        at = reached(real, tmp_path, stack)
        listed = await run(*at, "tools", "--json", cwd=tmp_path)
        assert (listed.code, listed.err) == (0, "")
        tools = {tool["name"]: tool for tool in json.loads(listed.out)}
        assert real.tool in tools

        record = ("--sink", "console", "--sink", "jsonl=run.jsonl")
        words = ("call", real.tool, json.dumps(real.arguments))
        called = await run(*at, *record, *words, cwd=tmp_path)
        assert (called.code, called.err) == (0, "")
        assert real.says in called.out
        recorded = read_run(tmp_path / "run.jsonl")
        (ready,) = recorded.only(SessionReady)
        assert ready.protocol == real.speaks
        checked = await run("replay", "run.jsonl", "--check", cwd=tmp_path)
        assert checked.code == 0, checked.err

        await agent_turn(at, real, ready.server, monkeypatch)


async def agent_turn(
    at: tuple[str, ...], real: Real, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model calls the tool, and gets what it says."""
    alias = f"mcp__{server}__{real.tool}"
    script = [turn(use(alias, dict(real.arguments))), turn(say("seen"))]
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    async with MessagesApi(script) as api:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", api.url)
        played = await play(*at, "--model", "claude-test", prompts=["go"])
    assert played.ended == RunEnded(code=0)
    (result,) = api.requests[1].body["messages"][-1]["content"]
    assert real.says in json.dumps(result["content"]).replace('\\"', '"')


async def test_five_servers_at_once_of_which_one_is_killed_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One prompt uses tools of three; meanwhile the process of one is killed."""
    names = ("everything-stdio", "memory", "time", "python-stdio", "filesystem")
    config = config_of({name: MADE[name]() for name in names})
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    script = [
        turn(
            use("mcp__python-stdio__add", {"a": 2, "b": 3}, "one"),
            use(
                "mcp__everything-stdio__trigger-long-running-operation",
                {"duration": 2, "steps": 2},
                "two",
            ),
            use("mcp__time__get_current_time", {"timezone": "UTC"}, "three"),
        ),
        turn(use("mcp__python-stdio__add", {"a": 4, "b": 5}, "four")),
        turn(say("done")),
    ]
    async with MessagesApi(script) as api:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", api.url)
        words = ("--mcp-config", config, "--model", "claude-test", "--retry-attempts", "8")
        async with playing(*words, lines=Lines(["go"]), env=QUICK) as under_way:
            await under_way.saw(ToolEnded, call="c1")
            kill_child("python_server.py")
            await under_way.saw(StreamLost, server="python-stdio")
            played = await under_way.ended()
    assert played.ended == RunEnded(code=0)
    lost = played.items.index(played.one(StreamLost))
    ended = [(item.call, at) for at, item in enumerate(played.items) if isinstance(item, ToolEnded)]
    assert dict(ended)["c1"] < lost < dict(ended)["c2"] < dict(ended)["c4"]
    results = [json.dumps(request.body["messages"][-1]["content"]) for request in api.requests[1:]]
    assert all(words in results[0] for words in ('"5"', "Long running operation completed", "UTC"))
    assert '"9"' in results[1]

"""Recordings for these tests: made by a run against a real server, or written by hand."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.assembly import Run, first_inputs
from pipeline.core.codec import Entry, Header, encode_entry, encode_header
from pipeline.core.commands import Item, Post
from pipeline.core.events import FrameReceived, Input, Json, Route, SessionReady
from pipeline.core.plan import Plan, ServerPlan
from pipeline.plans import goal_of, make_plan
from pipeline.servers import connect, server_plan
from pipeline.shell.recordings import RecordedRun, last_run
from tests.support.in_process import Lines, servers_of, settings_of

URL = "http://127.0.0.1:9/sse"


async def record(
    path: Path,
    *argv: str,
    prompts: Sequence[str | Input] = (),
    env: Mapping[str, str] | None = None,
) -> RecordedRun:
    """A chat that was recorded."""
    settings = settings_of(*argv, "--sink", f"jsonl={path}", env=env)
    entries = servers_of(settings)
    plans = [server_plan(entry, settings) for entry in entries]
    plan = make_plan(settings, plans, goal=goal_of(settings), is_interactive=False)
    targets = [connect(entry, settings) for entry in entries]
    client = Run(settings, plan, targets, prompts=Lines(prompts))
    ended = await client.run(*first_inputs(settings, plan))
    assert ended.code == 0, ended
    return last_run(path)


def write(path: Path, *items: Item, servers: Sequence[str] = ("one",)) -> RecordedRun:
    """A recording by hand; a second one in the same file is a second run."""
    plan = Plan(servers=tuple(ServerPlan(name=name, url=URL) for name in servers))
    lines = [encode_header(Header(plan=plan))]
    lines += [encode_entry(Entry(seq, "", item)) for seq, item in enumerate(items, 1)]
    with path.open("ab") as file:
        file.write(b"".join(line + b"\n" for line in lines))
    return last_run(path)


def ready(dialect: Any = "sse", server: str = "one") -> SessionReady:
    """A session."""
    return SessionReady(server=server, route=Route(server=server, url=URL, dialect=dialect))


def post(id_: str, method: str, params: Json | None = None, server: str = "one") -> Post:
    """A JSON-RPC request on its way."""
    message = {"jsonrpc": "2.0", "id": id_, "method": method, "params": params or {}}
    return Post(server=server, url=URL, id=id_, message=message)


def call(id_: str, tool: str, server: str = "one", **arguments: Any) -> Post:
    """A tool call of MCP 2024-11-05."""
    params: Json = {"name": tool, "arguments": arguments, "_meta": {"progressToken": id_}}
    return post(id_, "tools/call", params, server)


def seed_call(id_: str, tool: str, **arguments: Any) -> Post:
    """A tool call of the seed dialect."""
    message = {"session_id": "s", "tool": tool, "args": arguments, "id": id_}
    return Post(server="one", url=URL, id=id_, message=message)


def frame(data: str, event: str = "message", server: str = "one") -> FrameReceived:
    """An event from the server."""
    return FrameReceived(server=server, event=event, data=data)


def text(words: str) -> Json:
    """A tool's result."""
    return {"content": [{"type": "text", "text": words}]}

"""A recording to look at: two servers, one lost in between, calls side by side, tokens, problems.

    path = write(tmp_path / "sample.jsonl")

It is made by hand, not by a run: what the looks show of it is known to the millisecond.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

from msgspec.structs import replace

from pipeline.core.codec import Entry, Header, encode_entry, encode_header
from pipeline.core.commands import CallModel, Item, Open, Post
from pipeline.core.events import (
    AnswerCompleted,
    AnswerDelta,
    FrameReceived,
    InputEnded,
    ModelFailed,
    ModelFinished,
    ModelSpoke,
    ModelThought,
    Problem,
    PromptCancelled,
    PromptSubmitted,
    Route,
    RunEnded,
    RunStarted,
    ServerLogged,
    ServersSettled,
    SessionClosed,
    SessionReady,
    StreamLost,
    StreamOpened,
    Tokens,
    Tool,
    ToolEnded,
    ToolProgress,
    ToolsChanged,
    ToolStarted,
    Usage,
)
from pipeline.core.plan import Plan, Price, ServerPlan
from pipeline.core.tools import digest
from pipeline.shell.recordings import RecordedRun, last_run

LOGS, GIT = "logs", "git"
PRICE = Price(input=3.0, output=15.0, cache_read=0.3, cache_write=3.75)
PLAN = Plan(
    servers=(
        ServerPlan(name=LOGS, url="http://127.0.0.1:3001/sse"),
        ServerPlan(name=GIT, url="https://git.example.org/sse"),
    ),
    model="claude-sonnet-5-5",
    price=PRICE,
)
HEADER = Header(
    rxmcp="0.1.0", session="c0ffee0123456789", at="2026-11-24T06:28:23.000000Z", plan=PLAN
)


BEGIN = datetime(2026, 11, 24, 6, 28, 23, tzinfo=UTC)


def at(seconds: float) -> str:
    """A time of the session."""
    time = BEGIN + timedelta(microseconds=round(seconds * 1_000_000))
    return time.isoformat(timespec="microseconds").replace("+00:00", "Z")


def text(words: str) -> dict[str, Any]:
    """A text block, MCP's and the model's alike."""
    return {"type": "text", "text": words}


def use(number: int, server: str, tool: str, **arguments: Any) -> dict[str, Any]:
    """What the model asks for."""
    name = f"mcp__{server}__{tool}"
    return {"type": "tool_use", "id": f"toolu_{number:02d}", "name": name, "input": arguments}


def tool(server: str, name: str, description: str = "", **hints: Any) -> Tool:
    """A tool of the session."""
    alias = f"mcp__{server}__{name}"
    tool = Tool(server=server, name=name, alias=alias, description=description, annotations=hints)
    return replace(tool, digest=digest(tool))


def ready(server: str, dialect: Any, name: str, version: str) -> SessionReady:
    """A server greets."""
    route = Route(
        server=server, url=f"https://{server}/m", dialect=dialect, session_id=f"{server}-session-1"
    )
    protocol = "2024-11-05" if dialect == "sse" else "seed"
    return SessionReady(
        server=server, route=route, protocol=protocol, server_name=name, server_version=version
    )


def called(call: str, server: str, name: str, **arguments: Any) -> list[Item]:
    """A call and its message."""
    message = {"jsonrpc": "2.0", "id": f"call:{call}", "method": "tools/call"}
    return [
        ToolStarted(call=call, server=server, tool=name, arguments=arguments),
        Post(server=server, url=f"https://{server}/m", id=f"call:{call}", message=message),
    ]


def ended(call: str, server: str, name: str, words: str = "", **fields: Any) -> ToolEnded:
    """A call's end."""
    content = (text(words),) if words else ()
    fields = {"outcome": "answered", "content": content, **fields}
    return ToolEnded(call=call, server=server, tool=name, **fields)


def thought(call: int, *blocks: dict[str, Any], **tokens: int) -> list[Item]:
    """The model's turn ends, and what it cost."""
    used = Tokens(**tokens)
    wants = any(block["type"] == "tool_use" for block in blocks)
    reason = "tool_use" if wants else "end_turn"
    return [
        ModelFinished(
            call=f"model:{call}",
            content=blocks,
            stop_reason=reason,
            model="claude-sonnet-5-5",
            tokens=used,
        ),
        Usage(model="claude-sonnet-5-5", tokens=used, cost_usd=0.012, total_usd=0.012 * call),
    ]


def asked(call: int, *messages: dict[str, Any]) -> CallModel:
    """The model is asked."""
    return CallModel(call=f"model:{call}", messages=messages, tools_changed=False)


FIRST = "Which service failed last night, and which change broke it?"
ANSWER = (
    "The service checkout failed from 02:14 to 02:31.\n\n"
    'Commit 4be1d0 ("Cache prices for an hour") broke it: the cache is filled before the '
    "currency is known, so the first request of each hour divides by zero."
)
Script: TypeAlias = list[tuple[float, list[Item]]]
SCRIPT: Script = [
    (0.0, [RunStarted(), Open(server=LOGS), Open(server=GIT)]),
    (0.021, [StreamOpened(server=LOGS)]),
    (0.034, [ready(LOGS, "sse", "log-server", "2.1")]),
    (0.041, [
        ToolsChanged(
            server=LOGS,
            tools=(tool(LOGS, "search", "Search the logs.", readOnlyHint=True), tool(LOGS, "tail")),
        ),
    ]),
    (0.180, [StreamOpened(server=GIT)]),
    (0.310, [ready(GIT, "sse", "git-server", "0.9")]),
    (0.402, [
        ToolsChanged(server=GIT, tools=(tool(GIT, "log"), tool(GIT, "show"), tool(GIT, "revert"))),
        ServersSettled(ready=(LOGS, GIT)),
    ]),
    (2.0, [PromptSubmitted(text=FIRST), asked(1, {"role": "user", "content": [text(FIRST)]})]),
    (2.9, [ModelThought(call="model:1", text="Both sources can be asked at once.")]),
    (3.2, [ModelSpoke(call="model:1", text="I look at the logs and at "), AnswerDelta(text="I")]),
    (3.9, [
        ModelSpoke(call="model:1", text="the history."),
        *thought(
            1, text("I look at the logs and at the history."),
            use(1, LOGS, "search", query="level:error", since="yesterday 22:00"),
            use(2, LOGS, "tail", service="checkout", lines=200),
            use(3, GIT, "log", since="yesterday"),
            input=1840, output=131, cache_write=1500,
        ),
        *called("c1", LOGS, "search", query="level:error", since="yesterday 22:00"),
        *called("c2", LOGS, "tail", service="checkout", lines=200),
        *called("c3", GIT, "log", since="yesterday"),
    ]),
    (4.6, [
        FrameReceived(server=LOGS, event="message", data='{"jsonrpc":"2.0","id":"call:c2"}'),
        ended("c2", LOGS, "tail", "02:14:07 ZeroDivisionError in price()\n" * 40),
    ]),
    (5.1, [ToolProgress(call="c1", progress=40, total=100, message="03:00")]),
    (5.8, [ToolProgress(call="c1", progress=80, total=100)]),
    (6.3, [
        StreamLost(server=GIT, reason="connection reset by peer", retry_in=0.7, attempt=1),
        SessionClosed(server=GIT, reason="connection reset by peer", retry_in=0.7),
        ended(
            "c3", GIT, "log", outcome="unknown",
            reason="the connection to 'git' was lost before the answer: connection reset by peer",
        ),
    ]),
    (6.9, [ended("c1", LOGS, "search", "checkout: 312 errors between 02:14 and 02:31")]),
    (6.9, [asked(2)]),
    (7.1, [StreamLost(server=GIT, reason="connection refused", retry_in=1.1, attempt=2)]),
    (8.3, [StreamOpened(server=GIT)]),
    (8.5, [ready(GIT, "sse", "git-server", "0.9")]),
    (8.6, [
        ToolsChanged(
            server=GIT, tools=(tool(GIT, "log"), tool(GIT, "show")), removed=("revert",)
        ),
    ]),
    (9.2, [
        *thought(
            2, use(4, GIT, "log", since="yesterday"), use(5, GIT, "show", commit="HEAD"),
            input=420, output=64, cache_read=1500, cache_write=700,
        ),
        *called("c4", GIT, "log", since="yesterday"),
        *called("c5", GIT, "show", commit="HEAD"),
    ]),
    (9.5, [ended("c5", GIT, "show", "no such commit: HEAD", is_error=True)]),
    (10.4, [ended("c4", GIT, "log", "4be1d0 Cache prices for an hour"), asked(3)]),
    (11.6, [ModelSpoke(call="model:3", text=ANSWER[:48])]),
    (12.4, [
        ModelSpoke(call="model:3", text=ANSWER[48:]),
        *thought(3, text(ANSWER), input=310, output=188, cache_read=2200, cache_write=120),
        AnswerCompleted(text=ANSWER, turns=3),
    ]),
    (13.0, [ServerLogged(server=LOGS, level="warning", text="disk 91 % full")]),
    (305.0, [
        PromptSubmitted(text="Revert it."), asked(4),
    ]),
    (306.0, [
        ModelSpoke(call="model:4", text="I would "),
        ModelFailed(call="model:4", reason="overloaded_error", status=529, may_retry=True),
        asked(5),
        Problem(where="model", detail="overloaded_error", hint="asking it again"),
    ]),
    (307.5, [
        *thought(
            5, text("I cannot find `revert` any more; I look for another way."),
            use(6, LOGS, "search", query="deploy " * 60),
            input=260, output=70, cache_read=2320, cache_write=90,
        ),
        *called("c6", LOGS, "search", query="deploy " * 60),
    ]),
    (309.0, [
        PromptCancelled(),
        ended("c6", LOGS, "search", outcome="unknown", reason="cancelled by the user"),
        AnswerCompleted(text="", turns=1, stop="cancelled"),
    ]),
    (311.0, [InputEnded(), RunEnded(code=0)]),
]  # fmt: skip


def entries(script: Script = SCRIPT) -> list[Entry]:
    """The items of a script in their places, a few microseconds apart."""
    items = [(seconds, item) for seconds, together in script for item in together]
    return [Entry(seq, at(seconds), item) for seq, (seconds, item) in enumerate(items, 1)]


def lines(script: Script = SCRIPT, header: Header = HEADER) -> list[bytes]:
    """The lines of a recording, without their ends."""
    placed = (replace(entry, session=header.session) for entry in entries(script))
    return [encode_header(header), *map(encode_entry, placed)]


def write(
    path: Path,
    script: Script = SCRIPT,
    header: Header = HEADER,
) -> RecordedRun:
    """Write it, and read it as any recording."""
    path.write_bytes(b"".join(line + b"\n" for line in lines(script, header)))
    return last_run(path)

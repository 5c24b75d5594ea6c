"""Play items through one step, or through the whole core in its own order, without Rx.

A test of the core is a list of items in and a list of items out: this file has the way from one to
the other, and short names for the items that most tests need.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from pipeline.core import jsonrpc, run, tools
from pipeline.core.agent import machine as agent
from pipeline.core.agent import state as agent_state
from pipeline.core.commands import CallModel, Passing, Post
from pipeline.core.events import (
    AnswerEnded,
    FrameReceived,
    Json,
    ModelFinished,
    PostAnswered,
    Route,
    RunStarted,
    StreamLost,
    StreamOpened,
    TimerFired,
    Tokens,
    Tool,
)
from pipeline.core.plan import Plan, ServerPlan
from pipeline.core.session import machine as session

S = TypeVar("S")
T = TypeVar("T")
Step = Callable[[S, Passing], tuple[S, Sequence[Passing]]]

URL = "http://127.0.0.1:8000/sse"
ENDPOINT = "/messages/?session_id=s1"
MESSAGES = "http://127.0.0.1:8000/messages/?session_id=s1"
MCP = "http://127.0.0.1:8000/mcp"
ADD: Json = {"name": "add", "inputSchema": {"type": "object"}}


# --- playing --------------------------------------------------------------------------------


def play(step: Step[S], state: S, *items: Passing) -> tuple[S, list[Passing]]:
    """Feed items to one step; the last state, and all that came out."""
    out: list[Passing] = []
    for item in items:
        state, outputs = step(state, item)
        out.extend(outputs)
    return state, out


class Core:
    """All stages of `pipeline.graph` but the last, fed by hand. `log` keeps all that came out."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.sessions = session.initial(plan)
        self.tools = tools.initial(plan)
        self.agent = agent_state.initial(plan)
        self.run = run.initial(plan)
        self.log: list[Passing] = []

    def feed(self, *items: Passing) -> list[Passing]:
        """What these items make come out at the end of the chain, in order."""
        out: list[Passing] = []
        for item in items:
            self.sessions, first = play(session.step, self.sessions, item)
            self.tools, second = play(tools.step, self.tools, *first)
            self.agent, third = play(agent.step, self.agent, *second)
            self.run, last = play(run.step, self.run, *third)
            out.extend(last)
        self.log.extend(out)
        return out


def only(kind: type[T], items: Iterable[object]) -> list[T]:
    """Those of one kind."""
    return [item for item in items if isinstance(item, kind)]


def one(kind: type[T], items: Iterable[object]) -> T:
    """The one of its kind; a test fails here if there are none or several."""
    (found,) = only(kind, items)
    return found


def kinds(items: Iterable[object]) -> list[str]:
    """The names of what came out, which is often all that a test asks for."""
    return [type(item).__name__ for item in items]


# --- plans and servers ------------------------------------------------------------------------


def a_plan(*names: str, dialect: Any = "auto", **changes: Any) -> Plan:
    """A plan with servers of these names, each at `URL`."""
    servers = tuple(ServerPlan(name=name, url=URL, dialect=dialect) for name in names)
    return Plan(servers=servers, **changes)


def an_http_plan(*names: str, dialect: Any = "auto", **changes: Any) -> Plan:
    """A plan with servers of these names, each at `MCP`."""
    servers = tuple(ServerPlan(name=name, url=MCP, dialect=dialect) for name in names)
    return Plan(servers=servers, **changes)


def a_process_plan(*names: str, **changes: Any) -> Plan:
    """A plan with servers of these names, each a process."""
    servers = tuple(ServerPlan(name=name, url="", program="demo") for name in names)
    return Plan(servers=servers, **changes)


def a_tool(name: str = "add", server: str = "s", **changes: Any) -> Tool:
    """A tool as the registry knows it, under its plain alias."""
    return Tool(server=server, name=name, alias=f"mcp__{server}__{name}", **changes)


def a_route(server: str = "s", dialect: Any = "sse") -> Route:
    """Where calls of a server go."""
    url = URL if dialect == "seed" else MESSAGES
    return Route(server=server, url=url, dialect=dialect, session_id="s1")


# --- what a server does -----------------------------------------------------------------------


def opened(server: str = "s") -> StreamOpened:
    """It accepted the stream."""
    return StreamOpened(server=server)


def frame(event: str, data: Any, server: str = "s") -> FrameReceived:
    """It sent an event; what is no text is sent as JSON."""
    text = data if isinstance(data, str) else msgspec.json.encode(data).decode()
    return FrameReceived(server=server, event=event, data=text)


def endpoint(reference: str = ENDPOINT, server: str = "s") -> FrameReceived:
    """It said where messages go."""
    return frame("endpoint", reference, server)


def answered(id_: Any, result: Any, server: str = "s") -> FrameReceived:
    """It answered a JSON-RPC request."""
    return frame("message", {"jsonrpc": "2.0", "id": id_, "result": result}, server)


def refused(id_: Any, message: str = "no", code: int = -32000, server: str = "s") -> FrameReceived:
    """It answered a JSON-RPC request with an error."""
    error = {"code": code, "message": message}
    return frame("message", {"jsonrpc": "2.0", "id": id_, "error": error}, server)


def asked(id_: Any, method: str, server: str = "s") -> FrameReceived:
    """It asked the client something."""
    return frame("message", {"jsonrpc": "2.0", "id": id_, "method": method}, server)


def told(method: str, server: str = "s", **params: Any) -> FrameReceived:
    """It sent a notification."""
    return frame("message", {"jsonrpc": "2.0", "method": method, "params": params}, server)


def lost(retry_in: float | None = 1.0, server: str = "s", **changes: Any) -> StreamLost:
    """Its stream ended."""
    reason = changes.pop("reason", "it went away")
    return StreamLost(server=server, reason=reason, retry_in=retry_in, **changes)


def posted(id_: str, status: int | None = 202, server: str = "s", **changes: Any) -> PostAnswered:
    """It answered a POST."""
    return PostAnswered(server=server, id=id_, status=status, **changes)


def replied(id_: str, result: Any, server: str = "s", **changes: Any) -> PostAnswered:
    """It answered a POST with the answer to the request, as JSON."""
    body = msgspec.json.encode(jsonrpc.answer(id_, result)).decode()
    return PostAnswered(server=server, id=id_, status=200, body=body, **changes)


def rejected(
    id_: str, status: int, code: int | None = None, server: str = "s", **error: Any
) -> PostAnswered:
    """It refused a POST; with a JSON-RPC error of that code, that names no request, if any."""
    body = ""
    if code is not None:
        whole: Json = {"code": code, "message": "no", **error}
        body = msgspec.json.encode({"jsonrpc": "2.0", "error": whole}).decode()
    return PostAnswered(server=server, id=id_, status=status, body=body)


def streaming(id_: str, server: str = "s", **changes: Any) -> PostAnswered:
    """It answers a POST, or a GET, with an event stream."""
    return PostAnswered(server=server, id=id_, status=200, is_open=True, **changes)


def on_stream(stream: str, frame: FrameReceived, id_: str = "") -> FrameReceived:
    """That event, on the stream that answers a POST or a GET."""
    return replace(frame, stream=stream, id=id_)


def ended(id_: str, server: str = "s", **changes: Any) -> AnswerEnded:
    """An event stream that answered a POST or a GET came to its end."""
    return AnswerEnded(server=server, id=id_, **changes)


def fired(id_: str) -> TimerFired:
    """A timer ran out."""
    return TimerFired(id=id_)


# --- whole handshakes -------------------------------------------------------------------------


def greeting(**changes: Any) -> Json:
    """The result of `initialize`."""
    return {
        "protocolVersion": "2025-11-25",
        "capabilities": {"tools": {"listChanged": True}},
        "serverInfo": {"name": "demo", "version": "1.2"},
        **changes,
    }


def seed_start(*tools_: Any, server: str = "s") -> list[Passing]:
    """What a server of the seed dialect does until it is ready."""
    return [opened(server), endpoint(server=server), frame("tools", list(tools_), server)]


def sse_start(*tools_: Any, server: str = "s", generation: int = 1) -> list[Passing]:
    """What a server of MCP 2024-11-05 does until it is ready, the grace timer included."""
    return [
        opened(server),
        endpoint(server=server),
        fired(f"grace:{server}"),
        answered(f"init:{server}:{generation}", greeting(), server),
        answered(f"list:{server}:{generation}.1", {"tools": list(tools_)}, server),
    ]


DISCOVERED: Json = {
    "resultType": "complete",
    "supportedVersions": ["2026-07-28"],
    "capabilities": {"tools": {"listChanged": True}},
    "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "demo", "version": "2.0"}},
}


def http_start(*tools_: Any, server: str = "s", generation: int = 1, **hello: Any) -> list[Passing]:
    """What a Streamable HTTP server with sessions does until it is ready, the GET included."""
    g = generation
    return [
        opened(server),
        rejected(f"discover:{server}:{g}.1", 400, server=server),
        replied(f"init:{server}:{g}", greeting(**hello), server, session_id=f"S{g}"),
        posted(f"initialized:{server}", server=server),
        streaming(f"own:{server}:{g}.1", server),
        replied(f"list:{server}:{g}.1", {"tools": list(tools_)}, server),
    ]


def modern_start(*tools_: Any, server: str = "s", generation: int = 1, **of: Any) -> list[Passing]:
    """What a stateless server does until it is ready."""
    g = generation
    return [
        opened(server),
        replied(f"discover:{server}:{g}.1", {**DISCOVERED, **of}, server),
        replied(f"list:{server}:{g}.1", {"tools": list(tools_)}, server),
    ]


def a_core(plan: Plan, *items: Passing) -> Core:
    """A core that has taken `RunStarted` and these items."""
    core = Core(plan)
    core.feed(RunStarted(), *items)
    return core


# --- what the model does ----------------------------------------------------------------------


def text_block(text: str) -> Json:
    """A text block of a model's message."""
    return {"type": "text", "text": text}


def use(id_: str, name: str, **arguments: Any) -> Json:
    """A `tool_use` block of a model's message."""
    return {"type": "tool_use", "id": id_, "name": name, "input": arguments}


def finished(call: int, *content: Json | str, stop: str | None = None) -> ModelFinished:
    """The model ended its turn; by default as its content suggests."""
    blocks = tuple(text_block(each) if isinstance(each, str) else each for each in content)
    wants_tools = any(block["type"] == "tool_use" for block in blocks)
    reason = stop or ("tool_use" if wants_tools else "end_turn")
    return ModelFinished(
        call=f"model:{call}",
        content=blocks,
        stop_reason=reason,
        model="claude-x",
        tokens=Tokens(input=10, output=5),
    )


def posts(items: Iterable[object]) -> list[str]:
    """The ids of all posts among these items."""
    return [post.id for post in only(Post, items)]


def last_messages(items: Iterable[object]) -> tuple[Json, ...]:
    """The conversation of the last model call among these items."""
    return only(CallModel, items)[-1].messages

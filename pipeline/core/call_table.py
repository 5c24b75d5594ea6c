"""The table of tool calls under way: what is in it, what goes out, and how a call leaves it.

In the seed dialect a call waits until the one before it is answered, as long as the server has not
been seen to echo ids.
"""

from typing import Any, Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from pipeline.core import jsonrpc
from pipeline.core.commands import Passing, Post, StartTimer, StopTimer
from pipeline.core.events import (
    CallOutcome,
    Json,
    Route,
    Tool,
    ToolEnded,
)
from pipeline.core.plan import Plan
from pipeline.core.session import seed

PREFIX = seed.PREFIX


class Call(msgspec.Struct, frozen=True):
    """One call; `is_posted` once its message is on the way, for the `sends`-th time."""

    id: str
    tool: Tool
    arguments: Json
    is_posted: bool = False
    sends: int = 0

    @property
    def wire_id(self) -> str:
        """The id of its latest message: never used before, also when the call is sent again."""
        is_first = self.sends <= 1
        return f"{PREFIX}{self.id}" if is_first else f"{PREFIX}{self.id}~{self.sends}"


class Calls(msgspec.Struct, frozen=True):
    """The table. `routes` holds the servers that are connected, `lost` why others never will be."""

    plan: Plan
    open: dict[str, Call] = {}
    routes: dict[str, Route] = {}
    lost: dict[str, str] = {}
    side_by_side: frozenset[str] = frozenset()


Outputs: TypeAlias = tuple[Passing, ...]
Move: TypeAlias = tuple[Calls, Outputs]


def call_of(calls: Calls, wire_id: str) -> Call | None:
    """The open call whose latest message has this id."""
    call = calls.open.get(wire_id.removeprefix(PREFIX).partition("~")[0])
    return call if call is not None and call.wire_id == wire_id else None


def calls_of(calls: Calls, server: str) -> list[Call]:
    """A server's open calls, the oldest first."""
    return [call for call in calls.open.values() if call.tool.server == server]


def posted_to(calls: Calls, server: str) -> list[Call]:
    """Those of them whose message is on the way."""
    return [call for call in calls_of(calls, server) if call.is_posted]


def post_waiting(calls: Calls, server: str) -> Move:
    """Send what waits for this server, as far as its dialect allows it side by side."""
    route = calls.routes.get(server)
    if route is None:
        return calls, ()
    mine = calls_of(calls, server)
    waiting = [call for call in mine if not call.is_posted]
    if route.dialect == "seed" and server not in calls.side_by_side:
        waiting = [] if any(call.is_posted for call in mine) else waiting[:1]
    posted = {c.id: replace(c, is_posted=True, sends=c.sends + 1) for c in waiting}
    calls = replace(calls, open={**calls.open, **posted})
    # The time that a call has waited for its turn does not count against its server.
    pairs = ((deadline(calls, call), _post(route, call)) for call in posted.values())
    return calls, tuple(output for pair in pairs for output in pair)


def deadline(calls: Calls, call: Call) -> StartTimer:
    """The time until an answer or progress; it starts over."""
    return StartTimer(id=PREFIX + call.id, seconds=calls.plan.call_timeout)


def limit(calls: Calls, call: Call) -> StartTimer:
    """The time in any case."""
    return StartTimer(id=f"{PREFIX}{call.id}:max", seconds=calls.plan.call_timeout_max)


def _post(route: Route, call: Call) -> Post:
    id_ = call.wire_id
    match route.dialect:
        case "seed":
            message = seed.call(route, id_, call.tool.name, call.arguments)
        case "sse":
            params: Json = {
                "name": call.tool.name,
                "arguments": call.arguments,
                "_meta": {"progressToken": id_},
            }
            message = jsonrpc.request(id_, "tools/call", params)
    return Post(server=route.server, url=route.url, id=id_, message=message)


def end(calls: Calls, call: Call, outcome: CallOutcome, reason: str) -> Move:
    """A call ends without an answer."""
    return close(calls, call, ended(call, outcome, reason))


def close(calls: Calls, call: Call, ended: ToolEnded) -> Move:
    """A call leaves the table, in these words; the next one may go out."""
    still_open = {id_: other for id_, other in calls.open.items() if id_ != call.id}
    calls, posts = post_waiting(replace(calls, open=still_open), call.tool.server)
    stops = (StopTimer(id=PREFIX + call.id), StopTimer(id=f"{PREFIX}{call.id}:max"))
    return calls, (ended, *stops, *posts)


def ended(
    call: Call,
    outcome: Literal["answered", "not_sent", "unknown"],
    reason: str,
    content: tuple[Json, ...] = (),
    *,
    is_error: bool = False,
    structured: Any = None,
) -> ToolEnded:
    """How a call ended, in the words of an event."""
    return ToolEnded(
        call=call.id,
        server=call.tool.server,
        tool=call.tool.name,
        outcome=outcome,
        is_error=is_error,
        content=content,
        structured=structured,
        reason=reason,
    )


def without_route(calls: Calls, server: str) -> Calls:
    """The server is not connected."""
    routes = {name: route for name, route in calls.routes.items() if name != server}
    return replace(calls, routes=routes)

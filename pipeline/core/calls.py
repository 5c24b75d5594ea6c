"""Tool calls under way: each one started ends exactly once, whatever happens to its server.

Pure moves over a table, used by the agent stage. A call waits for its server, is posted, then
answered; or it ends without an answer as *not sent* or *unknown*. In the seed dialect a call waits
until the one before it is answered, as long as the server has not been seen to echo ids.
"""

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from pipeline.core import jsonrpc
from pipeline.core.commands import Passing, Post, Reconnect, StartTimer, StopTimer
from pipeline.core.content import read_content
from pipeline.core.events import (
    CallOutcome,
    Json,
    PostAnswered,
    Problem,
    ProgressReported,
    ReplyReceived,
    Route,
    StreamLost,
    Tool,
    ToolEnded,
    ToolProgress,
    ToolRepeated,
    ToolStarted,
)
from pipeline.core.jsonrpc import shorten
from pipeline.core.plan import Plan
from pipeline.core.session import seed
from pipeline.core.session.state import is_accepted

PREFIX = seed.PREFIX
_SAFE_TO_REPEAT = (*range(300, 500), 501, 503)


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
        return f"{PREFIX}{self.id}" if self.sends < 2 else f"{PREFIX}{self.id}~{self.sends}"  # noqa: PLR2004


class Calls(msgspec.Struct, frozen=True):
    """The table. `routes` holds the servers that are connected, `lost` why others never will be."""

    plan: Plan
    open: dict[str, Call] = {}
    routes: dict[str, Route] = {}
    lost: dict[str, str] = {}
    side_by_side: frozenset[str] = frozenset()


Outputs: TypeAlias = tuple[Passing, ...]
Move: TypeAlias = tuple[Calls, Outputs]


def start(calls: Calls, id_: str, tool: Tool, arguments: Json) -> Move:
    """Begin a call: post it now, or as soon as its server takes it."""
    started = ToolStarted(call=id_, server=tool.server, tool=tool.name, arguments=arguments)
    call = Call(id_, tool, arguments)
    if len(calls.open) >= calls.plan.max_pending_calls:
        reason = f"{len(calls.open)} calls are under way already, and that is the limit"
        return calls, (started, _ended(call, "not_sent", reason))
    if tool.server in calls.lost:
        reason = f"the server {tool.server!r} is gone: {calls.lost[tool.server]}"
        return calls, (started, _ended(call, "not_sent", reason))
    calls = replace(calls, open={**calls.open, id_: call})
    limit = _limit(calls, call)
    calls, posts = _post_waiting(calls, tool.server)
    patience = () if calls.open[id_].is_posted else (_deadline(calls, call),)
    return calls, (started, limit, *patience, *posts)


def on_session_ready(calls: Calls, route: Route) -> Move:
    """A server may be used (again): what waited for it goes out."""
    lost = {name: why for name, why in calls.lost.items() if name != route.server}
    calls = replace(calls, routes={**calls.routes, route.server: route}, lost=lost)
    return _post_waiting(calls, route.server)


def on_stream_lost(calls: Calls, lost: StreamLost) -> Move:
    """What was posted to this server has no known outcome; what was not may wait, if it returns."""
    is_final = lost.retry_in is None
    calls = replace(
        _without_route(calls, lost.server),
        lost={**calls.lost, lost.server: lost.reason} if is_final else calls.lost,
        side_by_side=calls.side_by_side - {lost.server},
    )
    outputs: Outputs = ()
    for call in _of(calls, lost.server):
        reason = f"the connection to {lost.server!r} was lost before the answer: {lost.reason}"
        if call.is_posted:
            calls, more = _after_loss(calls, call, reason, is_final=is_final)
        elif is_final:
            gone = f"{lost.server!r} is gone: {lost.reason}"
            calls, more = _end(calls, call, _unanswered(call), gone)
        else:
            continue
        outputs = (*outputs, *more)
    return calls, outputs


def on_resumed(calls: Calls, servers: Sequence[str]) -> Move:
    """All connections and timers of before are gone; `servers` are those that come back."""
    lost = {name: why for name, why in calls.lost.items() if name not in servers}
    calls = replace(calls, routes={}, lost=lost, side_by_side=frozenset())
    outputs: Outputs = ()
    for call in tuple(calls.open.values()):
        name = call.tool.server
        is_final = name not in servers
        if call.is_posted:
            reason = "the run was cut off before the answer came"
            calls, more = _after_loss(calls, call, reason, is_final=is_final)
        elif is_final:
            gone = f"{name!r} is not part of the resumed run"
            calls, more = _end(calls, call, _unanswered(call), gone)
        else:
            more = (_deadline(calls, call),)
        if call.id in calls.open:
            more = (*more, _limit(calls, call))
        outputs = (*outputs, *more)
    return calls, outputs


def on_posted(calls: Calls, posted: PostAnswered) -> Move:
    """The server took the message (its answer comes later), or did not."""
    call = _call_of(calls, posted.id)
    if call is None or not call.is_posted or is_accepted(posted.status):
        return calls, ()
    if posted.status is None:
        return _end(calls, call, "unknown" if posted.is_sent else "not_sent", posted.reason)
    reason = f"the server answered HTTP {posted.status} {shorten(posted.body, 200)}".rstrip()
    outcome = "not_sent" if posted.status in _SAFE_TO_REPEAT else "unknown"
    return _end(calls, call, outcome, reason)


def on_reply(calls: Calls, reply: ReplyReceived) -> Move:
    """The answer to a call; one that nobody waits for is told once, as a problem."""
    call = _awaited(calls, reply)
    if call is None:
        return calls, (Problem(where=reply.server, detail=_unasked(calls, reply)),)
    if reply.id is not None:
        calls = replace(calls, side_by_side=calls.side_by_side | {reply.server})
    if reply.result is None:
        error = {"type": "text", "text": reply.error}
        return _close(calls, call, _ended(call, "answered", reply.error, (error,), is_error=True))
    content = read_content(reply.result)
    if content is None:
        found = shorten(msgspec.json.encode(reply.result.get("content")).decode(), 80)
        reason = f"malformed result: found {found!r} as `content`, expected a list of objects"
        return _close(calls, call, _ended(call, "answered", reason, is_error=True))
    is_error = reply.result.get("isError") is True
    structured = reply.result.get("structuredContent")
    return _close(
        calls, call, _ended(call, "answered", "", content, is_error=is_error, structured=structured)
    )


def on_progress(calls: Calls, report: ProgressReported) -> Move:
    """Progress proves that somebody works on the call: its deadline starts over."""
    call = _call_of(calls, report.id)
    if call is None or call.tool.server != report.server or not call.is_posted:
        return calls, ()
    progress = ToolProgress(
        call=call.id, progress=report.progress, total=report.total, message=report.message
    )
    return calls, (progress, _deadline(calls, call))


def on_timer(calls: Calls, timer: str) -> Move:
    """A call's time is up."""
    id_, _, kind = timer.removeprefix(PREFIX).partition(":")
    call = calls.open.get(id_)
    if call is None:
        return calls, ()
    if kind:
        limit = f"{calls.plan.call_timeout_max:g} s (--call-timeout-max)"
        reason = f"no answer within {limit}, however much progress was told"
    else:
        reason = f"no answer and no progress for {calls.plan.call_timeout:g} s (--call-timeout)"
    if not call.is_posted:
        is_connected = call.tool.server in calls.routes
        held_up = "was still busy with earlier calls" if is_connected else "was not connected"
        reason = f"{call.tool.server!r} {held_up} after {calls.plan.call_timeout:g} s"
    return abandon(calls, id_, reason)


def abandon(calls: Calls, id_: str, reason: str) -> Move:
    """End a call that nobody waits for any longer, and tell the server where it can be told."""
    call = calls.open[id_]
    if not call.is_posted:
        return _end(calls, call, _unanswered(call), reason)
    route = calls.routes.get(call.tool.server)
    if route is None:
        return _end(calls, call, "unknown", reason)
    if route.dialect == "seed" and route.server not in calls.side_by_side:
        # The next call waits for the new stream, where this one's late answer cannot come.
        calls = _without_route(calls, route.server)
        calls, outputs = _end(calls, call, "unknown", reason)
        why = "a late answer without an id could be taken for the next call's"
        return calls, (*outputs, Reconnect(server=route.server, reason=why))
    calls, outputs = _end(calls, call, "unknown", reason)
    if route.dialect == "sse":
        params: Json = {"requestId": call.wire_id, "reason": reason}
        message = jsonrpc.notification("notifications/cancelled", params)
        post = Post(server=route.server, url=route.url, id=f"cancel:{id_}", message=message)
        return calls, (*outputs, post)
    return calls, outputs


def _post_waiting(calls: Calls, server: str) -> Move:
    route = calls.routes.get(server)
    if route is None:
        return calls, ()
    mine = _of(calls, server)
    waiting = [call for call in mine if not call.is_posted]
    if route.dialect == "seed" and server not in calls.side_by_side:
        waiting = [] if any(call.is_posted for call in mine) else waiting[:1]
    posted = {c.id: replace(c, is_posted=True, sends=c.sends + 1) for c in waiting}
    calls = replace(calls, open={**calls.open, **posted})
    # The time that a call has waited for its turn does not count against its server.
    pairs = ((_deadline(calls, call), _post(route, call)) for call in posted.values())
    return calls, tuple(output for pair in pairs for output in pair)


def _deadline(calls: Calls, call: Call) -> StartTimer:
    return StartTimer(id=PREFIX + call.id, seconds=calls.plan.call_timeout)


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


def _awaited(calls: Calls, reply: ReplyReceived) -> Call | None:
    if reply.id is None:
        # It is never guessed which of several calls was answered.
        posted = _posted(calls, reply.server)
        return posted[0] if len(posted) == 1 else None
    call = _call_of(calls, reply.id)
    is_ours = call is not None and call.tool.server == reply.server and call.is_posted
    return call if is_ours else None


def _unasked(calls: Calls, reply: ReplyReceived) -> str:
    what = f"error {reply.error!r}" if reply.error else "an answer"
    if reply.id is not None:
        return f"{what} for unknown id {reply.id!r}"
    count = len(_posted(calls, reply.server))
    if count:
        return f"{what} without an id, which could be for any of {count} calls"
    return f"{what} without a call in flight"


def _call_of(calls: Calls, wire_id: str) -> Call | None:
    call = calls.open.get(wire_id.removeprefix(PREFIX).partition("~")[0])
    return call if call is not None and call.wire_id == wire_id else None


def _of(calls: Calls, server: str) -> list[Call]:
    return [call for call in calls.open.values() if call.tool.server == server]


def _posted(calls: Calls, server: str) -> list[Call]:
    return [call for call in _of(calls, server) if call.is_posted]


def _after_loss(calls: Calls, call: Call, reason: str, *, is_final: bool) -> Move:
    """Sent, then lost: again if that does no harm, else its outcome is unknown."""
    if is_final or not _may_repeat(calls.plan, call):
        return _end(calls, call, "unknown", reason)
    waiting = replace(call, is_posted=False)
    calls = replace(calls, open={**calls.open, call.id: waiting})
    tool = call.tool
    repeated = ToolRepeated(call=call.id, server=tool.server, tool=tool.name, reason=reason)
    return calls, (repeated, _deadline(calls, waiting))


def _may_repeat(plan: Plan, call: Call) -> bool:
    hints = call.tool.annotations
    is_safe = hints.get("readOnlyHint") is True or hints.get("idempotentHint") is True
    is_wished = plan.repeat_calls == "always" or (plan.repeat_calls == "safe" and is_safe)
    return is_wished and call.sends < plan.max_call_sends


def _unanswered(call: Call) -> CallOutcome:
    return "not_sent" if call.sends == 0 else "unknown"


def _limit(calls: Calls, call: Call) -> StartTimer:
    return StartTimer(id=f"{PREFIX}{call.id}:max", seconds=calls.plan.call_timeout_max)


def _end(calls: Calls, call: Call, outcome: CallOutcome, reason: str) -> Move:
    return _close(calls, call, _ended(call, outcome, reason))


def _close(calls: Calls, call: Call, ended: ToolEnded) -> Move:
    still_open = {id_: other for id_, other in calls.open.items() if id_ != call.id}
    calls, posts = _post_waiting(replace(calls, open=still_open), call.tool.server)
    stops = (StopTimer(id=PREFIX + call.id), StopTimer(id=f"{PREFIX}{call.id}:max"))
    return calls, (ended, *stops, *posts)


def _ended(
    call: Call,
    outcome: Literal["answered", "not_sent", "unknown"],
    reason: str,
    content: tuple[Json, ...] = (),
    *,
    is_error: bool = False,
    structured: Any = None,
) -> ToolEnded:
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


def _without_route(calls: Calls, server: str) -> Calls:
    routes = {name: route for name, route in calls.routes.items() if name != server}
    return replace(calls, routes=routes)

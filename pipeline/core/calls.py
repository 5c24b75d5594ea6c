"""Tool calls under way: each one started ends exactly once, whatever happens to its server.

Pure moves over a table, used by the agent stage. A call waits for its server, is posted, then
answered; or it ends without an answer as *not sent* or *unknown*. In the seed dialect a call waits
until the one before it is answered, as long as the server has not been seen to echo ids.
"""

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from pipeline.core import jsonrpc
from pipeline.core.call_table import (
    PREFIX,
    Call,
    Calls,
    Move,
    Outputs,
    call_of,
    calls_of,
    close,
    deadline,
    end,
    ended,
    limit,
    post_waiting,
    posted_to,
    without_route,
)
from pipeline.core.commands import Post, Reconnect
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
    ToolProgress,
    ToolRepeated,
    ToolStarted,
)
from pipeline.core.jsonrpc import shorten
from pipeline.core.plan import Plan
from pipeline.core.session.state import is_accepted

_SAFE_TO_REPEAT = (*range(300, 500), 501, 503)


def start(calls: Calls, id_: str, tool: Tool, arguments: Json) -> Move:
    """Begin a call: post it now, or as soon as its server takes it."""
    started = ToolStarted(call=id_, server=tool.server, tool=tool.name, arguments=arguments)
    call = Call(id_, tool, arguments)
    if len(calls.open) >= calls.plan.max_pending_calls:
        reason = f"{len(calls.open)} calls are under way already, and that is the limit"
        return calls, (started, ended(call, "not_sent", reason))
    if tool.server in calls.lost:
        reason = f"the server {tool.server!r} is gone: {calls.lost[tool.server]}"
        return calls, (started, ended(call, "not_sent", reason))
    calls = replace(calls, open={**calls.open, id_: call})
    in_any_case = limit(calls, call)
    calls, posts = post_waiting(calls, tool.server)
    patience = () if calls.open[id_].is_posted else (deadline(calls, call),)
    return calls, (started, in_any_case, *patience, *posts)


def on_session_ready(calls: Calls, route: Route) -> Move:
    """A server may be used (again): what waited for it goes out."""
    lost = {name: why for name, why in calls.lost.items() if name != route.server}
    calls = replace(calls, routes={**calls.routes, route.server: route}, lost=lost)
    return post_waiting(calls, route.server)


def on_stream_lost(calls: Calls, lost: StreamLost) -> Move:
    """What was posted to this server has no known outcome; what was not may wait, if it returns."""
    is_final = lost.retry_in is None
    calls = replace(
        without_route(calls, lost.server),
        lost={**calls.lost, lost.server: lost.reason} if is_final else calls.lost,
        side_by_side=calls.side_by_side - {lost.server},
    )
    outputs: Outputs = ()
    for call in calls_of(calls, lost.server):
        reason = f"the connection to {lost.server!r} was lost before the answer: {lost.reason}"
        if call.is_posted:
            calls, more = _after_loss(calls, call, reason, is_final=is_final)
        elif is_final:
            gone = f"{lost.server!r} is gone: {lost.reason}"
            calls, more = end(calls, call, _unanswered(call), gone)
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
            calls, more = end(calls, call, _unanswered(call), gone)
        else:
            more = (deadline(calls, call),)
        if call.id in calls.open:
            more = (*more, limit(calls, call))
        outputs = (*outputs, *more)
    return calls, outputs


def on_posted(calls: Calls, posted: PostAnswered) -> Move:
    """The server took the message (its answer comes later), or did not."""
    call = call_of(calls, posted.id)
    if call is None or not call.is_posted or is_accepted(posted.status):
        return calls, ()
    if posted.status is None:
        return end(calls, call, "unknown" if posted.is_sent else "not_sent", posted.reason)
    reason = f"the server answered HTTP {posted.status} {shorten(posted.body, 200)}".rstrip()
    outcome = "not_sent" if posted.status in _SAFE_TO_REPEAT else "unknown"
    return end(calls, call, outcome, reason)


def on_reply(calls: Calls, reply: ReplyReceived) -> Move:
    """The answer to a call; one that nobody waits for is told once, as a problem."""
    call = _awaited(calls, reply)
    if call is None:
        return calls, (Problem(where=reply.server, detail=_unasked(calls, reply)),)
    if reply.id is not None:
        calls = replace(calls, side_by_side=calls.side_by_side | {reply.server})
    if reply.result is None:
        error = {"type": "text", "text": reply.error}
        return close(calls, call, ended(call, "answered", reply.error, (error,), is_error=True))
    content = read_content(reply.result)
    if content is None:
        found = shorten(msgspec.json.encode(reply.result.get("content")).decode(), 80)
        reason = f"malformed result: found {found!r} as `content`, expected a list of objects"
        return close(calls, call, ended(call, "answered", reason, is_error=True))
    is_error = reply.result.get("isError") is True
    structured = reply.result.get("structuredContent")
    return close(
        calls, call, ended(call, "answered", "", content, is_error=is_error, structured=structured)
    )


def on_progress(calls: Calls, report: ProgressReported) -> Move:
    """Progress proves that somebody works on the call: its deadline starts over."""
    call = call_of(calls, report.id)
    if call is None or call.tool.server != report.server or not call.is_posted:
        return calls, ()
    progress = ToolProgress(
        call=call.id, progress=report.progress, total=report.total, message=report.message
    )
    return calls, (progress, deadline(calls, call))


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
        return end(calls, call, _unanswered(call), reason)
    route = calls.routes.get(call.tool.server)
    if route is None:
        return end(calls, call, "unknown", reason)
    if route.dialect == "seed" and route.server not in calls.side_by_side:
        # The next call waits for the new stream, where this one's late answer cannot come.
        calls = without_route(calls, route.server)
        calls, outputs = end(calls, call, "unknown", reason)
        why = "a late answer without an id could be taken for the next call's"
        return calls, (*outputs, Reconnect(server=route.server, reason=why))
    calls, outputs = end(calls, call, "unknown", reason)
    if route.dialect == "sse":
        params: Json = {"requestId": call.wire_id, "reason": reason}
        message = jsonrpc.notification("notifications/cancelled", params)
        post = Post(server=route.server, url=route.url, id=f"cancel:{id_}", message=message)
        return calls, (*outputs, post)
    return calls, outputs


def _awaited(calls: Calls, reply: ReplyReceived) -> Call | None:
    if reply.id is None:
        # It is never guessed which of several calls was answered.
        posted = posted_to(calls, reply.server)
        return posted[0] if len(posted) == 1 else None
    call = call_of(calls, reply.id)
    is_ours = call is not None and call.tool.server == reply.server and call.is_posted
    return call if is_ours else None


def _unasked(calls: Calls, reply: ReplyReceived) -> str:
    what = f"error {reply.error!r}" if reply.error else "an answer"
    if reply.id is not None:
        return f"{what} for unknown id {reply.id!r}"
    count = len(posted_to(calls, reply.server))
    if count:
        return f"{what} without an id, which could be for any of {count} calls"
    return f"{what} without a call in flight"


def _after_loss(calls: Calls, call: Call, reason: str, *, is_final: bool) -> Move:
    """Sent, then lost: again if that does no harm, else its outcome is unknown."""
    if is_final or not _may_repeat(calls.plan, call):
        return end(calls, call, "unknown", reason)
    waiting = replace(call, is_posted=False)
    calls = replace(calls, open={**calls.open, call.id: waiting})
    tool = call.tool
    repeated = ToolRepeated(call=call.id, server=tool.server, tool=tool.name, reason=reason)
    return calls, (repeated, deadline(calls, waiting))


def _may_repeat(plan: Plan, call: Call) -> bool:
    hints = call.tool.annotations
    is_safe = hints.get("readOnlyHint") is True or hints.get("idempotentHint") is True
    is_wished = plan.repeat_calls == "always" or (plan.repeat_calls == "safe" and is_safe)
    return is_wished and call.sends < plan.max_call_sends


def _unanswered(call: Call) -> CallOutcome:
    return "not_sent" if call.sends == 0 else "unknown"

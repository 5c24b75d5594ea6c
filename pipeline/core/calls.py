"""Tool calls under way: each one started ends exactly once, whatever happens to its server.

Pure moves over a table, used by the agent stage. A call waits for its server, is posted, then
answered; or it ends without an answer as *not sent* or *unknown*. In the seed dialect a call waits
until the one before it is answered, as long as the server has not been seen to echo ids.
"""

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from pipeline.core import jsonrpc, rounds
from pipeline.core.call_losses import unanswered
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
    patience,
    post_waiting,
    posted_to,
    with_call,
    without_route,
)
from pipeline.core.commands import Cut, Reconnect
from pipeline.core.content import read_content
from pipeline.core.events import (
    Json,
    PostAnswered,
    Problem,
    ProgressReported,
    ReplyReceived,
    Route,
    Tool,
    ToolProgress,
    ToolStarted,
)
from pipeline.core.jsonrpc import shorten
from pipeline.core.session import wire
from pipeline.core.session.state import is_accepted
from pipeline.core.structured import complaint

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
    wait = () if calls.open[id_].is_posted else (deadline(calls, call),)
    return calls, (started, in_any_case, *wait, *posts)


def on_session_ready(calls: Calls, route: Route) -> Move:
    """A server may be used (again): what waited for it goes out."""
    lost = {name: why for name, why in calls.lost.items() if name != route.server}
    calls = replace(calls, routes={**calls.routes, route.server: route}, lost=lost)
    return post_waiting(calls, route.server)


def on_tools(calls: Calls, server: str, tools: Sequence[Tool]) -> Move:
    """A server's tools as they are now: calls that were held for that go out with them."""
    named = {tool.name: tool for tool in tools}
    for call in calls_of(calls, server):
        if call.state == "held":
            tool = named.get(call.tool.name, call.tool)
            calls = with_call(calls, replace(call, state="waiting", tool=tool))
    return post_waiting(calls, server)


def on_posted(calls: Calls, posted: PostAnswered) -> Move:
    """The server took the message (its answer comes later), or did not."""
    call = call_of(calls, posted.id)
    if call is None or not call.is_posted or is_accepted(posted.status):
        return calls, ()
    route = calls.routes.get(call.tool.server)
    if route is not None and route.dialect == "http":
        return calls, ()  # there the answer itself comes with it, and the session reads it
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
        if (again := rounds.on_error(calls, call, reply.code, reply.data)) is not None:
            return again
        error = {"type": "text", "text": reply.error}
        return close(calls, call, ended(call, "answered", reply.error, (error,), is_error=True))
    if (again := rounds.on_result(calls, call, reply.result)) is not None:
        return again
    return _on_result(calls, call, rounds.task_result(call, reply.result))


def _on_result(calls: Calls, call: Call, result: Json) -> Move:
    content = read_content(result)
    if content is None:
        found = shorten(msgspec.json.encode(result.get("content")).decode(), 80)
        reason = f"malformed result: found {found!r} as `content`, expected a list of objects"
        return close(calls, call, ended(call, "answered", reason, is_error=True))
    is_error = result.get("isError") is True
    structured = result.get("structuredContent")
    problems: Outputs = ()
    if not is_error and (wrong := _broken_promise(call.tool, result)):
        # Nobody gets to rely on what does not keep its schema; the content is there all the same.
        structured = None
        detail = f"the structured content of {call.tool.name!r} is dropped: {wrong}"
        problems = (Problem(where=call.tool.server, detail=detail),)
    calls, outputs = close(
        calls, call, ended(call, "answered", "", content, is_error=is_error, structured=structured)
    )
    return calls, (*problems, *outputs)


def _broken_promise(tool: Tool, result: Json) -> str:
    if tool.output_schema is None:
        return ""
    if "structuredContent" not in result:
        return "there is none, though the tool has an output schema"
    return complaint(tool.output_schema, result["structuredContent"])


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
    if kind == "poll":
        return rounds.on_poll(calls, id_)
    seconds = f"{patience(calls, call):g} s"
    if kind:
        limit = f"{calls.plan.call_timeout_max:g} s (--call-timeout-max)"
        reason = f"no answer within {limit}, however much progress was told"
    else:
        reason = f"no answer and no progress for {seconds} (--call-timeout)"
    if call.state == "waiting":
        is_connected = call.tool.server in calls.routes
        held_up = "was still busy with earlier calls" if is_connected else "was not connected"
        reason = f"{call.tool.server!r} {held_up} after {seconds}"
    return abandon(calls, id_, reason)


def abandon(calls: Calls, id_: str, reason: str) -> Move:
    """End a call that nobody waits for any longer, and tell the server where it can be told."""
    call = calls.open[id_]
    if call.task is not None:
        posts = rounds.give_up_task(calls, call)
        calls, outputs = end(calls, call, "unknown", reason)
        return calls, (*outputs, *posts)
    if not call.is_posted:
        return end(calls, call, unanswered(call), reason)
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
    if route.dialect == "seed":
        return calls, outputs
    # Over HTTP, closing the answer is what cancels since 2026-07-28; before, it only tidies up.
    cut = (Cut(server=route.server, id=call.wire_id),) if route.dialect == "http" else ()
    if cut and wire.is_modern(route):
        return calls, (*outputs, *cut)
    params: Json = {"requestId": call.wire_id, "reason": reason}
    message = jsonrpc.notification("notifications/cancelled", params)
    return calls, (*outputs, wire.post(route, f"cancel:{id_}", message), *cut)


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

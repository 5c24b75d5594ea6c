"""Tool calls under way: each one started ends exactly once, whatever happens to its server.

Pure moves over a table, used by the agent stage. A call waits for its server, is posted, then
answered; or it ends without an answer as *not sent* or *unknown*. In the seed dialect a call waits
until the one before it is answered, as long as the server has not been seen to echo ids.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from pipeline.core import call_losses, rounds, tasks
from pipeline.core.call_results import refuse, succeed
from pipeline.core.call_settling import await_post, may_not_have_left
from pipeline.core.call_table import (
    PREFIX,
    Call,
    Calls,
    Move,
    Outputs,
    call_of,
    calls_of,
    deadline,
    end,
    ended,
    limit,
    patience,
    post_waiting,
    posted_to,
    unanswered,
    with_call,
    without_route,
)
from pipeline.core.cancelling import cancel
from pipeline.core.commands import Cut, Reconnect
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
from pipeline.core.session import refusals
from pipeline.core.session.state import is_accepted


def start(calls: Calls, id_: str, tool: Tool, arguments: Json) -> Move:
    """Begin a call: post it now, or as soon as its server takes it."""
    started = ToolStarted(call=id_, server=tool.server, tool=tool.name, arguments=arguments)
    call = Call(id_, tool, arguments)
    if len(calls.open) >= calls.plan.max_pending_calls:
        most = "that is the limit (--max-pending-calls)"
        reason = f"{len(calls.open)} calls are under way already, and {most}"
        return calls, (started, ended(call, "not_sent", reason))
    if tool.server in calls.lost:
        reason = f"the server {tool.server!r} is gone: {calls.lost[tool.server]}"
        return calls, (started, ended(call, "not_sent", reason))
    calls = replace(calls, open={**calls.open, id_: call})
    in_any_case = limit(calls, call)
    calls, posts = post_waiting(calls, tool.server)
    wait = () if calls.open[id_].is_posted else (deadline(calls, call),)
    return calls, (started, in_any_case, *wait, *posts)


def on_offers(calls: Calls, server: str, capabilities: Json) -> Calls:
    """What a server says that it can do, just before it is ready."""
    match capabilities:
        case {"tasks": {"requests": {"tools": {"call": _}}}}:
            return replace(calls, taskers=calls.taskers | {server})
        case _:
            return replace(calls, taskers=calls.taskers - {server})


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
    if call is not None and call.state == "settling":
        return _on_settled(calls, call, may_have_run=not refusals.is_not_run(posted))
    if call is None or not call.is_posted:
        return calls, ()
    if is_accepted(posted.status):
        return with_call(calls, replace(call, is_taken=True)), ()
    if call.dialect == "http" or refusals.is_told(calls.plan, posted):
        # There the answer itself comes with it. The session reads that, and what means the same
        # everywhere: that it was refused.
        return calls, ()
    reason = posted.reason
    if posted.status is not None:
        reason = f"the server answered HTTP {posted.status} {shorten(posted.body, 200)}".rstrip()
    is_not_run = refusals.is_not_run(posted)
    outcome = unanswered(replace(call, state="waiting")) if is_not_run else "unknown"
    return end(calls, call, outcome, reason)


def on_reply(calls: Calls, reply: ReplyReceived) -> Move:
    """The answer to a call; one that nobody waits for is told once, as a problem."""
    call = _awaited(calls, reply)
    if call is None:
        return calls, (Problem(where=reply.server, detail=_unasked(calls, reply)),)
    if reply.id is not None:
        calls = replace(calls, side_by_side=calls.side_by_side | {reply.server})
    if call.task is not None:
        return tasks.on_reply(calls, call, call.task, reply)
    if reply.result is None:
        again = rounds.on_error(calls, call, reply.code, reply.data)
        return refuse(calls, call, reply.error) if again is None else again
    again = rounds.on_result(calls, call, reply.result)
    return succeed(calls, call, reply.result) if again is None else again


def on_progress(calls: Calls, report: ProgressReported) -> Move:
    """Progress proves that somebody works on the call: its deadline starts over."""
    call = _told_by(calls, report)
    if call is None:
        return calls, ()
    progress = ToolProgress(
        call=call.id, progress=report.progress, total=report.total, message=report.message
    )
    return calls, (progress, deadline(calls, call)) if call.is_posted else (progress,)


def on_timer(calls: Calls, timer: str) -> Move:
    """A call's time is up."""
    id_, _, kind = timer.removeprefix(PREFIX).partition(":")
    call = calls.open.get(id_)
    if call is None:
        return calls, ()
    if kind == "poll":
        return tasks.on_poll(calls, id_)
    if kind == "again":
        return call_losses.on_pause_over(calls, id_)
    if call.state == "settling":
        return (calls, ()) if kind else _on_patience_over(calls, call)
    if not kind and call.state in ("asking", "polling"):
        return calls, ()  # it fired while its end was on the way
    if not kind and call.next == "tasks/result" and call.is_posted:
        return calls, (deadline(calls, call),)  # it is not answered before the task is done
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


def abandon(calls: Calls, id_: str, reason: str, *, at_once: bool = False) -> Move:
    """End a call that nobody waits for any longer, and tell the server where it can be told.

    One whose message may not have left is closed, and ends a moment later, when that is known;
    `at_once`: it ends now in any case.
    """
    call = calls.open[id_]
    if not at_once and may_not_have_left(calls.plan, call):
        if call.is_given_up:
            return calls, ()
        if unanswered(replace(call, state="waiting")) == "not_sent":
            return await_post(calls, replace(call, is_given_up=True), reason)
    return _give_up(calls, call, reason)


def _give_up(calls: Calls, call: Call, reason: str) -> Move:
    route = calls.routes.get(call.tool.server)
    told = () if route is None else _cancel(calls, call, route, reason)
    if any(isinstance(each, Reconnect) for each in told):
        # The next call waits for the new stream, where this one's late answer cannot come.
        calls = without_route(calls, call.tool.server)
    calls, outputs = end(calls, call, unanswered(call), reason)
    return calls, (*outputs, *told)


def _on_settled(calls: Calls, call: Call, *, may_have_run: bool) -> Move:
    """It is known what became of the message of a call that is over, or was lost."""
    if not call.is_given_up:
        return call_losses.on_settled(calls, call, may_have_run=may_have_run)
    known = replace(call, state="posted" if may_have_run else "waiting")
    return _give_up(with_call(calls, known), known, call.why)


def _on_patience_over(calls: Calls, call: Call) -> Move:
    """Its POST says nothing: it is closed, and if it then still does not, it may have left."""
    if call.is_cut:
        return _on_settled(calls, call, may_have_run=True)
    return await_post(calls, replace(call, is_cut=True), call.why)


def _cancel(calls: Calls, call: Call, route: Route, reason: str) -> Outputs:
    """What a server gets to know of a call that is given up."""
    if route.dialect == "seed":
        why = "a late answer without an id could be taken for the next call's"
        is_mute = call.is_posted and route.server not in calls.side_by_side
        return (Reconnect(server=route.server, reason=why),) if is_mute else ()
    if call.task is not None:
        # A task is cancelled by a request of its own; what is open is only closed.
        is_open = route.dialect == "http" and call.is_posted
        cut = (Cut(server=route.server, id=call.wire_id),) if is_open else ()
        return (*tasks.tell_dropped(calls, call), *cut)
    return cancel(route, f"cancel:{call.id}", call.wire_id, reason) if call.is_posted else ()


def _awaited(calls: Calls, reply: ReplyReceived) -> Call | None:
    if reply.id is None:
        # It is never guessed which of several calls was answered.
        posted = posted_to(calls, reply.server)
        return posted[0] if len(posted) == 1 else None
    call = call_of(calls, reply.id)
    is_ours = call is not None and call.tool.server == reply.server and call.is_posted
    return call if is_ours else None


def _told_by(calls: Calls, report: ProgressReported) -> Call | None:
    """The call that a progress is of: its message is on the way, or its task goes on."""
    call = calls.open.get(report.id.removeprefix(PREFIX).partition("~")[0])
    if call is None or call.tool.server != report.server:
        return None
    is_latest = call.is_posted and call.wire_id == report.id
    is_of_task = call.task is not None and call.task.token == report.id
    return call if is_latest or is_of_task else None


def _unasked(calls: Calls, reply: ReplyReceived) -> str:
    what = f"error {reply.error!r}" if reply.error else "an answer"
    if reply.id is not None:
        return f"{what} for unknown id {reply.id!r}"
    count = len(posted_to(calls, reply.server))
    if count:
        return f"{what} without an id, which could be for any of {count} calls"
    return f"{what} without a call in flight"

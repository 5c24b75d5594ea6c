"""What becomes of calls whose connection is lost: sent again, told as not sent, or as unknown.

Pure moves over the table of calls.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from pipeline.core import rounds
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
    limit,
    post_waiting,
    with_call,
    without_route,
)
from pipeline.core.commands import StartTimer
from pipeline.core.events import CallOutcome, RequestLost, StreamLost, ToolRepeated
from pipeline.core.plan import Plan


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
            calls, more = end(calls, call, unanswered(call), gone)
        else:
            continue
        outputs = (*outputs, *more)
    return calls, outputs


def on_request_lost(calls: Calls, lost: RequestLost) -> Move:
    """No answer will come to one message. What the server cannot have seen may go out again.

    It waits for a session: that one, or the next.
    """
    call = call_of(calls, lost.id)
    if call is None or call.tool.server != lost.server or not call.is_posted:
        return calls, ()
    if not lost.is_sent:
        if call.sends >= calls.plan.max_call_sends:
            return end(calls, call, "not_sent", lost.reason)
        waiting = replace(call, state="waiting")
        return without_route(with_call(calls, waiting), lost.server), (deadline(calls, waiting),)
    if call.task is not None:
        # The task goes on without us: it is only asked for again.
        return rounds.on_poll(with_call(calls, replace(call, state="polling")), call.id)
    calls, outputs = _after_loss(calls, call, lost.reason, is_final=False)
    calls, posts = post_waiting(calls, lost.server)
    return calls, (*outputs, *posts)


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
            calls, more = end(calls, call, unanswered(call), gone)
        else:
            more = (deadline(calls, call),)
            if call.task is not None and call.state == "polling":
                poll = StartTimer(id=f"{PREFIX}{call.id}:poll", seconds=call.task.poll)
                more = (*more, poll)
            elif call.state == "held":
                calls = with_call(calls, replace(call, state="waiting"))
        if call.id in calls.open:
            more = (*more, limit(calls, call))
        outputs = (*outputs, *more)
    return calls, outputs


def _after_loss(calls: Calls, call: Call, reason: str, *, is_final: bool) -> Move:
    """Sent, then lost: again if that does no harm, else its outcome is unknown."""
    if is_final or not _may_repeat(calls.plan, call):
        return end(calls, call, "unknown", reason)
    waiting = replace(call, state="waiting")
    calls = with_call(calls, waiting)
    tool = call.tool
    repeated = ToolRepeated(call=call.id, server=tool.server, tool=tool.name, reason=reason)
    return calls, (repeated, deadline(calls, waiting))


def _may_repeat(plan: Plan, call: Call) -> bool:
    hints = call.tool.annotations
    is_safe = hints.get("readOnlyHint") is True or hints.get("idempotentHint") is True
    is_wished = plan.repeat_calls == "always" or (plan.repeat_calls == "safe" and is_safe)
    return is_wished and call.sends < plan.max_call_sends


def unanswered(call: Call) -> CallOutcome:
    """How a call ends that is given up: one that was never sent may be made again."""
    return "not_sent" if call.sends == 0 else "unknown"

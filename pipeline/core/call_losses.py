"""What becomes of calls that are lost or refused: sent again, told as not sent, or as unknown.

Pure moves over the table of calls.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from pipeline.core import tasks
from pipeline.core.call_settling import await_post, may_not_have_left
from pipeline.core.call_table import (
    Call,
    Calls,
    Move,
    Outputs,
    Task,
    again_timer,
    call_of,
    calls_of,
    deadline,
    end,
    go_on,
    limit,
    patience,
    poll_timer,
    post_waiting,
    unanswered,
    with_call,
    without_route,
)
from pipeline.core.commands import StartTimer
from pipeline.core.events import RequestLost, StreamLost, ToolDelayed, ToolRepeated
from pipeline.core.plan import Plan

_FIRST_PAUSE = 0.25  # seconds that a busy server is left alone, if it asks for nothing itself
_LEAST_PAUSE = 0.05


def on_stream_lost(calls: Calls, lost: StreamLost) -> Move:
    """What was posted to this server has no known outcome; what was not may wait, if it returns."""
    is_final = lost.retry_in is None
    calls = replace(
        without_route(calls, lost.server),
        lost={**calls.lost, lost.server: lost.reason} if is_final else calls.lost,
        side_by_side=calls.side_by_side - {lost.server},
        taskers=calls.taskers - {lost.server},
    )
    outputs: Outputs = ()
    for call in calls_of(calls, lost.server):
        reason = f"the connection to {lost.server!r} was lost before the answer: {lost.reason}"
        if call.state == "settling":
            continue
        if may_not_have_left(calls.plan, call):
            calls, more = await_post(calls, call, reason)
        elif call.is_posted:
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
    if lost.is_refused:
        return _postpone(calls, call, lost)
    if not lost.is_sent:
        waiting = replace(call, state="waiting")
        if call.sends >= calls.plan.max_call_sends:
            return end(calls, waiting, unanswered(waiting), lost.reason)
        return without_route(with_call(calls, waiting), lost.server), (deadline(calls, waiting),)
    calls, outputs = _after_loss(calls, call, lost.reason, is_final=False)
    calls, posts = post_waiting(calls, lost.server)
    return calls, (*outputs, *posts)


def on_settled(calls: Calls, call: Call, *, may_have_run: bool) -> Move:
    """What became of the message of a call is known, and its connection is lost."""
    is_final = call.tool.server in calls.lost
    if may_have_run:
        calls, outputs = _after_loss(calls, call, call.why, is_final=is_final)
    else:
        waiting = replace(call, state="waiting")
        if is_final or call.sends >= calls.plan.max_call_sends:
            return end(calls, waiting, unanswered(waiting), call.why)
        calls, outputs = with_call(calls, waiting), (deadline(calls, waiting),)
    calls, posts = post_waiting(calls, call.tool.server)
    return calls, (*outputs, *posts)


def on_pause_over(calls: Calls, id_: str) -> Move:
    """A server that refused a call for now is asked again, or waited for."""
    call = calls.open.get(id_)
    if call is None or call.state != "refused":
        return calls, ()
    return go_on(calls, call, call.next)


def on_resumed(calls: Calls, servers: Sequence[str]) -> Move:
    """All connections and timers of before are gone; `servers` are those that come back."""
    lost = {name: why for name, why in calls.lost.items() if name not in servers}
    nobody: frozenset[str] = frozenset()
    calls = replace(calls, routes={}, lost=lost, side_by_side=nobody, taskers=nobody)
    outputs: Outputs = ()
    for call in tuple(calls.open.values()):
        name = call.tool.server
        is_final = name not in servers
        if call.is_given_up:
            calls, more = end(calls, call, unanswered(call), call.why)
        elif call.is_posted or call.state == "settling":
            reason = "the run was cut off before the answer came"
            calls, more = _after_loss(calls, call, reason, is_final=is_final)
        elif is_final:
            gone = f"{name!r} is not part of the resumed run"
            calls, more = end(calls, call, unanswered(call), gone)
        else:
            calls, more = _wait_again(calls, call)
        if call.id in calls.open:
            more = (*more, limit(calls, call))
        outputs = (*outputs, *more)
    return calls, outputs


def _postpone(calls: Calls, call: Call, lost: RequestLost) -> Move:
    """The server did not take the call, for now: it goes out again after a pause, a few times."""
    if call.task is not None:
        return tasks.poll_later(calls, call, call.task)
    pause = _FIRST_PAUSE * 2.0**call.refusals if lost.retry_in is None else lost.retry_in
    pause, most, reason = max(_LEAST_PAUSE, pause), patience(calls, call), lost.reason
    is_spent = call.refusals >= calls.plan.max_refusals
    if is_spent or pause >= most:
        if is_spent:
            reason = f"{reason}; it was asked {call.refusals + 1} times"
        else:
            reason = f"{reason}; it asks for {pause:g} s, and a call has {most:g} s"
        waiting = replace(call, state="waiting")
        return end(calls, waiting, unanswered(waiting), reason)
    refused = replace(call, state="refused", refusals=call.refusals + 1)
    told = ToolDelayed(
        call=call.id, server=lost.server, tool=call.tool.name, reason=reason, retry_in=pause
    )
    timers = deadline(calls, refused), StartTimer(id=again_timer(call), seconds=pause)
    calls, posts = post_waiting(with_call(calls, refused), lost.server)
    return calls, (told, *timers, *posts)


def _wait_again(calls: Calls, call: Call) -> Move:
    """A call that waited for something has that wait again, under a timer of this process."""
    match call.state, call.task:
        case "polling", Task() as task:
            return calls, (StartTimer(id=poll_timer(call), seconds=task.poll),)
        case "asking", _:
            return calls, ()  # the time is that of the questions
        case _:
            # What was held for a new list of tools gets one with the new session.
            waiting = replace(call, state="waiting")
            return with_call(calls, waiting), (deadline(calls, waiting),)


def _after_loss(calls: Calls, call: Call, reason: str, *, is_final: bool) -> Move:
    """Sent, then lost: again if that does no harm, else its outcome is unknown."""
    if call.task is not None and not is_final:
        return tasks.poll_later(calls, call, call.task)  # it goes on without us
    if is_final or not _may_repeat(calls.plan, call):
        return end(calls, call, "unknown", reason)
    waiting = replace(call, state="waiting", may_have_run=True)
    calls = with_call(calls, waiting)
    tool = call.tool
    repeated = ToolRepeated(call=call.id, server=tool.server, tool=tool.name, reason=reason)
    return calls, (repeated, deadline(calls, waiting))


def _may_repeat(plan: Plan, call: Call) -> bool:
    hints = call.tool.annotations
    is_safe = hints.get("readOnlyHint") is True or hints.get("idempotentHint") is True
    is_wished = plan.repeat_calls == "always" or (plan.repeat_calls == "safe" and is_safe)
    return is_wished and call.sends < plan.max_call_sends

"""Calls that are over, or lost, before it is known whether their message had left.

A call that never left the process was not sent, and may be made again; of one that did, nobody can
tell. The POST knows which it is, so that is heard first.
"""

from msgspec.structs import replace

from pipeline.core.call_table import PREFIX, Call, Calls, Move, with_call
from pipeline.core.commands import Cut, StartTimer
from pipeline.core.plan import Plan

_PATIENCE = 1.0  # seconds for a POST to say what became of it


def may_not_have_left(plan: Plan, call: Call) -> bool:
    """Is it still to be heard whether its message reached anybody?"""
    is_open = (call.is_posted and not call.is_taken) or call.state == "settling"
    return plan.await_posts and is_open and call.task is None


def await_post(calls: Calls, call: Call, why: str) -> Move:
    """Wait for what its POST says before a call is judged: sent or not, that is the question.

    Not for long: what is given up is closed at once, so that it says how far it came; where the
    connection is lost, a refusal may still be on its way.
    """
    call = replace(call, state="settling", why=why, is_cut=call.is_given_up or call.is_cut)
    timer = StartTimer(id=PREFIX + call.id, seconds=_PATIENCE)
    cut = (Cut(server=call.tool.server, id=call.wire_id),) if call.is_cut else ()
    return with_call(calls, call), (*cut, timer)

"""What breaks into the agent's work: a person's Ctrl-C, a lost connection, another process."""

from msgspec.structs import replace

from pipeline.core import approvals, call_losses
from pipeline.core import calls as tool_calls
from pipeline.core import pins as pinning
from pipeline.core import questions as asking
from pipeline.core import requests as requesting
from pipeline.core.agent.state import AgentState, Outputs, Step
from pipeline.core.agent.turns import (
    after_calls,
    after_questions,
    after_requests,
    collect,
    drop_questions,
    finish,
    go_on_when_complete,
    think,
)
from pipeline.core.commands import CallModel, CancelModel, Passing, ReadPrompt
from pipeline.core.events import Problem, RunResumed, StreamLost
from pipeline.core.plan import Plan

_BY_USER = "cancelled by the user"


def on_stream_lost(state: AgentState, lost: StreamLost) -> Step:
    """A connection is gone: what went over it goes over the next one, or is answered here."""
    reason = f"the connection was lost: {lost.reason}"
    state, outputs = after_questions(state, asking.on_lost(state.questions, lost.server, reason))
    if lost.retry_in is None:
        move = approvals.withdraw(state.questions, lost.server, reason)
        state, more = after_questions(state, move)
        outputs = (*outputs, *more)
    state, more = after_calls(state, call_losses.on_stream_lost(state.calls, lost))
    state, most = after_requests(state, requesting.on_stream_lost(state.requests, lost))
    return state, (*outputs, *more, *most)


def on_resumed(state: AgentState, resumed: RunResumed) -> Step:
    """What was under way goes on: the model is asked again, calls are settled or sent again."""
    state = _under(state, resumed.plan_after(state.plan))
    names = [server.name for server in resumed.servers]
    tools = {name: known for name, known in state.tools.items() if name in names}
    # The recording may lack a request that was never carried out: the next one stands in it whole.
    whole = replace(state.talk, sent=0)
    pins = pinning.on_resumed(state.pins, resumed.servers, tools)
    calls = replace(state.calls, held=pinning.held_names(pins))
    state = replace(state, talk=whole, tools=tools, told_tools=None, pins=pins, calls=calls)
    state, outputs = after_questions(state, asking.on_resumed(state.questions))
    state, more = after_calls(state, call_losses.on_resumed(state.calls, names))
    state, most = after_requests(state, requesting.on_resumed(state.requests, names))
    outputs = (*outputs, *more, *most)
    is_asked = ReadPrompt() in outputs or state.model_call in _model_calls(outputs)
    match state.phase:
        case "idle" if not is_asked:
            return replace(state, phase="starting"), outputs
        case "thinking" if not is_asked:
            # The same turn again: it does not count twice.
            return think(replace(state, turn=state.turn - 1), *outputs)
        case _:
            return state, outputs


def _under(state: AgentState, plan: Plan) -> AgentState:
    """The same under another plan, which each of its tables has."""
    return replace(
        state,
        plan=plan,
        calls=replace(state.calls, plan=plan),
        questions=replace(state.questions, plan=plan),
        requests=replace(state.requests, plan=plan),
        pins=replace(state.pins, plan=plan),
    )


def on_cancelled(state: AgentState, *, at_once: bool = False) -> Step:
    """The person does not want what is under way, nor what waits for its turn.

    A call ends when it is known whether its message had left; `at_once`: now, whatever is known.
    """
    outputs: Outputs = ()
    queue, state = state.queue, replace(state, queue=())
    if queue:
        outputs = (Problem(where="prompt", detail=f"{len(queue)} waiting prompt(s) dropped"),)
    state, more = after_questions(state, asking.cancel_all(state.questions, _BY_USER))
    outputs = (*outputs, *more)
    match state.phase:
        case "requesting":
            state, more = after_requests(state, requesting.cancel_all(state.requests, _BY_USER))
            return state, (*outputs, *more)
        case "thinking":
            return finish(state, "cancelled", *outputs, CancelModel(call=state.model_call))
        case "acting":
            return _stop_acting(state, *outputs, at_once=at_once)
        case _:
            return state, outputs


def _stop_acting(state: AgentState, *outputs: Passing, at_once: bool) -> Step:
    calls, given_up = state.calls, [id_ for id_, _ in state.uses if id_ in state.calls.open]
    for id_ in given_up:
        calls, more = tool_calls.abandon(calls, id_, _BY_USER, at_once=at_once)
        outputs = (*outputs, *more)
    state = collect(replace(state, calls=calls, is_stopped=True), outputs)
    state, more = drop_questions(state, given_up)
    return go_on_when_complete(state, *outputs, *more)


def _model_calls(outputs: Outputs) -> list[str]:
    return [each.call for each in outputs if isinstance(each, CallModel)]

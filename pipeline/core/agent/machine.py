"""The agent loop: prompts in, model turns and tool calls out, one answer each.

(state, item) -> (state, items). What is not its business passes through untouched.

    starting --ServersSettled--> idle --prompt--> thinking --end_turn--> idle
                                                  thinking --tool_use--> acting
                                                  acting --last ToolEnded--> thinking
    thinking, acting --PromptCancelled | limit | ModelFailed--> idle

Only a finished message is acted on: its calls go out together, and their results go back in one
user message, in the order of the calls, whatever order they came in.
"""

from msgspec.structs import replace

from pipeline.core import approvals, call_losses
from pipeline.core import calls as tool_calls
from pipeline.core import conversation as talk
from pipeline.core import questions as asking
from pipeline.core import requests as requesting
from pipeline.core.agent.breaks import on_cancelled, on_resumed, on_stream_lost
from pipeline.core.agent.listed import on_session_ready, on_tools
from pipeline.core.agent.state import AgentState, Outputs, Step, Wish
from pipeline.core.agent.turns import (
    act,
    after_calls,
    after_questions,
    after_requests,
    ask,
    end_line,
    finish,
    may_spend,
    next_wish,
    think,
)
from pipeline.core.call_table import Call, is_held
from pipeline.core.commands import Passing
from pipeline.core.events import (
    AnswerDelta,
    CallSubmitted,
    FrameReceived,
    ModelFailed,
    ModelFinished,
    ModelSpoke,
    ModelThought,
    OffersChanged,
    PostAnswered,
    Problem,
    ProgressReported,
    PromptCancelled,
    PromptRejected,
    PromptSubmitted,
    QuestionAnswered,
    ReplyReceived,
    RequestLost,
    RequestSubmitted,
    ResourceUpdated,
    RunResumed,
    ServerAsked,
    ServerCancelled,
    ServersSettled,
    SessionOffers,
    SessionReady,
    SignInEnded,
    SignInStarted,
    SinkFailed,
    Stop,
    StreamLost,
    TimerFired,
    ToolsChanged,
)
from pipeline.core.question_table import Origin

_STOPS: dict[str, Stop] = {
    "max_tokens": "max_tokens",
    "refusal": "refusal",
    "model_context_window_exceeded": "context_full",
}


_POISONED = (400, 413)
_CONSUMED = (
    ReplyReceived,
    ProgressReported,
    RequestLost,
    ServerAsked,
    ServerCancelled,
    SessionOffers,
)


def step(state: AgentState, item: Passing) -> Step:
    """Advance by one item; what is only for the agent is consumed, all else passes through."""
    state, outputs = _step(state, item)
    if isinstance(item, _CONSUMED):
        return state, outputs
    return state, (item, *outputs)


def _step(state: AgentState, item: Passing) -> Step:
    match item:
        # What comes most stands first: a frame is the session's alone.
        case FrameReceived():
            return state, ()
        case ProgressReported():
            return after_calls(state, tool_calls.on_progress(state.calls, item))
        case PromptSubmitted() | CallSubmitted() | RequestSubmitted():
            return _on_wish(state, item)
        case PromptRejected(reason=reason):
            return next_wish(state, Problem(where="prompt", detail=reason))
        case ServersSettled():
            is_waiting = state.phase == "starting"
            return next_wish(replace(state, phase="idle")) if is_waiting else (state, ())
        case RunResumed():
            return on_resumed(state, item)
        case ToolsChanged():
            return on_tools(state, item)
        case ModelFinished() | ModelFailed() if item.call.startswith(asking.SAMPLE):
            return _on_sampled(state, item)
        case QuestionAnswered():
            can_pay = may_spend(state)
            move = asking.on_answered(state.questions, item, may_spend=can_pay)
            return after_questions(state, move)
        case ServerAsked(server=server, id=id_, method=method, params=params, route=route):
            return ask(state, Origin(server=server, route=route, rpc_id=id_), method, params)
        case ServerCancelled(server=server, id=id_):
            return after_questions(state, asking.on_cancelled(state.questions, server, id_))
        case SignInStarted(server=server):
            return replace(state, signing_in=state.signing_in | {server}), ()
        case SignInEnded(server=server):
            return replace(state, signing_in=state.signing_in - {server}), ()
        case SessionOffers(server=server, capabilities=offered):
            calls = tool_calls.on_offers(state.calls, server, offered)
            requests = requesting.on_offers(state.requests, server, offered)
            return replace(state, calls=calls, requests=requests), ()
        case RequestLost(id=id_) if requesting.is_ours(id_):
            return after_requests(state, requesting.on_lost(state.requests, item))
        case RequestLost():
            return after_calls(state, call_losses.on_request_lost(state.calls, item))
        case OffersChanged(server=server) | ResourceUpdated(server=server):
            return replace(state, requests=requesting.forget(state.requests, server)), ()
        case ModelSpoke() | ModelThought() | ModelFinished() | ModelFailed():
            is_late = state.phase != "thinking" or item.call != state.model_call
            return (state, ()) if is_late else _on_model(state, item)
        case PromptCancelled():
            return on_cancelled(state)
        case SinkFailed(sink=sink, reason=reason, ends_run=ends_run):
            state, outputs = on_cancelled(state, at_once=True) if ends_run else (state, ())
            return state, (Problem(where=f"sink {sink}", detail=reason), *outputs)
        case SessionReady():
            return on_session_ready(state, item)
        case StreamLost():
            return on_stream_lost(state, item)
        case PostAnswered(id=id_) if requesting.is_ours(id_):
            return after_requests(state, requesting.on_posted(state.requests, item))
        case PostAnswered():
            return after_calls(state, tool_calls.on_posted(state.calls, item))
        case ReplyReceived(id=id_) if requesting.is_ours(id_):
            return after_requests(state, requesting.on_reply(state.requests, item))
        case ReplyReceived():
            return after_calls(state, tool_calls.on_reply(state.calls, item))
        case TimerFired(id=id_) if id_.startswith(tool_calls.PREFIX):
            return _on_call_timer(state, id_)
        case TimerFired(id=id_) if requesting.is_ours(id_):
            return _on_request_timer(state, id_)
        case TimerFired(id=id_) if id_.startswith(requesting.CACHE):
            return after_requests(state, requesting.on_timer(state.requests, id_))
        case TimerFired(id=id_) if id_.startswith(asking.PREFIX):
            can_pay = may_spend(state)
            move = asking.on_timer(state.questions, id_, may_spend=can_pay)
            return after_questions(state, move)
        case _:
            return state, ()


def _on_call_timer(state: AgentState, timer: str) -> Step:
    call = state.calls.open.get(timer.removeprefix(tool_calls.PREFIX))
    if call is not None and _waits_for_us(state, call):
        # Its silence is our own doing.
        return state, (tool_calls.deadline(state.calls, call),)
    return after_calls(state, tool_calls.on_timer(state.calls, timer))


def _on_request_timer(state: AgentState, timer: str) -> Step:
    request = state.requests.open.get(timer.removeprefix(requesting.PREFIX))
    if request is not None and asking.is_waited_for(state.questions, request.server):
        return state, (requesting.deadline(state.requests, request),)
    return after_requests(state, requesting.on_timer(state.requests, timer))


def _waits_for_us(state: AgentState, call: Call) -> bool:
    server = call.tool.server
    if is_held(state.calls, call) and approvals.asked_of(state.questions, server) is not None:
        return True
    return server in state.signing_in or asking.is_waited_for(state.questions, server)


def _on_sampled(state: AgentState, item: ModelFinished | ModelFailed) -> Step:
    usage: Outputs = ()
    if isinstance(item, ModelFinished):
        state, usage = _spend(state, item)
    state, outputs = after_questions(state, asking.on_model(state.questions, item))
    return state, (*usage, *outputs)


def _spend(state: AgentState, turn: ModelFinished) -> Step:
    spending, usage = state.spending.plus(turn.model, turn.tokens, state.plan.price)
    return replace(state, spending=spending), () if usage is None else (usage,)


def _on_wish(state: AgentState, wish: Wish) -> Step:
    if isinstance(wish, PromptSubmitted) and not wish.text.strip():
        detail = "found an empty prompt, expected a question or `tool key=value …`"
        return next_wish(state, Problem(where="prompt", detail=detail))
    if len(state.queue) >= state.plan.max_queued_prompts:
        detail = f"{len(state.queue)} prompts are waiting already, and that is the limit"
        return state, (
            Problem(
                where="prompt",
                detail=detail,
                hint="send it again later, or raise --max-queued-prompts",
            ),
        )
    state = replace(state, queue=(*state.queue, wish))
    return next_wish(state) if state.phase == "idle" else (state, ())


def _on_model(
    state: AgentState, item: ModelSpoke | ModelThought | ModelFinished | ModelFailed
) -> Step:
    match item:
        case ModelSpoke(text=text):
            return replace(state, spoken=state.spoken + text), (AnswerDelta(text=text),)
        case ModelThought():
            return state, ()
        case ModelFinished():
            return _on_finished(state, item)
        case ModelFailed(reason=reason, may_retry=may_retry):
            again = may_retry and state.attempt + 1 < state.plan.model_attempts
            hint = "asking it again" if again else ""
            problem = Problem(where="model", detail=reason, hint=hint)
            if not again:
                if item.status in _POISONED:
                    # What was refused would be refused again with every later prompt.
                    state = replace(state, talk=state.before)
                return finish(state, "model_failed", problem)
            state, outputs = end_line(replace(state, attempt=state.attempt + 1))
            # The same turn again: it does not count twice.
            return think(replace(state, turn=state.turn - 1), *outputs, problem)


def _on_finished(state: AgentState, turn: ModelFinished) -> Step:
    state, outputs = _spend(replace(state, attempt=0), turn)
    uses = [block for block in turn.content if block.get("type") == "tool_use"]
    match turn.stop_reason:
        case "tool_use" if uses:
            state = replace(state, talk=state.talk.with_assistant(turn.content))
            state, more = end_line(state)
            return act(state, uses, *outputs, *more)
        case "pause_turn":
            said = state.talk.with_assistant(talk.without_tools(turn.content))
            state = replace(state, talk=said)
            state, more = end_line(state)
            return think(state, *outputs, *more)
        case "refusal":
            # What was refused would be refused again: the conversation goes on without it.
            return finish(replace(state, talk=state.before), "refusal", *outputs)
        case reason:
            # Calls of a message that did not end with `tool_use` may be cut off: never run them.
            said = state.talk.with_assistant(talk.without_tools(turn.content))
            state = replace(state, talk=said, spoken=talk.spoken(turn.content))
            return finish(state, _STOPS.get(reason, "end_turn"), *outputs)

"""One prompt's way to its answer: think, act, think again, finish, and on to the next prompt."""

from collections.abc import Sequence

from msgspec.structs import replace

from pipeline.core import approvals, held_calls, rounds
from pipeline.core import calls as tool_calls
from pipeline.core import conversation as talk
from pipeline.core import questions as asking
from pipeline.core import requests as requesting
from pipeline.core.agent.state import AgentState, Outputs, Step
from pipeline.core.arguments import ArgumentsError, parse_arguments
from pipeline.core.commands import CallModel, Passing, ReadPrompt
from pipeline.core.content import tool_result
from pipeline.core.events import (
    AnswerCompleted,
    AnswerDelta,
    CallRejected,
    CallSubmitted,
    Json,
    Problem,
    RequestEnded,
    RequestSubmitted,
    Stop,
    Tool,
    ToolEnded,
)
from pipeline.core.inputs import Want
from pipeline.core.pins import held_names
from pipeline.core.question_table import Origin
from pipeline.core.shapes import is_object
from pipeline.core.tools import find, is_allowed


def next_wish(state: AgentState, *outputs: Passing) -> Step:
    """Take the next wish if nothing is under way; ask for one if there is none."""
    if state.phase != "idle":
        return state, outputs
    if not state.queue:
        return state, (*outputs, ReadPrompt())
    wish, *rest = state.queue
    state = replace(state, queue=tuple(rest))
    if isinstance(wish, CallSubmitted):
        return _call(state, wish, *outputs)
    if isinstance(wish, RequestSubmitted):
        return _request(state, wish, *outputs)
    if wish.repaired:
        detail = "the prompt was not valid UTF-8; U+FFFD stands for what could not be read"
        outputs = (*outputs, Problem(where="prompt", detail=detail))
    said = state.talk.with_user(talk.text(wish.text))
    state = replace(state, talk=said, before=state.talk, turn=0, attempt=0, spoken="")
    return think(state, *outputs)


def _call(state: AgentState, wish: CallSubmitted, *outputs: Passing) -> Step:
    """A person's own call: no model, one tool."""
    known = tuple(tool for tools in state.tools.values() for tool in tools)
    matches = find(known, wish.tool)
    if len(matches) != 1:
        return next_wish(state, *outputs, _no_such_tool(wish.tool, matches, known))
    (tool,) = matches
    try:
        arguments = parse_arguments(wish.arguments, tool.input_schema)
    except ArgumentsError as exc:
        return next_wish(state, *outputs, CallRejected(tool=wish.tool, reason=str(exc)))
    id_ = f"c{state.numbers + 1}"
    state = replace(state, numbers=state.numbers + 1, phase="acting", uses=((id_, None),))
    state, more = after_calls(state, tool_calls.start(state.calls, id_, tool, arguments))
    state, most = settle(state, *held_calls.servers_of_held(state.calls))
    return state, (*outputs, *more, *most)


def _no_such_tool(name: str, matches: Sequence[Tool], known: Sequence[Tool]) -> CallRejected:
    names = ", ".join(sorted({tool.name for tool in known})[:20]) or "none"
    reason = f"no tool is named {name!r}"
    if matches:
        several = ", ".join(f"{tool.server}__{tool.name}" for tool in matches)
        reason = f"{name!r} could be any of {several}"
    return CallRejected(tool=name, reason=reason, hint=f"the tools are: {names}")


def think(state: AgentState, *outputs: Passing) -> Step:
    """Ask the model for the next turn, unless a limit of the run is reached."""
    plan = state.plan
    if state.turn >= plan.max_turns:
        return finish(state, "max_turns", *outputs)
    if not may_spend(state):
        return finish(state, "max_budget", *outputs)
    offered = _offered(state)
    state = replace(
        state,
        phase="thinking",
        turn=state.turn + 1,
        models=state.models + 1,
        uses=(),
        results={},
        spoken="",
    )
    command = CallModel(
        call=state.model_call,
        messages=state.talk.messages,
        tools=offered,
        since=state.talk.sent,
        tools_changed=offered != state.told_tools,
    )
    state = replace(state, told_tools=offered, talk=state.talk.as_sent())
    return state, (*outputs, command)


def end_line(state: AgentState) -> Step:
    """Text of one turn and text of the next do not share a line."""
    is_open = state.spoken != "" and not state.spoken.endswith("\n")
    return state, (AnswerDelta(text="\n"),) if is_open else ()


def finish(state: AgentState, stop: Stop, *outputs: Passing) -> Step:
    """The prompt is answered; take the next one."""
    done = AnswerCompleted(text=state.spoken, turns=state.turn, stop=stop)
    state = replace(state, phase="idle", uses=(), results={}, is_stopped=False, spoken="")
    return next_wish(state, *outputs, done)


def act(state: AgentState, uses: list[Json], *outputs: Passing) -> Step:
    """Start all calls of a finished message together."""
    # A model may have a tool in mind that is held by now: such a call waits, or ends in words.
    known = {tool.alias: tool for tool in _allowed(state)}
    calls = state.calls
    pairs: list[tuple[str, str | None]] = []
    results: dict[str, Json] = {}
    number = state.numbers
    for use in uses:
        number += 1
        id_, use_id, name = f"c{number}", str(use.get("id", "")), str(use.get("name", ""))
        pairs.append((id_, use_id))
        tool = known.get(name)
        if tool is None:
            reason = f"no tool is named {name!r}; these are: {', '.join(sorted(known)[:50])}"
            results[id_] = _failed(use_id, reason)
            outputs = (*outputs, Problem(where="model", detail=f"it asked for {name!r}: {reason}"))
            continue
        arguments: Json = use["input"] if is_object(use.get("input")) else {}
        calls, more = tool_calls.start(calls, id_, tool, arguments)
        outputs = (*outputs, *more)
    state = replace(
        state, calls=calls, numbers=number, phase="acting", uses=tuple(pairs), results=results
    )
    state, more = settle(collect(state, outputs), *held_calls.servers_of_held(calls))
    return go_on_when_complete(state, *outputs, *more)


def settle(state: AgentState, *servers: str) -> Step:
    """Calls of held tools wait while a person is asked about them; else they end.

    Asked is now, at these `servers`, where nobody is yet.
    """
    if not state.pins.kept:
        return state, ()
    questions, asked = approvals.ask(state.questions, state.pins, servers)
    state = replace(state, questions=questions)
    about = approvals.asked_about(questions)
    state, more = after_calls(state, held_calls.settle(state.calls, about))
    return state, (*asked, *more)


def after_calls(state: AgentState, move: tool_calls.Move) -> Step:
    """Take what the table of calls has to say, and go on if that was the last answer."""
    calls, outputs = move
    state = collect(replace(state, calls=replace(calls, wants=())), outputs)
    ended = [each.call for each in outputs if isinstance(each, ToolEnded)]
    state, more = drop_questions(state, ended)
    state, most = _ask_for(state, calls.wants)
    return go_on_when_complete(state, *outputs, *more, *most)


def after_requests(state: AgentState, move: requesting.Move) -> Step:
    """Take what the table of requests has to say, and go on if that was the last one."""
    requests, outputs = move
    state = replace(state, requests=replace(requests, wants=()))
    ended = [each for each in outputs if isinstance(each, RequestEnded)]
    state, more = drop_questions(state, [each.request for each in ended])
    state, most = _ask_for(state, requests.wants)
    outputs = (*outputs, *more, *most)
    if state.phase != "requesting" or state.requests.open:
        return state, outputs
    state = replace(state, phase="idle")
    result = ended[-1].result if ended and state.is_into_chat else None
    said = None if result is None else talk.with_prompt(state.talk, result)
    if said is None:
        return next_wish(state, *outputs)
    state = replace(state, talk=said, before=state.talk, turn=0, attempt=0, spoken="")
    return think(state, *outputs)


def after_questions(state: AgentState, move: asking.Move) -> Step:
    """Take what the table of questions has to say; whoever waits for an answer gets it."""
    questions, outputs = move
    state = replace(state, questions=replace(questions, answers=()))
    for given in questions.answers:
        what = given.waiter, given.key, given.result, given.refusal
        if given.waiter == approvals.APPROVAL:
            state, more = _on_approval(state, given.key, given.result)
        elif given.waiter in state.calls.open:
            state, more = after_calls(state, rounds.on_input(state.calls, *what))
        else:
            state, more = after_requests(state, requesting.on_input(state.requests, *what))
        outputs = (*outputs, *more)
    return state, outputs


def _on_approval(state: AgentState, server: str, result: Json | None) -> Step:
    pins, outputs = approvals.on_answer(state.pins, server, result)
    calls = replace(state.calls, held=held_names(pins))
    state, more = settle(replace(state, pins=pins, calls=calls))
    return state, (*outputs, *more)


def ask(state: AgentState, origin: Origin, method: str, params: Json) -> Step:
    """A server wants something of the person, the model or our settings."""
    move = asking.ask(state.questions, origin, method, params, may_spend=may_spend(state))
    return after_questions(state, move)


def may_spend(state: AgentState) -> bool:
    """Is something of the run's budget left?"""
    return not state.spending.is_over(state.plan.max_budget_usd)


def drop_questions(state: AgentState, waiters: Sequence[str]) -> Step:
    """These calls or requests are over, and need nothing any more."""
    outputs: Outputs = ()
    for waiter in waiters:
        questions, more = asking.on_ended(state.questions, waiter)
        state, outputs = replace(state, questions=questions), (*outputs, *more)
    return state, outputs


def _ask_for(state: AgentState, wants: Sequence[Want]) -> Step:
    outputs: Outputs = ()
    for want in wants:
        if want.waiter not in state.calls.open and want.waiter not in state.requests.open:
            continue  # it did not get what it wanted before, and is over
        origin = Origin(server=want.server, waiter=want.waiter, key=want.key)
        state, more = ask(state, origin, want.method, want.params)
        outputs = (*outputs, *more)
    return state, outputs


def _request(state: AgentState, wish: RequestSubmitted, *outputs: Passing) -> Step:
    """A person's own request: no model, no tool."""
    state = replace(state, phase="requesting", is_into_chat=wish.into_chat)
    state, more = after_requests(state, requesting.start(state.requests, wish))
    return state, (*outputs, *more)


def collect(state: AgentState, outputs: Outputs) -> AgentState:
    """Keep the results of this turn's calls that ended."""
    use_ids = dict(state.uses)
    ended = [o for o in outputs if isinstance(o, ToolEnded) and o.call in use_ids]
    results = {each.call: tool_result(use_ids[each.call] or "", each) for each in ended}
    return replace(state, results={**state.results, **results}) if results else state


def go_on_when_complete(state: AgentState, *outputs: Passing) -> Step:
    """With all results in, the model is asked again; or the turn is over, if it was stopped."""
    if state.phase != "acting" or any(id_ not in state.results for id_, _ in state.uses):
        return state, outputs
    if is_own_call(state):
        idle = replace(state, phase="idle", uses=(), results={}, is_stopped=False)
        return next_wish(idle, *outputs)
    state = replace(state, talk=state.talk.with_user(*_results_in_order(state)))
    return finish(state, "cancelled", *outputs) if state.is_stopped else think(state, *outputs)


def is_own_call(state: AgentState) -> bool:
    """Did a person, not the model, ask for the call under way?"""
    return any(use_id is None for _, use_id in state.uses)


def _results_in_order(state: AgentState) -> list[Json]:
    """The results of this turn in the order of its calls, each in."""
    return [state.results[id_] for id_, _ in state.uses]


def _offered(state: AgentState) -> tuple[Tool, ...]:
    """The tools that the model may use, in an order that stays.

    `direct` is no model that reads what they say, but a person: who calls a held tool is asked.
    """
    held = frozenset[tuple[str, str]]() if state.plan.model == "direct" else state.calls.held
    return tuple(tool for tool in _allowed(state) if (tool.server, tool.name) not in held)


def _allowed(state: AgentState) -> tuple[Tool, ...]:
    allowed, disallowed = state.plan.allowed_tools, state.plan.disallowed_tools
    everything = (tool for tools in state.tools.values() for tool in tools)
    return tuple(tool for tool in everything if is_allowed(tool, allowed, disallowed))


def _failed(use_id: str, reason: str) -> Json:
    content = [talk.text(reason)]
    return {"type": "tool_result", "tool_use_id": use_id, "content": content, "is_error": True}

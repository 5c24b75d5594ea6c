"""When a run is over, and with which exit status.

Decided from its events, so that the screen, the recording and the status cannot disagree.

(state, item) -> (state, items). All items pass through; a `ReadPrompt` that nobody will answer
becomes the `RunEnded`.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec
from msgspec.structs import replace

from pipeline.core.commands import Passing, ReadPrompt
from pipeline.core.events import (
    AnswerCompleted,
    CallRejected,
    CallSubmitted,
    InputEnded,
    PromptCancelled,
    PromptSubmitted,
    RequestEnded,
    RequestSubmitted,
    RunEnded,
    RunResumed,
    ServersSettled,
    SessionReady,
    SinkFailed,
    StreamLost,
    ToolEnded,
    is_input,
)
from pipeline.core.plan import Plan, ServerPlan

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
UNAUTHORIZED: Final = 3
NO_CONNECTION: Final = 4
TOOL_ERROR: Final = 5
MODEL_FAILED: Final = 7
LIMIT_REACHED: Final = 8
_SIGNALS = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129, "SIGPIPE": 141}
_STOPS = {
    "end_turn": DONE,
    "refusal": FAILED,
    "context_full": LIMIT_REACHED,
    "max_tokens": LIMIT_REACHED,
    "max_turns": LIMIT_REACHED,
    "max_budget": LIMIT_REACHED,
    "model_failed": MODEL_FAILED,
    "cancelled": DONE,
}


class RunState(msgspec.Struct, frozen=True):
    """`code` and `reason` are the first failure's; `interrupted` is a signal's exit status.

    `lost_sink` says why a sink failed without which the run may not go on.
    `is_starting`: prompts wait until the servers have settled, and nothing is under way.
    """

    plan: Plan
    code: int = DONE
    reason: str = ""
    is_starting: bool = True
    is_settled: bool = False
    is_idle: bool = False
    no_more_prompts: bool = False
    interrupted: int = 0
    lost_sink: str = ""
    losses: dict[str, StreamLost] = {}
    is_over: bool = False


Step: TypeAlias = tuple[RunState, tuple[Passing, ...]]


def initial(plan: Plan) -> RunState:
    """A run that has not begun."""
    return RunState(plan)


def step(state: RunState, item: Passing) -> Step:
    """Advance by one item."""
    if isinstance(item, RunResumed):
        plan = item.plan_after(state.plan)
        # Only what was under way goes on before the servers have settled.
        is_starting = state.is_starting or state.is_idle or state.is_over
        return RunState(plan, is_starting=is_starting), (item,)
    if state.is_over:
        # What the stages above still make of it comes too late; what happened is written down.
        return state, (item,) if is_input(item) else ()
    match item:
        case StreamLost(server=server):
            return _on_lost(replace(state, losses={**state.losses, server: item}), item)
        case SessionReady(server=server):
            losses = {name: loss for name, loss in state.losses.items() if name != server}
            return replace(state, losses=losses), (item,)
        case ServersSettled():
            return _on_settled(state, item)
        case PromptSubmitted() | CallSubmitted() | RequestSubmitted():
            return replace(state, is_idle=False), (item,)
        case CallRejected(reason=reason):
            return _fail(state, USAGE, reason), (item,)
        case ToolEnded():
            return _on_tool_ended(state, item), (item,)
        case RequestEnded():
            return _on_request_ended(state, item), (item,)
        case AnswerCompleted(stop=stop):
            return _fail(state, _STOPS[stop], f"the answer ended by {stop}"), (item,)
        case InputEnded():
            state = replace(state, no_more_prompts=True)
            return _end(state, item) if state.is_idle else (state, (item,))
        case PromptCancelled(signal=signal):
            state = replace(state, interrupted=_SIGNALS.get(signal, _SIGNALS["SIGINT"]))
            is_waiting = state.is_idle or state.is_starting
            return _end(state, item) if is_waiting else (state, (item,))
        case SinkFailed(sink=sink, reason=reason, ends_run=True):
            state = replace(state, lost_sink=f"sink {sink}: {reason}")
            is_waiting = state.is_idle or state.is_starting
            return _end(state, item) if is_waiting else (state, (item,))
        case ReadPrompt():
            return _on_idle(state, item)
        case _:
            return state, (item,)


def _on_settled(state: RunState, settled: ServersSettled) -> Step:
    state = replace(state, is_settled=True, is_starting=False)
    missing = [server for server in state.plan.servers if server.name not in settled.ready]
    if missing and not settled.ready:
        return _end(_without(state, missing, "no server could be used"), settled)
    if required := [server for server in missing if server.required]:
        return _end(_without(state, required, "a required server did not start"), settled)
    return _end(state, settled) if state.plan.goal == "tools" else (state, (settled,))


def _on_lost(state: RunState, lost: StreamLost) -> Step:
    """A server that will not come back matters to the status only when it was the last one."""
    gone = [name for name, loss in state.losses.items() if loss.retry_in is None]
    if state.is_settled and len(gone) == len(state.plan.servers):
        state = _without(state, state.plan.servers, "no server could be used")
    return state, (lost,)


def _without(state: RunState, missing: Sequence[ServerPlan], what: str) -> RunState:
    reasons = "; ".join(_tried(state, server) for server in missing)
    losses = [state.losses[server.name] for server in missing if server.name in state.losses]
    statuses = {loss.status for loss in losses}
    code = UNAUTHORIZED if statuses and statuses <= {401, 403} else NO_CONNECTION
    hint = "check --server or MCP_SERVER_URL"
    if code == UNAUTHORIZED:
        hint = "check MCP_API_KEY"
    elif all(server.program for server in missing):
        hint = "check the command in the configuration; --verbose shows what it writes"
    return _fail(state, code, f"{what}: {reasons}; {hint}")


def _tried(state: RunState, server: ServerPlan) -> str:
    loss = state.losses.get(server.name)
    why = "no answer in time (--start-timeout)" if loss is None else loss.reason
    return f"{server.name} at {server.url or server.program}: {why}"


def _on_tool_ended(state: RunState, ended: ToolEnded) -> RunState:
    if state.plan.goal != "call":
        return state
    if ended.outcome != "answered":
        return _fail(state, FAILED, f"{ended.tool}: {ended.outcome}: {ended.reason}")
    if ended.is_error and not state.plan.ignore_tool_error:
        return _fail(state, TOOL_ERROR, f"the tool {ended.tool} answered with an error")
    return state


def _on_request_ended(state: RunState, ended: RequestEnded) -> RunState:
    if state.plan.goal != "request" or ended.result is not None:
        return state
    why = ended.error or f"{ended.outcome}: {ended.reason}"
    return _fail(state, FAILED, f"{ended.method} at {ended.server}: {why}")


def _on_idle(state: RunState, ask: ReadPrompt) -> Step:
    # At a prompt Ctrl-C only ends the answer under way; other signals end the program.
    is_kept = state.plan.interactive and state.interrupted == _SIGNALS["SIGINT"]
    if state.no_more_prompts or state.lost_sink or (state.interrupted and not is_kept):
        return _end(state)
    return replace(state, is_idle=True, is_starting=False, interrupted=0), (ask,)


def _end(state: RunState, *items: Passing) -> Step:
    if state.lost_sink:
        ended = RunEnded(code=FAILED, reason=state.lost_sink)
    elif state.interrupted:
        ended = RunEnded(code=state.interrupted, reason="interrupted")
    else:
        ended = RunEnded(code=state.code, reason=state.reason)
    return replace(state, is_over=True), (*items, ended)


def _fail(state: RunState, code: int, reason: str) -> RunState:
    """Keep the first failure: what follows from it is less worth knowing.

    A person at a terminal has seen how each answer ended: there only lost servers count.
    """
    is_seen = state.plan.interactive and code not in (NO_CONNECTION, UNAUTHORIZED)
    if code == DONE or state.code != DONE or is_seen:
        return state
    return replace(state, code=code, reason=reason)

"""Calls that the server answers with a wish: what it wants first, or better headers.

Pure moves over the table of calls. What it wants is asked for, and the call goes out again.
"""

from typing import Any

from msgspec.structs import replace

from pipeline.core import tasks
from pipeline.core.call_results import fail
from pipeline.core.call_table import Call, Calls, Move, ask_for, go_on, with_call
from pipeline.core.events import Json
from pipeline.core.inputs import RoundError, next_round, visits, with_input

HEADER_MISMATCH = -32020


def on_result(calls: Calls, call: Call, result: Json) -> Move | None:
    """A result that is not the end of its call; None if it is.

    Without `resultType` a result is complete; one of a type that was not agreed on is invalid
    (2026-07-28, basic/index, "Responses").
    """
    kind = result.get("resultType") or "complete"
    if kind == "input_required":
        requests, state = result.get("inputRequests"), result.get("requestState")
        return _begin(calls, call, requests, state)
    if tasks.is_made(calls, call, result):
        return tasks.begin(calls, call, result)
    if kind == "complete":
        return None
    return fail(calls, call, f"the result is of type {kind!r}, which was not agreed on")


def on_error(calls: Calls, call: Call, code: int | None, data: Any) -> Move | None:
    """An error that asks for something and the call once more; None if it ends the call.

    -32042 (2025-11-25): a person has to visit addresses first. -32020 (2026-07-28): the headers did
    not fit, so the tools are listed again, once.
    """
    requests = None if calls.plan.elicitation == "never" else visits(code, data)
    if requests is not None:
        return _begin(calls, call, requests, None, is_visit=True)
    if code == HEADER_MISMATCH and not call.is_relisted:
        return with_call(calls, replace(call, state="held", is_relisted=True)), ()
    return None


def on_input(calls: Calls, id_: str, key: str, result: Json | None, refusal: str = "") -> Move:
    """What a server wanted is there (`result`), or it does not get it (`refusal` says why)."""
    call = calls.open.get(id_)
    if call is None or call.state != "asking":
        return calls, ()
    try:
        given = with_input(call.round, key, result, refusal)
    except RoundError as exc:
        # The server waits for it before it does anything; that it does so is its own word.
        calls, outputs = fail(calls, call, str(exc))
        return calls, (*outputs, *tasks.tell_dropped(calls, call))
    call = replace(call, round=given)
    if given.is_open:
        return with_call(calls, call), ()
    return go_on(calls, call, "tools/call" if call.task is None else "tasks/update")


def _begin(calls: Calls, call: Call, requests: Any, state: Any, *, is_visit: bool = False) -> Move:
    try:
        wanted = next_round(call.round, requests, state, calls.plan.max_rounds)
    except RoundError as exc:
        return fail(calls, call, str(exc))
    call = replace(call, round=replace(wanted, is_visit=is_visit))
    return (
        ask_for(calls, call, requests or {}) if wanted.inputs else go_on(calls, call, "tools/call")
    )

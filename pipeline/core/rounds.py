"""Calls that take more than one message: multi round trips and tasks, as pure moves over the table.

MCP 2026-07-28, basic/utilities/mrtr ("Multi Round-Trip Requests"): a server answers with
`input_required`, gets what it wants, and the same call again under a new id. Tasks: the extension
`io.modelcontextprotocol/tasks`, and the experimental form of 2025-11-25.
"""

from typing import Any

from msgspec.structs import replace

from pipeline.core import jsonrpc
from pipeline.core.call_table import (
    PREFIX,
    Call,
    Calls,
    Move,
    Task,
    Want,
    close,
    deadline,
    ended,
    post_waiting,
    with_call,
)
from pipeline.core.commands import Post, StartTimer, StopTimer
from pipeline.core.events import Json
from pipeline.core.session import wire
from pipeline.core.shapes import is_object

URL_ELICITATION_REQUIRED = -32042
HEADER_MISMATCH = -32020
_RUNNING = ("working", "submitted")
_POLL, _LEAST_POLL, _MOST_POLL = 1.0, 0.05, 60.0
_MOST_INPUTS = 16
_ROUND = "round:"


def on_result(calls: Calls, call: Call, result: Json) -> Move | None:
    """A result that is not the end of its call; None if it is."""
    if call.task is not None and call.next == "tasks/update":
        return _polling(calls, call, call.task)
    if call.task is not None and call.next == "tasks/get":
        return _on_task(calls, call, call.task, result)
    match result:
        case {"resultType": "input_required"}:
            return _on_input_required(calls, call, result)
        case {"resultType": "task"} if call.task is None and calls.plan.tasks:
            return _on_task_made(calls, call, result)
        case {"task": {}} if call.task is None and call.tool.task_support == "required":
            return _on_task_made(calls, call, result)
        case {"resultType": str() as kind} if kind != "complete":
            reason = f"the result is of type {kind!r}, which was not agreed on"
            return close(calls, call, ended(call, "answered", reason, is_error=True))
        case _:
            return None


def on_error(calls: Calls, call: Call, code: int | None, data: Any) -> Move | None:
    """An error that asks for something and the call once more; None if it ends the call.

    -32042 (2025-11-25): a person has to visit addresses first. -32020 (2026-07-28): the headers did
    not fit, so the tools are listed again.
    """
    match code, data:
        case -32042, {"elicitations": [*wanted]} if wanted and call.rounds == 0:
            requests = {
                f"{_ROUND}{n}": {"method": "elicitation/create", "params": params}
                for n, params in enumerate(wanted[:_MOST_INPUTS])
            }
            return _ask(calls, call, requests, None)
        case -32020, _ if call.tool.input_schema and not call.is_relisted:
            held = replace(call, state="held", is_relisted=True)
            return with_call(calls, held), ()
        case _:
            return None


def on_input(calls: Calls, id_: str, key: str, result: Json | None, refusal: str) -> Move:
    """What a server wanted is there (`result`), or it does not get it (`refusal` says why)."""
    call = calls.open.get(id_)
    if call is None or call.state != "asking" or call.inputs.get(key, 0) is not None:
        return calls, ()
    if result is None:
        reason = f"{call.tool.server!r} wanted something first, which it did not get: {refusal}"
        # The server waits for it before it does anything; that it does so is its own word.
        return close(calls, call, ended(call, "answered", reason, is_error=True))
    call = replace(call, inputs={**call.inputs, key: result})
    if any(value is None for value in call.inputs.values()):
        return with_call(calls, call), ()
    if key.startswith(_ROUND):  # the server sees by itself that its address was visited
        if any(value != {"action": "accept"} for value in call.inputs.values() if value):
            reason = "the address that the server wants to be visited first was not accepted"
            return close(calls, call, ended(call, "answered", reason, is_error=True))
        call = replace(call, inputs={})
    call = replace(call, state="waiting", next="tasks/update" if call.task else "tools/call")
    return _go(calls, call)


def on_poll(calls: Calls, id_: str) -> Move:
    """It is time to ask for a task again."""
    call = calls.open.get(id_)
    if call is None or call.state != "polling":
        return calls, ()
    return _go(calls, replace(call, state="waiting", next="tasks/get"))


def give_up_task(calls: Calls, call: Call) -> tuple[Post, ...]:
    """Tell a server that its task is of no use any more."""
    route = calls.routes.get(call.tool.server)
    if call.task is None or route is None:
        return ()
    id_ = f"cancel:{call.id}"
    message = jsonrpc.request(id_, "tasks/cancel", {"taskId": call.task.id})
    return (wire.post(route, id_, message),)


def _go(calls: Calls, call: Call) -> Move:
    calls, outputs = post_waiting(with_call(calls, call), call.tool.server)
    # Without its server it waits, and that has its time as well.
    is_out = calls.open[call.id].is_posted
    return calls, outputs if is_out else (*outputs, deadline(calls, call))


def _on_input_required(calls: Calls, call: Call, result: Json) -> Move:
    requests, state = result.get("inputRequests"), result.get("requestState")
    is_state = isinstance(state, str)
    if not is_object(requests) and not is_state:
        reason = "the server wants input, but says neither which nor how to go on"
        return close(calls, call, ended(call, "answered", reason, is_error=True))
    return _ask(calls, call, requests or {}, state if is_state else None)


def _ask(calls: Calls, call: Call, requests: Json, state: str | None) -> Move:
    if call.rounds >= calls.plan.max_rounds or len(requests) > _MOST_INPUTS:
        reason = f"the server wanted input {call.rounds} times, the last time {len(requests)} items"
        return close(calls, call, ended(call, "answered", reason, is_error=True))
    call = replace(
        call,
        rounds=call.rounds + 1,
        request_state=state,
        inputs=dict.fromkeys(requests),
        state="asking",
    )
    if not requests:
        return _go(calls, replace(call, state="waiting"))
    wants = tuple(_want(call, key, request) for key, request in requests.items())
    calls = replace(with_call(calls, call), wants=(*calls.wants, *wants))
    # While a person is asked, the time is the question's.
    return calls, (StopTimer(id=PREFIX + call.id),)


def _want(call: Call, key: str, request: Any) -> Want:
    request = request if is_object(request) else {}
    method, params = request.get("method"), request.get("params")
    return Want(
        call=call.id,
        key=key,
        server=call.tool.server,
        method=method if isinstance(method, str) else "",
        params=params if is_object(params) else {},
    )


def _on_task_made(calls: Calls, call: Call, result: Json) -> Move | None:
    made: Json = result["task"] if is_object(result.get("task")) else result
    id_ = made.get("taskId")
    if not isinstance(id_, str) or not id_:
        return None
    task = Task(id_, _pause(made))
    return _polling(calls, replace(call, inputs={}, request_state=None), task)


def _on_task(calls: Calls, call: Call, task: Task, answer: Json) -> Move | None:
    is_extension = "resultType" in answer
    match answer.get("status"):
        case "completed" if is_object(answer.get("result")):
            return None  # the caller takes `result` out
        case "completed" | "failed" | "cancelled" if not is_extension:
            return _go(calls, replace(call, state="waiting", next="tasks/result"))
        case "input_required" if not is_extension:
            return _go(calls, replace(call, state="waiting", next="tasks/result"))
        case "input_required" if is_object(answer.get("inputRequests")):
            return _ask(calls, call, answer["inputRequests"], None)
        case str() as status if status in _RUNNING:
            return _polling(calls, call, Task(task.id, _pause(answer, task.poll)))
        case status:
            error = answer.get("error")
            words = jsonrpc.error_text(error) if error is not None else f"it ended as {status!r}"
            text: Json = {"type": "text", "text": f"the task did not succeed: {words}"}
            return close(calls, call, ended(call, "answered", words, (text,), is_error=True))


def task_result(call: Call, result: Json) -> Json:
    """The tool's result within the answer to a task's `tasks/get`, or the answer itself."""
    inner = result.get("result")
    return inner if call.next == "tasks/get" and is_object(inner) else result


def _polling(calls: Calls, call: Call, task: Task) -> Move:
    call = replace(call, state="polling", task=task)
    poll = StartTimer(id=f"{PREFIX}{call.id}:poll", seconds=task.poll)
    return with_call(calls, call), (deadline(calls, call), poll)


def _pause(task: Json, default: float = _POLL) -> float:
    for key in ("pollIntervalMs", "pollInterval"):
        value = task.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return min(_MOST_POLL, max(_LEAST_POLL, value / 1000))
    return default

"""Calls that their server makes a task of: it is asked how far it is, until it is done.

The extension `io.modelcontextprotocol/tasks` (2026-07-28: the server decides, `tasks/get` brings
the result and what is wanted, `tasks/update` gives it), and the experimental form of 2025-11-25
(basic/utilities/tasks: the client asks for it, `tasks/result` waits for the end).
"""

from msgspec.structs import replace

from pipeline.core import jsonrpc
from pipeline.core.call_results import fail, refuse, succeed
from pipeline.core.call_table import (
    PREFIX,
    Call,
    Calls,
    Move,
    Outputs,
    Task,
    ask_for,
    end,
    go_on,
    poll_timer,
    wants_task,
    with_call,
)
from pipeline.core.commands import StartTimer, StopTimer
from pipeline.core.events import Json, ReplyReceived
from pipeline.core.inputs import RoundError, next_round
from pipeline.core.session import wire
from pipeline.core.shapes import is_object

_POLL, _LEAST_POLL, _MOST_POLL = 1.0, 0.05, 60.0  # seconds
_INTERNAL_ERROR = -32603
_RUNNING = ("working", "submitted")


def is_made(calls: Calls, call: Call, result: Json) -> bool:
    """Is this result of a tool a task, of a form that was agreed on?"""
    if result.get("resultType") == "task":
        return calls.plan.tasks
    return wants_task(calls, call) and is_object(result.get("task"))


def begin(calls: Calls, call: Call, result: Json) -> Move:
    """The server makes a task of a call."""
    is_extension = result.get("resultType") == "task"
    made: Json = result if is_extension else result["task"]
    id_ = made.get("taskId")
    if not isinstance(id_, str) or not id_:
        reason = f"malformed task: found {type(id_).__name__} as `taskId`, expected some text"
        return fail(calls, call, reason)
    task = Task(id_, _pause(made, _POLL), is_extension=is_extension, token=call.wire_id)
    return poll_later(calls, call, task)


def on_reply(calls: Calls, call: Call, task: Task, reply: ReplyReceived) -> Move:
    """The answer to one of the messages about a task."""
    if reply.result is None:
        return _on_error(calls, call, task, reply)
    match call.next:
        case "tasks/result":
            return succeed(calls, call, reply.result)
        case "tasks/update":
            answered = task.answered | call.round.inputs.keys()
            return poll_later(calls, call, replace(task, answered=answered))
        case _:
            task = replace(task, poll=_pause(reply.result, task.poll))
            return _on_status(calls, call, task, reply.result)


def on_poll(calls: Calls, id_: str) -> Move:
    """It is time to ask for a task again."""
    call = calls.open.get(id_)
    if call is None or call.state != "polling":
        return calls, ()
    return go_on(calls, call, "tasks/get")


def poll_later(calls: Calls, call: Call, task: Task) -> Move:
    """Between two questions nobody waits for the server: the pause is the only timer."""
    pause = StartTimer(id=poll_timer(call), seconds=task.poll)
    calls = with_call(calls, replace(call, state="polling", task=task))
    return calls, (StopTimer(id=PREFIX + call.id), pause)


def tell_dropped(calls: Calls, call: Call) -> Outputs:
    """Tell a server that the task of a call that is over is of no use any more."""
    route = calls.routes.get(call.tool.server)
    if call.task is None or route is None:
        return ()
    id_ = f"cancel:{call.id}"
    message = jsonrpc.request(id_, "tasks/cancel", {"taskId": call.task.id})
    return (wire.post(route, id_, message),)


def _on_error(calls: Calls, call: Call, task: Task, reply: ReplyReceived) -> Move:
    if call.next == "tasks/result":
        return refuse(calls, call, reply.error)  # as the call itself would have been
    if reply.code in (None, _INTERNAL_ERROR):
        return poll_later(calls, call, task)
    return end(calls, call, "unknown", f"its task cannot be asked for any more: {reply.error}")


def _on_status(calls: Calls, call: Call, task: Task, answer: Json) -> Move:
    match answer.get("status"):
        case "input_required" if task.is_extension:
            return _ask(calls, call, task, answer)
        case "completed" if task.is_extension:
            result = answer.get("result")
            if is_object(result):
                return succeed(calls, call, result)
            found = f"found {type(result).__name__} as `result`, expected an object"
            return fail(calls, call, f"malformed task: {found}")
        case "failed" if task.is_extension:
            return refuse(calls, call, f"the task failed{_why(answer)}")
        case "input_required" | "completed" | "failed":
            return go_on(calls, replace(call, task=task), "tasks/result")
        case "cancelled":
            return fail(calls, call, f"the server cancelled the task{_why(answer)}")
        case status if status in _RUNNING:
            return poll_later(calls, call, task)
        case status:
            found = jsonrpc.shorten(str(status), 40)
            return fail(calls, call, f"malformed task: found {found!r} as `status`")


def _why(answer: Json) -> str:
    error, message = answer.get("error"), answer.get("statusMessage")
    text = message if error is None else jsonrpc.error_text(error)
    return f": {text}" if isinstance(text, str) and text else ""


def _ask(calls: Calls, call: Call, task: Task, answer: Json) -> Move:
    """What was asked for before is asked for again until the server has noticed the answer."""
    found = answer.get("inputRequests")
    requests = found if is_object(found) else {}
    new = {key: value for key, value in requests.items() if key not in task.answered}
    call = replace(call, task=task)
    if not new:
        return poll_later(calls, call, task)
    try:
        wanted = next_round(call.round, new, None, calls.plan.max_rounds)
    except RoundError as exc:
        calls, outputs = fail(calls, call, str(exc))
        return calls, (*outputs, *tell_dropped(calls, call))
    return ask_for(calls, replace(call, round=wanted), new)


def _pause(task: Json, default: float) -> float:
    """Seconds until a task is asked for again, within bounds."""
    for key in ("pollIntervalMs", "pollInterval"):
        value = task.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return min(_MOST_POLL, max(_LEAST_POLL, value / 1000))
    return default

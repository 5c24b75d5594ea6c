"""What servers want of us: a person's answer, the model's, or our roots. Each is answered once.

Pure moves over the table of open questions, used by the agent stage. A question comes as a server's
own request (until 2025-11-25) or as an input that a call needs (2026-07-28); it is answered where
it came from. MCP: client/elicitation, client/sampling, client/roots.
"""

from typing import Any
from urllib.parse import unquote, urlsplit

from msgspec.structs import replace

from pipeline.core import jsonrpc
from pipeline.core.commands import CallModel, StopTimer
from pipeline.core.events import (
    Json,
    ModelFailed,
    ModelFinished,
    QuestionAnswered,
    QuestionAsked,
)
from pipeline.core.forms import BadAnswerError, BadFormError, check, defaults, read_form
from pipeline.core.jsonrpc import shorten
from pipeline.core.question_table import (
    PREFIX,
    SAMPLE,
    Action,
    Move,
    Origin,
    Outputs,
    Question,
    Questions,
    answer,
    ask_next,
    close,
    drop,
    refuse,
    with_question,
)
from pipeline.core.sampling import BadSampleError, read_sample, sampled
from pipeline.core.shapes import is_object

_INVALID_PARAMS = -32602
_REFUSED = -1  # client/sampling, "Error Handling": the user rejected it
_BUSY = -32603


def ask(
    table: Questions, origin: Origin, method: str, params: Json, *, may_spend: bool = True
) -> Move:
    """A server wants something. `may_spend` False: the run's budget is used up."""
    plan = table.plan
    match method:
        case "roots/list" if plan.roots:
            return answer(table, origin, {"roots": [_root(uri) for uri in plan.roots]})
        case "elicitation/create" if plan.elicitation != "never":
            return _elicit(table, origin, params)
        case "sampling/createMessage" if plan.sampling != "never":
            return _sample(table, origin, params, may_spend=may_spend)
        case _:
            text = f"this client offers no {method!r}"
            return refuse(table, origin, jsonrpc.METHOD_NOT_FOUND, text)


def on_answered(table: Questions, item: QuestionAnswered) -> Move:
    """A person has answered."""
    question = table.open.get(item.question)
    if question is None or question.state != "asked":
        return table, ()
    return _settle(table, question, item.action, item.content)


def on_model(table: Questions, item: ModelFinished | ModelFailed) -> Move:
    """The model has answered what a server asked it."""
    question = table.open.get(item.call.removeprefix(SAMPLE))
    if question is None or question.state != "sampling":
        return table, ()
    if isinstance(item, ModelFailed):
        reason = f"the model failed: {item.reason}"
        return close(table, question, "refused", code=_BUSY, reason=reason)
    return close(table, question, "accept", result=sampled(item))


def on_timer(table: Questions, timer: str) -> Move:
    """Nobody answered in time."""
    question = table.open.get(timer.removeprefix(PREFIX))
    if question is None:
        return table, ()
    reason = f"nobody answered within {table.plan.question_timeout:g} s (--question-timeout)"
    return _cancel(table, question, reason)


def on_lost(table: Questions, server: str, reason: str) -> Move:
    """A server is gone; what it asked over that connection needs no answer any more."""
    outputs: Outputs = ()
    for question in tuple(table.open.values()):
        if question.origin.server == server and not question.origin.call:
            table, more = drop(table, question, reason)
            outputs = (*outputs, *more)
    return table, outputs


def on_cancelled(table: Questions, server: str, rpc_id: jsonrpc.Id) -> Move:
    """A server needs no answer to its request any more."""
    for question in table.open.values():
        origin = question.origin
        if not origin.call and origin.server == server and origin.rpc_id == rpc_id:
            return drop(table, question, "the server took it back")
    return table, ()


def on_call_ended(table: Questions, call: str) -> Move:
    """A call is over: nobody waits for what it needed."""
    outputs: Outputs = ()
    for question in tuple(table.open.values()):
        if question.origin.call == call:
            table, more = drop(table, question, "the call has ended")
            outputs = (*outputs, *more)
    return table, outputs


def cancel_all(table: Questions, reason: str) -> Move:
    """The person does not want to be asked."""
    outputs: Outputs = ()
    for question in tuple(table.open.values()):
        table, more = _cancel(table, question, reason)
        outputs = (*outputs, *more)
    return table, outputs


def is_waited_for(table: Questions, server: str) -> bool:
    """Does this server wait for an answer of ours? Then its own silence says nothing."""
    return any(question.origin.server == server for question in table.open.values())


def _elicit(table: Questions, origin: Origin, params: Json) -> Move:
    mode, message = params.get("mode", "form"), params.get("message")
    text = message if isinstance(message, str) else ""
    if mode == "url" and isinstance(params.get("url"), str):
        return _open(table, origin, form="url", message=text, url=params["url"])
    schema = params.get("requestedSchema")
    if mode != "form" or not is_object(schema):
        found = f"found elicitation mode {shorten(str(mode), 40)!r}, expected form or url, complete"
        return refuse(table, origin, _INVALID_PARAMS, found)
    try:
        read_form(schema)
    except BadFormError as exc:
        return refuse(table, origin, _INVALID_PARAMS, str(exc))
    return _open(table, origin, form="form", message=text, schema=schema)


def _sample(table: Questions, origin: Origin, params: Json, *, may_spend: bool) -> Move:
    plan = table.plan
    if plan.model == "direct":
        return refuse(table, origin, _REFUSED, "this client has no model at hand")
    if table.samples >= plan.max_samples or not may_spend:
        what = "its budget" if not may_spend else f"{plan.max_samples} such requests"
        return refuse(table, origin, _REFUSED, f"this client's limit is reached: {what}")
    try:
        sample = read_sample(params)
    except BadSampleError as exc:
        return refuse(table, origin, _INVALID_PARAMS, str(exc))
    table = replace(table, samples=table.samples + 1)
    return _open(table, origin, form="sample", message=sample.summary, detail=params)


def _settle(
    table: Questions,
    question: Question,
    action: Action,
    content: Json,
) -> Move:
    """A person, or the run's policy, has decided."""
    asked = question.asked
    if asked.form == "sample":
        if action != "accept":
            reason = "the user rejected the sampling request"
            return close(table, question, action, code=_REFUSED, reason=reason)
        sample = read_sample(asked.detail)
        table = with_question(table, replace(question, state="sampling"))
        command = CallModel(
            call=SAMPLE + question.id,
            messages=sample.messages,
            system=sample.system,
            max_tokens=sample.max_tokens,
        )
        table, more = ask_next(table)
        return table, (StopTimer(id=PREFIX + question.id), command, *more)
    if action != "accept" or asked.form == "url":
        return close(table, question, action, result={"action": action})
    fields = read_form(asked.schema)
    try:
        whole = check(fields, content) if content else check(fields, defaults(fields))
    except BadAnswerError as exc:
        refused: Json = {"action": "decline"}
        return close(table, question, "decline", result=refused, reason=str(exc))
    return close(table, question, "accept", result={"action": "accept", "content": whole})


def _root(uri: str) -> Json:
    name = unquote(urlsplit(uri).path).rstrip("/").rpartition("/")[2]
    return {"uri": uri, "name": name or uri}


def _open(table: Questions, origin: Origin, **what: Any) -> Move:
    if len(table.open) >= table.plan.max_questions:
        text = f"{len(table.open)} questions are open already, and that is the limit"
        return refuse(table, origin, _BUSY, text)
    id_ = f"q{table.numbers + 1}"
    asked = QuestionAsked(question=id_, server=origin.server, **what)
    question = Question(id_, origin, asked)
    table = replace(table, numbers=table.numbers + 1, open={**table.open, id_: question})
    policy = table.plan.sampling if asked.form == "sample" else table.plan.elicitation
    if policy == "ask":
        table, outputs = ask_next(table)
        return table, (asked, *outputs)
    action = "accept" if policy == "always" or asked.form == "form" else "decline"
    question = replace(question, state="asked")
    table, outputs = _settle(table, question, action, {})
    return table, (asked, *outputs)


def _cancel(table: Questions, question: Question, reason: str) -> Move:
    if question.asked.form == "sample":
        return close(table, question, "cancel", code=_REFUSED, reason=reason)
    return close(table, question, "cancel", result={"action": "cancel"}, reason=reason)

"""What servers want of us: a person's answer, the model's, or our roots. Each is answered once.

Pure moves over the table of open questions, used by the agent stage. A question comes as a server's
own request (until 2025-11-25) or as an input that a call or request needs (2026-07-28); it is
answered where it came from. MCP: client/elicitation, client/sampling, client/roots.
"""

from typing import Any
from urllib.parse import unquote, urlsplit

from msgspec.structs import replace

from pipeline.core import jsonrpc
from pipeline.core.commands import CallModel, StartTimer, StopTimer
from pipeline.core.events import (
    Json,
    ModelFailed,
    ModelFinished,
    QuestionAnswered,
    QuestionAsked,
)
from pipeline.core.forms import BadAnswerError, BadFormError, check, read_form
from pipeline.core.jsonrpc import shorten
from pipeline.core.plan import Elicitation, Sampling
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
    enter,
    leave,
    refuse,
    with_question,
)
from pipeline.core.sampling import BadSampleError, read_sample, sampled

_INVALID_PARAMS = -32602
_REFUSED = -1  # client/sampling, "Error Handling": the user rejected it
_INTERNAL_ERROR = -32603
_LONGEST_URL = 4096


def ask(
    table: Questions, origin: Origin, method: str, params: Json, *, may_spend: bool = True
) -> Move:
    """A server wants something. `may_spend` False: the run's budget is used up.

    What is asked a second time while it is open is one question.
    """
    plan = table.plan
    if any(each.origin == origin for each in table.open.values()):
        return table, ()
    match method:
        case "roots/list" if plan.roots:
            return answer(table, origin, {"roots": [_root(uri) for uri in plan.roots]})
        case "elicitation/create" if plan.elicitation != "never":
            return _elicit(table, origin, params)
        case "sampling/createMessage" if plan.sampling != "never":
            return _sample(table, origin, params, may_spend=may_spend)
        case _:
            text = f"this client offers no {shorten(method, 80)!r}"
            return refuse(table, origin, jsonrpc.METHOD_NOT_FOUND, text)


def on_answered(table: Questions, item: QuestionAnswered, *, may_spend: bool = True) -> Move:
    """A person has answered."""
    question = table.open.get(item.question)
    if question is None or question.state != "asked":
        return table, ()
    question = replace(question, state="over")
    return _settle(table, question, item.action, item.content, may_spend=may_spend)


def on_model(table: Questions, item: ModelFinished | ModelFailed) -> Move:
    """The model has answered what a server asked it."""
    question = table.open.get(item.call.removeprefix(SAMPLE))
    if question is None or question.state != "sampling":
        return table, ()
    question = replace(question, state="over")
    if isinstance(item, ModelFailed):
        reason = f"the model failed: {item.reason}"
        return close(table, question, "refused", code=_INTERNAL_ERROR, reason=reason)
    return close(table, question, "accept", result=sampled(item))


def on_timer(table: Questions, timer: str, *, may_spend: bool = True) -> Move:
    """Nobody answered in time, or nobody is to be asked any more."""
    question = table.open.get(timer.removeprefix(PREFIX))
    if question is None or question.state != "asked":
        return table, ()
    if _policy(table, question) != "ask":
        return _decide(table, question, may_spend=may_spend)
    reason = f"nobody answered within {table.plan.question_timeout:g} s (--question-timeout)"
    return _cancel(table, question, reason)


def on_lost(table: Questions, server: str, reason: str) -> Move:
    """A server is gone; what it asked over that connection needs no answer any more."""
    return _drop_all(table, [each for each in _own(table) if each.origin.server == server], reason)


def on_cancelled(table: Questions, server: str, rpc_id: jsonrpc.Id) -> Move:
    """A server needs no answer to its request any more."""
    asked = (server, rpc_id)
    found = [each for each in _own(table) if (each.origin.server, each.origin.rpc_id) == asked]
    return _drop_all(table, found, "the server took it back")


def on_ended(table: Questions, waiter: str) -> Move:
    """A call or request is over: nobody waits for what it needed."""
    found = [each for each in table.open.values() if each.origin.waiter == waiter]
    return _drop_all(table, found, "what needed it has ended")


def on_resumed(table: Questions) -> Move:
    """Another process goes on: no server waits any more, but calls and requests of ours do.

    The person, or the model, is asked again: the person under a new id, so that all who show a
    question see it, also those that know nothing of the run before.
    """
    outputs: Outputs = ()
    for question in table.open.values():
        is_own = question.origin.route is not None
        if question.state == "sampling" and not is_own:
            outputs = (*outputs, _call_model(question))
            continue
        table, more = leave(table, replace(question, state="over"), "cancel", "the run was cut off")
        outputs = (*outputs, *more)
        # What has changed is seen when the tools are listed again.
        if not is_own and question.asked.form != "approve":
            table, again = enter(table, question.origin, question.asked)
            outputs = (*outputs, again.asked)
            if _policy(table, again) != "ask":
                # It is decided when what waits for it has got over the break, too.
                table = with_question(table, replace(again, state="asked"))
                outputs = (*outputs, StartTimer(id=PREFIX + again.id, seconds=0.0))
    table, more = ask_next(table)
    return table, (*outputs, *more)


def cancel_all(table: Questions, reason: str) -> Move:
    """The person does not want to be asked; what calls and requests need ends with those."""
    outputs: Outputs = ()
    ours = [each for each in table.open.values() if each.asked.form == "approve"]
    for question in _asked_last([*_own(table), *ours]):
        table, more = _cancel(table, question, reason)
        outputs = (*outputs, *more)
    return table, outputs


def is_waited_for(table: Questions, server: str) -> bool:
    """Does this server wait for an answer of ours? Then its own silence says nothing."""
    return any(question.origin.server == server for question in _own(table))


def _elicit(table: Questions, origin: Origin, params: Json) -> Move:
    # Without a mode it is a form: that is all there was until 2025-06-18.
    mode, message = params.get("mode", "form"), params.get("message")
    text = message if isinstance(message, str) else ""
    match mode:
        case "url":
            url = params.get("url")
            if wrong := _wrong_with(url):
                return refuse(table, origin, _INVALID_PARAMS, wrong)
            return _open(table, origin, form="url", message=text, url=url)
        case "form":
            schema = params.get("requestedSchema")
            try:
                read_form(schema)
            except BadFormError as exc:
                return refuse(table, origin, _INVALID_PARAMS, str(exc))
            return _open(table, origin, form="form", message=text, schema=schema)
        case _:
            found = f"found the elicitation mode {shorten(str(mode), 40)!r}, expected form or url"
            return refuse(table, origin, _INVALID_PARAMS, found)


def _wrong_with(url: Any) -> str:
    """What is wrong with an address that a person is to visit; nothing if it is one of the web."""
    if not isinstance(url, str) or len(url) > _LONGEST_URL or not url.isprintable():
        return f"found no readable text of {_LONGEST_URL} characters or fewer as `url`"
    try:
        parts = urlsplit(url)
        is_fitting = parts.scheme in ("https", "http") and bool(parts.hostname)
    except ValueError:
        is_fitting = False
    return "" if is_fitting else f"found {shorten(url, 80)!r} as `url`, expected https://…"


def _sample(table: Questions, origin: Origin, params: Json, *, may_spend: bool) -> Move:
    if table.plan.model == "direct":
        return refuse(table, origin, _REFUSED, "this client has no model at hand")
    if limit := _limit(table, may_spend=may_spend):
        return refuse(table, origin, _REFUSED, limit)
    try:
        sample = read_sample(params)
    except BadSampleError as exc:
        return refuse(table, origin, _INVALID_PARAMS, str(exc))
    return _open(table, origin, form="sample", message=sample.summary, detail=params)


def _limit(table: Questions, *, may_spend: bool) -> str:
    """Which limit of the run keeps the model from being asked; nothing if none does."""
    if not may_spend:
        return "this client's budget is used up"
    most = table.plan.max_samples
    return (
        f"this client's limit is {most} such requests (--max-samples)"
        if table.samples >= most
        else ""
    )


def _open(table: Questions, origin: Origin, **what: Any) -> Move:
    if len(table.open) >= table.plan.max_questions:
        text = (
            f"{len(table.open)} questions are open already, and that is the limit (--max-questions)"
        )
        return refuse(table, origin, _INTERNAL_ERROR, text)
    asked = QuestionAsked(question="", server=origin.server, **what)
    table, question = enter(table, origin, asked)
    is_for_a_person = _policy(table, question) == "ask"
    table, outputs = ask_next(table) if is_for_a_person else _decide(table, question)
    return table, (question.asked, *outputs)


def _policy(table: Questions, question: Question) -> Sampling | Elicitation:
    """Who answers it: the person (`ask`), nobody (`never`), or what was said beforehand."""
    match question.asked.form:
        case "approve":
            return "ask"
        case "sample":
            return table.plan.sampling
        case _:
            return table.plan.elicitation


def _decide(table: Questions, question: Question, *, may_spend: bool = True) -> Move:
    """Nobody has it: what was said beforehand decides. No address is visited unseen."""
    is_refused = question.asked.form == "url" or _policy(table, question) == "never"
    action = "decline" if is_refused else "accept"
    over = replace(question, state="over")
    return _settle(table, over, action, table.plan.answers, may_spend=may_spend)


def _settle(
    table: Questions, question: Question, action: Action, content: Json, *, may_spend: bool = True
) -> Move:
    """A person, or the run's policy, has decided."""
    asked = question.asked
    if asked.form == "sample":
        return _sample_or_not(table, question, action, may_spend=may_spend)
    if action != "accept" or asked.form == "url":
        return close(table, question, action, result={"action": action})
    if asked.form == "approve":
        given = {"action": action, "tools": content.get("tools")}
        return close(table, question, action, result=given)
    try:
        whole = check(read_form(asked.schema), content)
    except BadAnswerError as exc:
        return close(table, question, "decline", result={"action": "decline"}, reason=str(exc))
    return close(table, question, "accept", result={"action": "accept", "content": whole})


def _sample_or_not(
    table: Questions, question: Question, action: Action, *, may_spend: bool
) -> Move:
    if action != "accept":
        reason = "the user rejected the sampling request"
        return close(table, question, action, code=_REFUSED, reason=reason)
    if limit := _limit(table, may_spend=may_spend):
        return close(table, question, "refused", code=_REFUSED, reason=limit)
    question = replace(question, state="sampling")
    table = with_question(replace(table, samples=table.samples + 1), question)
    table, more = ask_next(table)
    return table, (StopTimer(id=PREFIX + question.id), _call_model(question), *more)


def _call_model(question: Question) -> CallModel:
    sample = read_sample(question.asked.detail)
    return CallModel(
        call=SAMPLE + question.id,
        messages=sample.messages,
        system=sample.system,
        max_tokens=sample.max_tokens,
    )


def _cancel(table: Questions, question: Question, reason: str) -> Move:
    if question.asked.form == "sample":
        return close(table, question, "cancel", code=_REFUSED, reason=reason)
    return close(table, question, "cancel", result={"action": "cancel"}, reason=reason)


def _drop_all(table: Questions, questions: list[Question], reason: str) -> Move:
    outputs: Outputs = ()
    for question in _asked_last(questions):
        table, more = drop(table, question, reason)
        outputs = (*outputs, *more)
    return table, outputs


def _asked_last(questions: list[Question]) -> list[Question]:
    """So that none of them gets its turn when another one leaves."""
    return sorted(questions, key=lambda each: each.state == "asked")


def _own(table: Questions) -> list[Question]:
    """What servers asked by themselves, over a connection."""
    return [each for each in table.open.values() if each.origin.route is not None]


def _root(uri: str) -> Json:
    name = unquote(urlsplit(uri).path).rstrip("/").rpartition("/")[2]
    return {"uri": uri, "name": name or uri}

"""The table of what servers wait for, and how a question leaves it: answered, refused or dropped.

One question at a time is put to a person; the others wait for their turn.
"""

from typing import Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from pipeline.core import jsonrpc
from pipeline.core.commands import Ask, CancelModel, Passing, StartTimer, StopAsking, StopTimer
from pipeline.core.events import Json, QuestionAsked, QuestionClosed, Route
from pipeline.core.plan import Plan
from pipeline.core.session import wire

PREFIX = "question:"
SAMPLE = "sample:"
Action: TypeAlias = Literal["accept", "decline", "cancel", "refused"]


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where an answer goes: back over `route` as the answer to `rpc_id`, or into a `call`."""

    server: str
    route: Route | None = None
    rpc_id: jsonrpc.Id = None
    call: str = ""
    key: str = ""


class Question(msgspec.Struct, frozen=True):
    """An open question: it `waits` for its turn, a person is `asked`, or the model answers it."""

    id: str
    origin: Origin
    asked: QuestionAsked
    state: Literal["waits", "asked", "sampling"] = "waits"


class Answer(msgspec.Struct, frozen=True):
    """What a call gets: a `result`, or a `refusal` in words."""

    call: str
    key: str
    result: Json | None
    refusal: str = ""


class Questions(msgspec.Struct, frozen=True):
    """The table. `answers` is what calls are to get now: whoever uses the table takes it out."""

    plan: Plan
    open: dict[str, Question] = {}
    numbers: int = 0
    samples: int = 0
    answers: tuple[Answer, ...] = ()


Outputs: TypeAlias = tuple[Passing, ...]
Move: TypeAlias = tuple[Questions, Outputs]


def ask_next(table: Questions) -> Move:
    """One question at a time: the oldest that waits, if no other is being asked."""
    if any(question.state == "asked" for question in table.open.values()):
        return table, ()
    waiting = (question for question in table.open.values() if question.state == "waits")
    question = next(waiting, None)
    if question is None:
        return table, ()
    table = with_question(table, replace(question, state="asked"))
    timer = StartTimer(id=PREFIX + question.id, seconds=table.plan.question_timeout)
    return table, (timer, Ask(question=question.id))


def drop(table: Questions, question: Question, reason: str) -> Move:
    """Nobody waits for the answer: none is given."""
    table, stops = _without(table, question)
    closed = QuestionClosed(
        question=question.id, server=question.origin.server, action="cancel", reason=reason
    )
    table, more = ask_next(table)
    return table, (closed, *stops, *more)


def close(
    table: Questions,
    question: Question,
    action: Action,
    *,
    result: Json | None = None,
    code: int = 0,
    reason: str = "",
) -> Move:
    """A question leaves the table with a `result`, or refused with a JSON-RPC `code`."""
    origin = question.origin
    closed = QuestionClosed(
        question=question.id, server=origin.server, action=action, reason=reason
    )
    table, stops = _without(table, question)
    if result is not None:
        table, outputs = answer(table, origin, result)
    else:
        table, outputs = refuse(table, origin, code, reason)
    table, more = ask_next(table)
    return table, (closed, *stops, *outputs, *more)


def _without(table: Questions, question: Question) -> Move:
    left = {id_: other for id_, other in table.open.items() if id_ != question.id}
    stops: Outputs = (StopTimer(id=PREFIX + question.id),)
    match table.open.get(question.id, question).state:
        case "asked":
            stops = (*stops, StopAsking(question=question.id))
        case "sampling":
            stops = (*stops, CancelModel(call=SAMPLE + question.id))
        case "waits":
            pass
    return replace(table, open=left), stops


def answer(table: Questions, origin: Origin, result: Json) -> Move:
    """Give a result to whoever asked."""
    if origin.call:
        given = Answer(origin.call, origin.key, result)
        return replace(table, answers=(*table.answers, given)), ()
    return table, _post(origin, jsonrpc.answer(origin.rpc_id, result))


def refuse(table: Questions, origin: Origin, code: int, text: str) -> Move:
    """Refuse what was asked, in words."""
    if origin.call:
        given = Answer(origin.call, origin.key, None, text)
        return replace(table, answers=(*table.answers, given)), ()
    return table, _post(origin, jsonrpc.refusal(origin.rpc_id, code, text))


def _post(origin: Origin, message: Json) -> Outputs:
    if origin.route is None:
        return ()
    return (wire.post(origin.route, f"answer:{origin.server}:{origin.rpc_id}", message),)


def with_question(table: Questions, question: Question) -> Questions:
    """The table with this state of a question."""
    return replace(table, open={**table.open, question.id: question})

"""The table of what servers wait for, and how a question enters and leaves it.

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
State: TypeAlias = Literal[
    "waits",  # for its turn
    "asked",  # a person has it
    "sampling",  # the model has it
    "over",  # nobody has it any more, and it is about to leave
]


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where an answer goes.

    Back over `route`, as the answer to the server's own request `rpc_id`; or, without a route, to
    the call or request `waiter`, as its input `key`.
    """

    server: str
    route: Route | None = None
    rpc_id: jsonrpc.Id = None
    waiter: str = ""
    key: str = ""


class Question(msgspec.Struct, frozen=True):
    """An open question."""

    id: str
    origin: Origin
    asked: QuestionAsked
    state: State = "waits"


class Answer(msgspec.Struct, frozen=True):
    """What a call or request gets: a `result`, or a `refusal` in words."""

    waiter: str
    key: str
    result: Json | None
    refusal: str = ""


class Questions(msgspec.Struct, frozen=True):
    """The table; `samples` counts what the model was asked for servers.

    `answers` is what calls and requests are to get now: whoever uses the table takes it out.
    """

    plan: Plan
    open: dict[str, Question] = {}
    numbers: int = 0
    samples: int = 0
    answers: tuple[Answer, ...] = ()


Outputs: TypeAlias = tuple[Passing, ...]
Move: TypeAlias = tuple[Questions, Outputs]


def enter(table: Questions, origin: Origin, asked: QuestionAsked) -> tuple[Questions, Question]:
    """A question enters the table, under an id of its own."""
    number = table.numbers + 1
    id_ = f"q{number}"
    question = Question(id_, origin, replace(asked, question=id_))
    return with_question(replace(table, numbers=number), question), question


def ask_next(table: Questions) -> Move:
    """Put the oldest question that waits to the person, if no other is being asked."""
    questions = tuple(table.open.values())
    question = next((each for each in questions if each.state == "waits"), None)
    if question is None or any(each.state == "asked" for each in questions):
        return table, ()
    table = with_question(table, replace(question, state="asked"))
    timer = StartTimer(id=PREFIX + question.id, seconds=table.plan.question_timeout)
    return table, (timer, Ask(question=question.id))


def drop(table: Questions, question: Question, reason: str) -> Move:
    """Nobody waits for the answer: none is given."""
    table, outputs = leave(table, question, "cancel", reason)
    table, more = ask_next(table)
    return table, (*outputs, *more)


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
    table, outputs = leave(table, question, action, reason)
    if result is not None:
        table, given = answer(table, question.origin, result)
    else:
        table, given = refuse(table, question.origin, code, reason)
    table, more = ask_next(table)
    return table, (*outputs, *given, *more)


def answer(table: Questions, origin: Origin, result: Json) -> Move:
    """Give a result to whoever asked."""
    if origin.route is None:
        given = Answer(origin.waiter, origin.key, result)
        return replace(table, answers=(*table.answers, given)), ()
    message = jsonrpc.answer(origin.rpc_id, result)
    return table, (wire.post(origin.route, _name(origin), message),)


def refuse(table: Questions, origin: Origin, code: int, text: str) -> Move:
    """Refuse what was asked, in words."""
    if origin.route is None:
        given = Answer(origin.waiter, origin.key, None, text)
        return replace(table, answers=(*table.answers, given)), ()
    message = jsonrpc.refusal(origin.rpc_id, code, text)
    return table, (wire.post(origin.route, _name(origin), message),)


def with_question(table: Questions, question: Question) -> Questions:
    """The table with this state of a question."""
    return replace(table, open={**table.open, question.id: question})


def leave(table: Questions, question: Question, action: Action, reason: str) -> Move:
    """A question leaves the table, and whoever has it is told."""
    left = {id_: other for id_, other in table.open.items() if id_ != question.id}
    closed = QuestionClosed(
        question=question.id, server=question.origin.server, action=action, reason=reason
    )
    outputs: Outputs = (closed, StopTimer(id=PREFIX + question.id))
    match question.state:
        case "asked":
            outputs = (*outputs, StopAsking(question=question.id))
        case "sampling":
            outputs = (*outputs, CancelModel(call=SAMPLE + question.id))
        case "waits" | "over":
            pass
    return replace(table, open=left), outputs


def _name(origin: Origin) -> str:
    return f"answer:{origin.server}:{origin.rpc_id}"

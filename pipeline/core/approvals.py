"""The question whether to approve what tools say now: put to a person, and what the answer means.

Pure moves over the tables of questions and pins. There is one such question for each server; it is
about all tools that nobody has decided on, and is taken back when they change again.
"""

from collections.abc import Iterable

from msgspec import to_builtins

from pipeline.core import pins as pinning
from pipeline.core.events import ChangedTool, Json, QuestionAsked
from pipeline.core.pins import Pins
from pipeline.core.question_table import (
    Move,
    Origin,
    Outputs,
    Question,
    Questions,
    ask_next,
    drop,
    enter,
)
from pipeline.core.shapes import is_list

APPROVAL = "approval"
"""The `waiter` of these questions; their `key` is the server."""


def asked_of(table: Questions, server: str) -> Question | None:
    """The open question about the tools of a server."""
    mine = (q for q in table.open.values() if q.origin.waiter == APPROVAL)
    return next((each for each in mine if each.origin.key == server), None)


def asked_about(table: Questions) -> frozenset[tuple[str, str]]:
    """Server and name of each tool that a person is being asked about."""
    open_ = (each for each in table.open.values() if each.origin.waiter == APPROVAL)
    return frozenset(
        (each.origin.key, tool["name"]) for each in open_ for tool in each.asked.detail["tools"]
    )


def ask(table: Questions, pins: Pins, servers: Iterable[str]) -> Move:
    """Ask about the undecided tools of these servers, where that is wished and nobody does yet."""
    outputs: Outputs = ()
    if pins.plan.changed_tools != "ask":
        return table, outputs
    for server in servers:
        tools = pinning.undecided(pins, server)
        is_full = len(table.open) >= table.plan.max_questions
        if not tools or is_full or asked_of(table, server) is not None:
            continue
        origin = Origin(server=server, waiter=APPROVAL, key=server)
        detail: Json = {"tools": [_shown(tool) for tool in tools]}
        asked = QuestionAsked(question="", server=server, form="approve", message="", detail=detail)
        table, question = enter(table, origin, asked)
        table, more = ask_next(table)
        outputs = (*outputs, question.asked, *more)
    return table, outputs


def withdraw(table: Questions, server: str, reason: str) -> Move:
    """Nobody needs to decide any more, or not on this."""
    question = asked_of(table, server)
    return (table, ()) if question is None else drop(table, question, reason)


def on_answer(pins: Pins, server: str, result: Json | None) -> pinning.Move:
    """A person has approved some of the tools, or none, or has not decided (`cancel`)."""
    match result:
        case {"action": "accept", "tools": tools} if is_list(tools):
            chosen: list[object] = tools
        case {"action": "decline"}:
            chosen = []
        case _:
            return pins, ()
    names = [tool.name for tool in pinning.undecided(pins, server)]
    pins = pinning.decline(pins, server, [name for name in names if name not in chosen])
    return pinning.approve(pins, server, [name for name in names if name in chosen])


def _shown(tool: ChangedTool) -> Json:
    return {**to_builtins(tool), "difference": list(tool.difference)}

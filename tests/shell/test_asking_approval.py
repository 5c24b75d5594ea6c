"""A person is shown what a tool says otherwise, and approves it or not."""

import pytest

from pipeline.core.events import Json, QuestionAsked
from pipeline.shell.asking import Desk, answer
from sinks.terminal_text import one_line

EVIL = "Add. \x1b[2J\u202e\u200b"


class Person:
    """Types these lines; then there is nothing more (`EOFError`)."""

    def __init__(self, *lines: str) -> None:
        self.lines = list(lines)
        self.labels: list[str] = []
        self.said: list[str] = []

    async def line(self, label: str) -> str:
        self.labels.append(label)
        if not self.lines:
            raise EOFError
        return self.lines.pop(0)

    async def answers(self, asked: QuestionAsked) -> tuple[str, Json]:
        found = await answer(asked, Desk(self.line, self.said.append, one_line))
        return found.action, found.content


def approval(*names: str, lines: list[str] | None = None) -> QuestionAsked:
    shown = ["description:", "  - Add.", f"  + {EVIL}"] if lines is None else lines
    tools = [{"name": name, "difference": shown} for name in names]
    return QuestionAsked(
        question="q1", server="s", form="approve", message="", detail={"tools": tools}
    )


async def test_what_has_changed_is_shown_line_by_line_and_harmless() -> None:
    person = Person("y")
    assert await person.answers(approval("add\x1b")) == ("accept", {"tools": ["add\x1b"]})
    assert person.said == [
        r"  add\x1b says otherwise than what was approved:",
        "  | description:",
        "  |   - Add.",
        r"  |   + Add. \x1b[2J\u202e\u200b",
    ]
    assert person.labels == ["  approve it? [y/N] "]


@pytest.mark.parametrize("typed", ["", "n", "no", "maybe"])
async def test_anything_but_a_yes_is_a_no(typed: str) -> None:
    assert await Person(typed).answers(approval("add")) == ("decline", {})
    assert await Person(typed).answers(approval("add", "sub")) == ("decline", {})


async def test_all_of_several_are_approved_with_one_yes() -> None:
    person = Person("Yes")
    assert await person.answers(approval("add", "sub")) == ("accept", {"tools": ["add", "sub"]})
    assert person.labels == ["  approve all 2? [y/N/each] "]


async def test_each_of_several_may_be_decided_on_by_itself() -> None:
    person = Person("each", "n", "y")
    assert await person.answers(approval("add", "sub")) == ("accept", {"tools": ["sub"]})
    assert person.labels[1:] == ["  approve add? [y/N] ", "  approve sub? [y/N] "]
    assert await Person("e", "", "").answers(approval("add", "sub")) == ("decline", {})


async def test_who_leaves_has_not_decided() -> None:
    assert await Person().answers(approval("add")) == ("cancel", {})
    assert await Person("e", "y").answers(approval("add", "sub")) == ("cancel", {})


async def test_what_is_too_much_to_show_is_said_to_be() -> None:
    person = Person("n")
    await person.answers(approval("add", lines=[]))
    assert "not shown" in person.said[1]

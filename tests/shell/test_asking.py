"""Questions of servers to a person: what is shown, what is typed, what comes of it."""

from collections.abc import Sequence
from typing import Any

import pytest

from pipeline.core.events import Json, QuestionAnswered, QuestionAsked
from pipeline.shell.asking import Desk, answer

NAME: Json = {"type": "string", "title": "Your name"}
AGE: Json = {"type": "integer", "minimum": 1, "default": 36}
COLOUR: Json = {"oneOf": [{"const": "r", "title": "Red"}, {"const": "g", "title": "Green"}]}
TOYS: Json = {"type": "array", "items": {"enum": ["car", "ball"]}, "description": "Pick some."}


class Person:
    """Types these lines, then leaves; `labels` and `said` are what was shown."""

    def __init__(self, *lines: str) -> None:
        self.lines = list(lines)
        self.labels: list[str] = []
        self.said: list[str] = []

    async def line(self, label: str) -> str:
        self.labels.append(label)
        if not self.lines:
            raise EOFError
        return self.lines.pop(0)

    async def answers(self, asked: QuestionAsked, **known: Any) -> tuple[str, Json]:
        desk = Desk(self.line, self.said.append, lambda text: text.replace("\x1b", "ESC"))
        found = await answer(asked, desk, known)
        assert isinstance(found, QuestionAnswered)
        assert found.question == asked.question
        return found.action, found.content


def form(*required: str, **properties: Any) -> QuestionAsked:
    schema = {"type": "object", "properties": properties, "required": list(required)}
    return QuestionAsked(question="q1", server="s", form="form", message="who?", schema=schema)


def visit(url: str) -> QuestionAsked:
    return QuestionAsked(question="q1", server="s", form="url", message="log in", url=url)


def sample(**params: Any) -> QuestionAsked:
    return QuestionAsked(question="q1", server="s", form="sample", message="x", detail=params)


# --- forms --------------------------------------------------------------------------------------


async def test_a_form_is_filled_in_field_by_field_and_sent_after_a_look_at_it() -> None:
    person = Person("Ada", "", "2", "1, ball", "yes", "")
    fields = {"name": NAME, "age": AGE, "colour": COLOUR, "toys": TOYS, "ok": {"type": "boolean"}}
    assert await person.answers(form("name", **fields)) == (
        "accept",
        {"name": "Ada", "age": 36, "colour": "g", "toys": ["car", "ball"], "ok": True},
    )
    assert person.labels == [
        "  Your name (text): ",
        "  age (a whole number from 1) [36]: ",
        "  colour (1 to 2, may stay empty): ",
        "  toys (1 to 2, several with commas, may stay empty): ",
        "  ok (yes or no, may stay empty): ",
        "  send it? [Y/n/edit] ",
    ]
    assert person.said == [
        "  Enter takes what is in [brackets]; /decline refuses, Ctrl-C cancels",
        "    1. Red",
        "    2. Green",
        "  | Pick some.",
        "    1. car",
        "    2. ball",
        "  Your name: Ada",
        "  age: 36",
        "  colour: Green",
        "  toys: car, ball",
        "  ok: yes",
    ]


async def test_before_it_is_sent_it_may_be_changed_with_what_was_typed_as_the_proposal() -> None:
    person = Person("Ada", "", "edit", "Bob", "", "y")
    asked = form("name", name=NAME, note={"type": "string"})
    assert await person.answers(asked) == ("accept", {"name": "Bob"})
    assert person.labels[3] == "  Your name (text) [Ada]: "
    assert "  note: (nothing)" in person.said


@pytest.mark.parametrize("lines", [["/decline"], ["Ada", " /decline "], ["Ada", "", "n"]])
async def test_it_may_be_refused_at_any_field_and_at_the_end(lines: Sequence[str]) -> None:
    asked = form("name", name=NAME, note={"type": "string"})
    assert await Person(*lines).answers(asked) == ("decline", {})


@pytest.mark.parametrize("lines", [[], ["Ada"], ["Ada", ""]])
async def test_whoever_leaves_cancels_it(lines: Sequence[str]) -> None:
    asked = form("name", name=NAME, note={"type": "string"})
    assert await Person(*lines).answers(asked) == ("cancel", {})


async def test_what_was_said_beforehand_is_proposed_where_it_fits() -> None:
    person = Person("", "", "4", "")
    asked = form("name", name=NAME, colour=COLOUR, age=AGE)
    known = {"name": "Ada", "colour": "pink", "age": "old", "other": 1}
    assert await person.answers(asked, **known) == ("accept", {"name": "Ada", "age": 4})
    assert person.labels[:3] == [
        "  Your name (text) [Ada]: ",
        "  colour (1 to 2, may stay empty): ",
        "  age (a whole number from 1) [36]: ",
    ]


async def test_what_does_not_fit_is_asked_for_again_with_what_was_expected() -> None:
    person = Person("", "0", "five", "7", "")
    asked = form("age", age={"type": "integer", "minimum": 1})
    assert await person.answers(asked) == ("accept", {"age": 7})
    assert person.said[1:4] == [
        "! found nothing, expected a whole number from 1",
        "! age: found 0, expected a whole number from 1",
        "! age: found 'five', expected a whole number from 1",
    ]


async def test_that_is_not_done_for_ever() -> None:
    person = Person(*["five"] * 9)
    assert (await person.answers(form("age", age=AGE)))[0] == "cancel"
    assert len(person.labels) == 5
    assert person.said[-1] == "! that was 5 times; the question is cancelled"


async def test_what_a_server_writes_is_harmless_and_cannot_look_like_ours() -> None:
    evil = {
        "type": "string",
        "title": "\x1b[2J" + "t" * 200,
        "description": "one\n! trouble\x1b\n" + "d" * 5000,
        "default": "\x1b]0;x",
    }
    person = Person("", "")
    await person.answers(form(x=evil))
    shown = "\n".join([*person.said, *person.labels])
    assert "\x1b" not in shown
    assert "  | ! troubleESC" in person.said
    assert any(line.startswith("  | … and ") for line in person.said)
    assert all(len(label) < 300 for label in person.labels)


async def test_not_more_choices_are_listed_than_one_can_look_at() -> None:
    person = Person("77", "")
    many = {"enum": [f"c{number}" for number in range(1, 100)]}
    assert await person.answers(form(x=many)) == ("accept", {"x": "c77"})
    assert len(person.said) < 60


# --- addresses ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "action"), [("y", "accept"), ("YES", "accept"), ("", "decline"), ("n", "decline")]
)
async def test_an_address_is_visited_by_the_person_who_sees_where_it_leads(
    typed: str, action: str
) -> None:
    person = Person(typed)
    assert await person.answers(visit("https://good.example@evil.example/x")) == (action, {})
    assert person.said == ["  it leads to evil.example"]


@pytest.mark.parametrize("host", ["xn--pple-43d.com", "\u0430pple.com"])
async def test_a_name_that_may_look_like_another_is_warned_of(host: str) -> None:
    person = Person("y")
    await person.answers(visit(f"https://{host}/"))
    assert "may look like others" in person.said[-1]


async def test_whoever_leaves_has_not_been_there() -> None:
    assert await Person().answers(visit("https://a.example")) == ("cancel", {})


# --- the model ----------------------------------------------------------------------------------


async def test_all_that_the_model_would_get_is_shown() -> None:
    person = Person("y")
    asked = sample(
        messages=[
            {"role": "user", "content": {"type": "text", "text": "one\ntwo"}},
            {"role": "assistant", "content": {"type": "text", "text": "A"}},
            {"role": "user", "content": {"type": "image", "data": "", "mimeType": "image/png"}},
        ],
        systemPrompt="Be kind.",
        maxTokens=50,
    )
    assert await person.answers(asked) == ("accept", {})
    assert person.said == [
        "  system:",
        "  | Be kind.",
        "  user:",
        "  | one",
        "  | two",
        "  assistant:",
        "  | A",
        "  user:",
        "  | (an image)",
    ]
    assert person.labels == ["  let the model answer, up to 50 tokens? [y/N] "]


async def test_without_a_yes_the_model_is_not_asked() -> None:
    asked = sample(messages=[{"role": "user", "content": {"type": "text", "text": "x"}}])
    assert await Person("").answers(asked) == ("decline", {})
    assert await Person().answers(asked) == ("cancel", {})

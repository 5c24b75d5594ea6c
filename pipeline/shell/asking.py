"""Questions to a person at a terminal: forms, addresses, the model's use, tools that have changed.

Which server asks, and what for, was shown before; here come the answers. All texts are a server's,
and are made harmless first. MCP: client/elicitation and client/sampling, "User Interaction Model".
"""

from collections.abc import Awaitable, Callable
from typing import Any, Literal
from urllib.parse import urlsplit

from msgspec.structs import replace

from pipeline.core.events import Json, QuestionAnswered, QuestionAsked
from pipeline.core.forms import (
    BadAnswerError,
    Field,
    check,
    expected,
    read_answer,
    read_form,
    with_default,
)
from pipeline.core.sampling import read_sample
from pipeline.core.shapes import is_list

_TRIES = 5
_YES, _EDIT = frozenset({"y", "yes"}), frozenset({"e", "edit"})
_EACH = frozenset({"e", "each"})
_DECLINE = "/decline"
_LABEL, _TEXT, _MOST_CHOICES = 80, 2000, 50
_Action = Literal["accept", "decline", "cancel"]


class Desk:
    """Where a person is asked.

    `line` asks for one line behind a label, and raises `EOFError` if there is none (Ctrl-C,
    Ctrl-D). `say` shows a line. `harmless` makes a server's text one that drives no terminal.
    """

    def __init__(
        self,
        line: Callable[[str], Awaitable[str]],
        say: Callable[[str], None],
        harmless: Callable[[str], str],
    ) -> None:
        self.line = line
        self.say = say
        self._harmless = harmless

    def short(self, text: str, limit: int = _LABEL) -> str:
        """The beginning of a server's text, on one line."""
        return self._harmless(text if len(text) <= limit else f"{text[:limit]}…")

    def quote(self, text: str) -> None:
        """Show a server's text so that none of its lines looks like one of ours."""
        left_out = f"… and {len(text) - _TEXT} characters more" if len(text) > _TEXT else ""
        for line in [*text[:_TEXT].splitlines(), left_out]:
            if line:
                self.say(f"  | {self._harmless(line)}")


async def answer(asked: QuestionAsked, desk: Desk, known: Json | None = None) -> QuestionAnswered:
    """Have the person answer one question; Ctrl-C or Ctrl-D cancels it.

    `known` are answers by the names of fields that were given beforehand: they are proposed.
    """
    content: Json = {}
    action: _Action
    try:
        match asked.form:
            case "form":
                action, content = await _form(asked, desk, known or {})
            case "url":
                action = await _url(asked, desk)
            case "sample":
                action = await _sample(asked, desk)
            case "approve":
                action, content = await _approve(asked, desk)
    except EOFError:
        action = "cancel"
    return QuestionAnswered(question=asked.question, action=action, content=content)


# --- forms --------------------------------------------------------------------------------------


async def _form(asked: QuestionAsked, desk: Desk, known: Json) -> tuple[_Action, Json]:
    """All fields, then a look at what would be sent; it may be changed as often as one likes."""
    fields = tuple(with_default(each, known.get(each.name)) for each in read_form(asked.schema))
    desk.say(f"  Enter takes what is in [brackets]; {_DECLINE} refuses, Ctrl-C cancels")
    while True:
        content: Json = {}
        for field in fields:
            value = await _field(field, desk)
            if value == _DECLINE:
                return "decline", {}
            if value is not None:
                content[field.name] = value
        whole = check(fields, content)
        for field in fields:
            desk.say(f"  {_name(field, desk)}: {_shown(field, whole.get(field.name), desk)}")
        typed = (await desk.line("  send it? [Y/n/edit] ")).strip().lower()
        if typed in _EDIT:
            fields = tuple(replace(each, default=whole.get(each.name)) for each in fields)
        else:
            return ("accept", whole) if typed in ("", *_YES) else ("decline", {})


async def _field(field: Field, desk: Desk) -> Any:
    """A value of the field, None for nothing, or the word that declines all of it."""
    if field.description:
        desk.quote(field.description)
    for number, (value, title) in enumerate([*field.choices.items()][:_MOST_CHOICES], 1):
        desk.say(f"    {number}. {desk.short(title or value)}")
    label = f"  {_name(field, desk)} ({_expected(field, desk)})"
    if field.default is not None:
        label = f"{label} [{_shown(field, field.default, desk)}]"
    for _ in range(_TRIES):
        text = await desk.line(f"{label}: ")
        if text.strip() == _DECLINE:
            return _DECLINE
        try:
            value = read_answer(field, text)
        except BadAnswerError as exc:
            desk.say(f"! {desk.short(str(exc), _TEXT)}")
            continue
        if value is not None or field.default is not None or not field.is_required:
            return value
        desk.say(f"! found nothing, expected {desk.short(expected(field), _TEXT)}")
    desk.say(f"! that was {_TRIES} times; the question is cancelled")
    raise EOFError


def _name(field: Field, desk: Desk) -> str:
    return desk.short(field.title or field.name)


def _expected(field: Field, desk: Desk) -> str:
    match field.kind:
        case "choice":
            words = f"1 to {len(field.choices)}"
        case "choices":
            words = f"1 to {len(field.choices)}, several with commas"
        case _:
            words = desk.short(expected(field))
    is_open = not field.is_required and field.default is None
    return f"{words}, may stay empty" if is_open else words


def _shown(field: Field, value: Any, desk: Desk) -> str:
    """A value in the words in which it could have been typed."""
    if value is None:
        return "(nothing)"
    if isinstance(value, bool):
        return "yes" if value else "no"
    values = value if is_list(value) else [value]
    words = [field.choices.get(each) or str(each) for each in values]
    return desk.short(", ".join(words), _TEXT)


# --- addresses and the model --------------------------------------------------------------------


async def _url(asked: QuestionAsked, desk: Desk) -> _Action:
    """Nothing is opened: the person takes the address to a browser, having seen all of it."""
    host = urlsplit(asked.url).hostname or ""
    desk.say(f"  it leads to {desk.short(host, _TEXT)}")
    if "xn--" in host or not host.isascii():
        desk.say("! that name has letters that may look like others: make sure it is the right one")
    return await _yes_or_no("have you been there? [y/N] ", desk)


async def _sample(asked: QuestionAsked, desk: Desk) -> _Action:
    """All that the model would get is shown, as far as it is text."""
    sample = read_sample(asked.detail)
    if sample.system:
        desk.say("  system:")
        desk.quote(sample.system)
    for message in sample.messages:
        desk.say(f"  {message['role']}:")
        desk.quote("\n".join(str(part.get("text", "(an image)")) for part in message["content"]))
    return await _yes_or_no(f"let the model answer, up to {sample.max_tokens} tokens? [y/N] ", desk)


# --- tools that say otherwise ---------------------------------------------------------------------


async def _approve(asked: QuestionAsked, desk: Desk) -> tuple[_Action, Json]:
    """Each tool with what it said and says; all of them, none, or each by itself."""
    tools: list[Json] = asked.detail["tools"]
    for tool in tools:
        desk.say(f"  {desk.short(tool['name'])} says otherwise than what was approved:")
        for line in tool["difference"]:
            desk.say(f"  | {desk.short(line, _TEXT)}")
        if not tool["difference"]:
            desk.say("  | (not shown, for there is too much that differs)")
    names = [tool["name"] for tool in tools]
    if len(names) == 1:
        return _chosen(names if await _is_yes("approve it? [y/N] ", desk) else [])
    typed = (await desk.line(f"  approve all {len(names)}? [y/N/each] ")).strip().lower()
    if typed not in _EACH:
        return _chosen(names if typed in _YES else [])
    return _chosen([n for n in names if await _is_yes(f"approve {desk.short(n)}? [y/N] ", desk)])


def _chosen(names: list[str]) -> tuple[_Action, Json]:
    return ("accept", {"tools": names}) if names else ("decline", {})


async def _yes_or_no(label: str, desk: Desk) -> _Action:
    return "accept" if await _is_yes(label, desk) else "decline"


async def _is_yes(label: str, desk: Desk) -> bool:
    return (await desk.line(f"  {label}")).strip().lower() in _YES

"""Questions of servers to a person at a terminal: forms, addresses to visit, the model's use.

What is asked is shown by the console before; here come the answers. All texts are a server's, and
are made harmless first. MCP: client/elicitation and client/sampling, "User Interaction Model".
"""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from pipeline.core.events import Json, QuestionAnswered, QuestionAsked
from pipeline.core.forms import (
    BadAnswerError,
    BadFormError,
    Field,
    check,
    expected,
    read_answer,
    read_form,
)

Line = Callable[[str], Awaitable[str]]
"""Asks for one line below a label; `EOFError` and `KeyboardInterrupt` as a terminal has them."""

_TRIES = 5
_YES = frozenset({"y", "yes"})
_LONGEST = 200


async def answer(asked: QuestionAsked, line: Line, say: Callable[[str], None]) -> QuestionAnswered:
    """Have the person answer one question; Ctrl-C or Ctrl-D cancels it."""
    try:
        match asked.form:
            case "form":
                return await _form(asked, line, say)
            case "url":
                return await _url(asked, line, say)
            case "sample":
                return await _yes_or_no(asked, line, "let the model answer it? [y/N] ")
    except (EOFError, KeyboardInterrupt):
        return QuestionAnswered(question=asked.question, action="cancel")


async def _form(asked: QuestionAsked, line: Line, say: Callable[[str], None]) -> QuestionAnswered:
    try:
        fields = read_form(asked.schema)
    except BadFormError as exc:  # the core does not let one through
        say(f"! {exc}")
        return QuestionAnswered(question=asked.question, action="cancel")
    say("  Enter takes what is in [brackets]; /decline refuses, Ctrl-C cancels")
    content: Json = {}
    for field in fields:
        typed = await _field(field, line, say)
        if typed is _DECLINED:
            return QuestionAnswered(question=asked.question, action="decline")
        if typed is not None:
            content[field.name] = typed
    return QuestionAnswered(
        question=asked.question, action="accept", content=check(fields, content)
    )


_DECLINED = object()


async def _field(field: Field, line: Line, say: Callable[[str], None]) -> Any:
    if field.description:
        say(f"  {_short(field.description)}")
    for number, (value, title) in enumerate(field.choices.items(), 1):
        say(f"    {number}. {_short(title or value)}")
    proposed = "" if field.default is None else f" [{_short(str(field.default))}]"
    is_open = "" if field.is_required or proposed else ", may stay empty"
    label = (
        f"  {_short(field.title or field.name)} ({_short(expected(field))}{is_open}){proposed}: "
    )
    for _ in range(_TRIES):
        text = await line(label)
        if text.strip() == "/decline":
            return _DECLINED
        try:
            value = read_answer(field, text)
        except BadAnswerError as exc:
            say(f"! {_short(str(exc))}")
            continue
        if value is not None or field.default is not None or not field.is_required:
            return value
        say(f"! found nothing, expected {_short(expected(field))}")
    raise EOFError


async def _url(asked: QuestionAsked, line: Line, say: Callable[[str], None]) -> QuestionAnswered:
    """Nothing is opened: the person takes the address to a browser, having seen all of it."""
    host = urlsplit(asked.url).hostname or ""
    say(f"  the address leads to {_short(host)}")
    if "xn--" in host or not host.isascii():
        say("! its name has letters that look like others; make sure that it is the right one")
    return await _yes_or_no(asked, line, "have you done so? [y/N] ")


async def _yes_or_no(asked: QuestionAsked, line: Line, label: str) -> QuestionAnswered:
    text = await line(f"  {label}")
    is_yes = text.strip().lower() in _YES
    return QuestionAnswered(question=asked.question, action="accept" if is_yes else "decline")


def _short(text: str) -> str:
    plain = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
    return plain if len(plain) <= _LONGEST else f"{plain[:_LONGEST]}…"

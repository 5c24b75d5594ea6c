"""What a person may type in a chat beside prompts: `/resources`, `/prompt NAME key=value`.

The same words, without the slash, are commands of the command line. A first word `@SERVER` says
which server is meant, where several could be.
"""

import shlex
from collections.abc import Sequence
from typing import NamedTuple

from pipeline.core.events import Json, RequestSubmitted
from pipeline.core.jsonrpc import shorten


class Command(NamedTuple):
    """The words behind a command, and what it does."""

    words: str
    text: str


COMMANDS = {
    "resources": Command("", "what there is to read"),
    "templates": Command("", "addresses with gaps to fill in"),
    "read": Command("URI", "read a resource"),
    "subscribe": Command("URI", "be told when a resource changes"),
    "unsubscribe": Command("URI", "be told no more"),
    "skills": Command("", "what servers know how to do"),
    "prompts": Command("", "prompts that servers have ready"),
    "prompt": Command("NAME [key=value …]", "put one of them to the model"),
    "complete": Command("NAME|TEMPLATE key=START", "what an argument may go on with"),
}
"""What may be typed, without the slash."""

_LONGEST, _COLUMN = 80, 36
_LISTS = {
    "resources": "resources/list",
    "templates": "resources/templates/list",
    "prompts": "prompts/list",
    "skills": "skills/list",
}


def help_text() -> str:
    """All of them, a line each, for a person who types them."""
    typed = [(f"/{name} {each.words}".rstrip(), each.text) for name, each in COMMANDS.items()]
    lines = [f"  {words:<{_COLUMN}} {text}" for words, text in typed]
    return "\n".join((*lines, "  where several servers could be meant: /read @SERVER URI"))


class SlashError(ValueError):
    """A command with words that do not fit; the text says what was expected."""


def parse(text: str) -> RequestSubmitted | None:
    """The request that a line stands for; None if it is an ordinary prompt.

    Raises:
        SlashError: If it is one of these commands, but its words do not fit.
    """
    word, rest = [*text.split(maxsplit=1), "", ""][:2]
    command = word[1:] if word.startswith("/") else ""
    if command not in COMMANDS:
        return None
    try:
        words = shlex.split(rest)
    except ValueError as exc:
        raise SlashError(
            f"{word}: found {shorten(rest, _LONGEST)!r}, which has no words: {exc}"
        ) from exc
    return request(command, words, into_chat=True)


def request(command: str, words: Sequence[str], *, into_chat: bool = False) -> RequestSubmitted:
    """The request of a command and its words. `into_chat`: the model is to answer a prompt.

    Raises:
        SlashError: If the words do not fit.
    """
    server = words[0][1:] if words and words[0].startswith("@") else ""
    typed = f"/{command}" if into_chat else command
    method, params = _meaning(command, words[1:] if server else words, typed)
    is_prompt = method == "prompts/get"
    return RequestSubmitted(
        method=method, params=params, server=server, into_chat=into_chat and is_prompt
    )


def _meaning(command: str, words: Sequence[str], typed: str) -> tuple[str, Json]:
    match command, list(words):
        case ("resources" | "templates" | "prompts" | "skills") as what, []:
            return _LISTS[what], {}
        case ("read" | "subscribe" | "unsubscribe") as verb, [uri]:
            return f"resources/{verb}", {"uri": uri}
        case "prompt", [name, *pairs]:
            return "prompts/get", {"name": name, "arguments": dict(_pairs(typed, pairs))}
        case "complete", [name, pair, *others]:
            return "completion/complete", _completion(name, _pairs(typed, [pair, *others]))
        case _:
            found = shorten(" ".join([typed, *words]), _LONGEST)
            expected = f"{typed} {COMMANDS[command].words}".rstrip()
            raise SlashError(f"found {found!r}, expected {expected}")


def _completion(name: str, pairs: Sequence[tuple[str, str]]) -> Json:
    """MCP: server/utilities/completion. The first pair is what begins, the others are known."""
    (argument, start), *known = pairs
    is_template = "://" in name or "{" in name
    ref: Json = (
        {"type": "ref/resource", "uri": name}
        if is_template
        else {"type": "ref/prompt", "name": name}
    )
    params: Json = {"ref": ref, "argument": {"name": argument, "value": start}}
    return {**params, "context": {"arguments": dict(known)}} if known else params


def _pairs(typed: str, words: Sequence[str]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for word in words:
        key, is_pair, value = word.partition("=")
        if not is_pair or not key:
            raise SlashError(f"{typed}: found {shorten(word, _LONGEST)!r}, expected key=value")
        found.append((key, value))
    return found

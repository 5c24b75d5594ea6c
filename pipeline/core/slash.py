"""What a person may type in a chat beside prompts: `/resources`, `/prompt NAME key=value`.

The same words, without the slash, are commands of the command line.
"""

import shlex
from collections.abc import Sequence

from pipeline.core.events import Json, RequestSubmitted

USAGE = {
    "resources": "/resources",
    "templates": "/templates",
    "read": "/read URI",
    "subscribe": "/subscribe URI",
    "unsubscribe": "/unsubscribe URI",
    "prompts": "/prompts",
    "prompt": "/prompt NAME [key=value …]",
    "complete": "/complete NAME key=START",
}
"""Each command, and how it is typed."""


class SlashError(ValueError):
    """A command with words that do not fit; the text says what was expected."""


def parse(text: str) -> RequestSubmitted | None:
    """The request that a line stands for; None if it is an ordinary prompt.

    Raises:
        SlashError: If it is one of these commands, but its words do not fit.
    """
    word, _, rest = text.strip().partition(" ")
    if not word.startswith("/") or word[1:] not in USAGE:
        return None
    try:
        words = shlex.split(rest)
    except ValueError as exc:
        raise SlashError(f"{word}: found a quote without an end in {rest!r}") from exc
    return request(word[1:], words, into_chat=True)


def request(command: str, words: Sequence[str], *, into_chat: bool = False) -> RequestSubmitted:
    """The request of a command and its words. `into_chat`: the model is to answer a prompt.

    Raises:
        SlashError: If the words do not fit.
    """
    match command, list(words):
        case "resources", []:
            return RequestSubmitted(method="resources/list")
        case "templates", []:
            return RequestSubmitted(method="resources/templates/list")
        case "prompts", []:
            return RequestSubmitted(method="prompts/list")
        case ("read" | "subscribe" | "unsubscribe") as verb, [uri]:
            return RequestSubmitted(method=f"resources/{verb}", params={"uri": uri})
        case "prompt", [name, *pairs]:
            params: Json = {"name": name, "arguments": _pairs(command, pairs)}
            return RequestSubmitted(method="prompts/get", params=params, into_chat=into_chat)
        case "complete", [name, pair]:
            ((argument, start),) = _pairs(command, [pair]).items()
            is_template = "://" in name
            ref: Json = (
                {"type": "ref/resource", "uri": name}
                if is_template
                else {"type": "ref/prompt", "name": name}
            )
            params = {"ref": ref, "argument": {"name": argument, "value": start}}
            return RequestSubmitted(method="completion/complete", params=params)
        case _:
            raise SlashError(f"found {' '.join([command, *words])!r}, expected {USAGE[command]}")


def _pairs(command: str, words: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for word in words:
        key, is_pair, value = word.partition("=")
        if not is_pair or not key:
            raise SlashError(f"{command}: found {word!r}, expected key=value")
        found[key] = value
    return found

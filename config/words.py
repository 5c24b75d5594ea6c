"""The words of the command line that are no options: the command, and what stands behind it."""

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, get_args

from config.commands import REQUESTS, Command, OutboxAction
from config.flags import UsageError, shown
from config.help import COMMANDS

_FILES: Mapping[Command, int] = MappingProxyType(
    {
        "replay": 1,
        "resume": 1,
        "fork": 1,
        "show": 1,
        "diff": 2,
        "lint": 1,
        "migrate": 1,
        "redact": 1,
    }
)


def command_of(words: Sequence[str]) -> tuple[Command, Sequence[str]]:
    """The command, and the words behind it.

    Raises:
        UsageError: For a word that is no command.
    """
    if not words:
        return "chat", ()
    for name, command in COMMANDS.items():
        if command.words and command.words.split(" ")[0] == words[0]:
            return name, words[1:]
    known = ", ".join(name for name in COMMANDS if name != "chat")
    raise UsageError(
        f"unknown command {shown(words[0])}; expected {known}, or -p TEXT for a prompt"
    )


def wishes_of(command: Command, words: Sequence[str]) -> dict[str, Any]:
    """What the words behind a command say, by field of the settings.

    Raises:
        UsageError: If they do not fit the command.
    """
    if command in _FILES:
        return _files(command, words)
    if command in REQUESTS:
        return {"request_words": tuple(words)}
    if command == "outbox":
        return {"outbox_action": _action(words)}
    if command != "call":
        if words:
            raise UsageError(f"found {shown(words[0])} after {command}, expected nothing more")
        return {}
    if not words:
        raise UsageError("call needs the name of a tool; the command tools lists them")
    tool, *arguments = words
    objects = [word for word in arguments if word.startswith("{")]
    if objects and len(arguments) > 1:
        raise UsageError("call: found a JSON object and more, expected one object or key=value …")
    for word in arguments:
        if not word.startswith("{") and word.find("=") < 1:
            raise UsageError(
                f"call: found {shown(word)} after the tool, expected key=value or a JSON object"
            )
    for text in objects:
        _check_object(text)
    return {"call_tool": tool, "call_arguments": tuple(arguments)}


def _files(command: Command, words: Sequence[str]) -> dict[str, Any]:
    count = _FILES[command]
    if len(words) != count:
        expected = "one recording" if count == 1 else f"{count} recordings"
        raise UsageError(f"{command}: found {len(words)} files, expected {expected}")
    return {"files": tuple(words)}


def _action(words: Sequence[str]) -> str:
    known = get_args(OutboxAction)
    if not words:
        return known[0]
    if len(words) > 1 or words[0] not in known:
        found = " ".join(map(shown, words))
        raise UsageError(f"outbox: found {found}, expected one of {', '.join(known)}")
    return words[0]


def _check_object(text: str) -> None:
    try:
        json.loads(text)
    except ValueError as exc:
        raise UsageError(f"call: the arguments are no JSON object: {exc}") from exc

"""The model without a key: a person types the tool calls, and the same agent loop runs them.

    add a=1 b=2 ; echo text=hi      two calls in one turn (or one on each line)
    help                            the tools, with what they take

It is deterministic: the same conversation gets the same answer.
"""

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from pipeline.core.arguments import (
    ArgumentsError,
    parse_arguments,
    split_command,
    split_commands,
    usage_line,
)
from pipeline.core.commands import CallModel
from pipeline.core.events import Json, ModelFailed, ModelFinished, ModelSpoke, Tool
from pipeline.core.shapes import is_list, is_object
from pipeline.core.tools import find
from pipeline.shell.models import Push, Room

MODEL = "direct"
ID_PREFIX = "direct_"

_OUR_ID = re.compile(rf"{ID_PREFIX}(\d{{1,15}})", re.ASCII)
_PIECE = 4096
_MAX_PROBLEMS = 5
_HOW = "type `tool key=value …`, or `help` for the tools"
_HELP = ("help", "?")


class DirectModel:
    """Turns commands into tool calls, and their results into the answer. Implements `Model`."""

    def __init__(self) -> None:
        self._issued = 0

    async def stream_turn(self, command: CallModel, push: Push, room: Room) -> None:
        """Answer the last message: a person's text, or else the results of the tools.

        What a server asks of the model (that has a `system` of its own) is refused: its words are
        no commands.
        """
        if command.system is not None:
            reason = f"{MODEL!r} calls the tools that a person names, and answers no server"
            push(ModelFailed(call=command.call, reason=reason))
            return
        reply = _reply(command)
        if isinstance(reply, str):
            for at in range(0, len(reply), _PIECE):
                push(ModelSpoke(call=command.call, text=reply[at : at + _PIECE]))
                await room()
            content: tuple[Json, ...] = ({"type": "text", "text": reply},)
        else:
            content = self._with_ids(reply, command.messages)
        stop_reason = "end_turn" if isinstance(reply, str) else "tool_use"
        push(
            ModelFinished(call=command.call, content=content, stop_reason=stop_reason, model=MODEL)
        )

    async def prepare(self) -> None:
        """There is nothing to wait for."""

    async def close(self) -> None:
        """There is nothing to release."""

    def _with_ids(self, calls: Sequence[Json], messages: Sequence[Json]) -> tuple[Json, ...]:
        """Number the calls on from all before, those of a resumed conversation included."""
        self._issued = max(self._issued, *_numbers(messages), 0)
        blocks: list[Json] = []
        for call in calls:
            self._issued += 1
            blocks.append({"type": "tool_use", "id": f"{ID_PREFIX}{self._issued}", **call})
        return tuple(blocks)


def _reply(command: CallModel) -> str | list[Json]:
    """What to say, or which tools to call: `{"name": …, "input": …}` each."""
    blocks = _blocks(command.messages[-1]) if command.messages else []
    texts = [str(block.get("text")) for block in blocks if block.get("type") == "text"]
    if texts:  # What a person says last counts, also beside results that nobody waits for now.
        return _obey("\n".join(texts), command.tools)
    results = [_result(block) for block in blocks if block.get("type") == "tool_result"]
    return "\n".join(results) or f"There is nothing to do: {_HOW}."


def _obey(text: str, tools: Sequence[Tool]) -> str | list[Json]:
    """The calls that a person asks for; if one of them is wrong, what is wrong, and no call."""
    commands = split_commands(text)
    if not commands:
        return f"There is nothing to do: {_HOW}."
    name, rest = split_command(commands[0])
    if name in _HELP:
        return _help(rest, tools)
    calls: list[Json] = []
    problems: list[str] = []
    for command in commands:
        try:
            calls.append(_call(command, tools))
        except ArgumentsError as exc:
            problems.append(str(exc))
    if not problems:
        return calls
    if len(problems) > _MAX_PROBLEMS:
        problems[_MAX_PROBLEMS:] = [f"(and {len(problems) - _MAX_PROBLEMS} more of the kind)"]
    return "\n".join((*problems, *(["No tool was called."] if calls else [])))


def _call(command: str, tools: Sequence[Tool]) -> Json:
    name, rest = split_command(command)
    tool = _tool(name, tools)
    try:
        arguments = parse_arguments(rest, tool.input_schema)
    except ArgumentsError as exc:
        usage = usage_line(_short(tool, tools), tool.input_schema)
        raise ArgumentsError(f"{name}: {exc}\nUsage: {usage}") from exc
    return {"name": tool.alias, "input": arguments}


def _tool(name: str, tools: Sequence[Tool]) -> Tool:
    found = find(tools, name)
    if len(found) == 1:
        return found[0]
    if found:
        names = " or ".join(repr(_short(tool, tools)) for tool in found)
        raise ArgumentsError(f"{name!r} may be {names}: type one of them.")
    names = sorted({_short(tool, tools) for tool in tools} | {tool.name for tool in tools})
    if close := get_close_matches(name, names, n=3):
        maybe = " or ".join(repr(known) for known in close)
        raise ArgumentsError(f"There is no tool {name!r}; did you mean {maybe}? ({_HOW})")
    raise ArgumentsError(
        f"There is no tool {name!r}. This is the `direct` model, which calls tools and "
        f"understands nothing else: {_HOW}; to talk to a real one, set a key and --model."
    )


def _help(name: str, tools: Sequence[Tool]) -> str:
    if name:
        try:
            tool = _tool(name, tools)
        except ArgumentsError as exc:
            return str(exc)
        usage = usage_line(_short(tool, tools), tool.input_schema)
        return "\n".join(filter(None, (usage, tool.description)))
    if not tools:
        return "No server offers a tool at the moment."
    lines = [f"  {usage_line(_short(tool, tools), tool.input_schema)}" for tool in tools]
    return "\n".join(
        (
            "Tools:",
            *lines,
            "",
            'Values: text="two words", numbers=[1, 2], any:=<JSON>; or all arguments as {"a": 1}.',
            "Several calls at once: ` ; ` between them, or one on each line.",
            "`help TOOL` describes one.",
        )
    )


def _short(tool: Tool, tools: Sequence[Tool]) -> str:
    """The shortest name that a person may use for it."""
    is_plain = len(find(tools, tool.name)) == 1 and tool.name not in _HELP
    return tool.name if is_plain else f"{tool.server}__{tool.name}"


def _result(block: Json) -> str:
    texts = "\n".join(_said(part) for part in _blocks(block))
    return f"error: {texts}" if block.get("is_error") else texts


def _said(part: Json) -> str:
    match part:
        case {"type": "text", "text": str() as text}:
            return text
        case {"type": "image", "source": {"media_type": kind}}:
            return f"(an image, {kind})"
        case _:
            return f"({part.get('type', 'something')})"


def _blocks(message: Json) -> list[Json]:
    """The blocks of a message or a tool result; text alone is one block."""
    content: Any = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [block for block in content if is_object(block)] if is_list(content) else []


def _numbers(messages: Sequence[Json]) -> Iterator[int]:
    for message in messages:
        for block in _blocks(message):
            if match := _OUR_ID.fullmatch(str(block.get("id"))):
                yield int(match[1])

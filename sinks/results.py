"""What `tools` and `call` print on standard output: the list, or the one result."""

from collections.abc import Sequence
from typing import TextIO

import msgspec

from config.unseen import harmless_json
from pipeline.core.codec import Entry
from pipeline.core.commands import Item
from pipeline.core.content import to_text
from pipeline.core.events import (
    ChangedTool,
    Json,
    RunEnded,
    Tool,
    ToolEnded,
    ToolsApproved,
    ToolsChanged,
    ToolsHeld,
)
from sinks.terminal_text import harmless
from sinks.tool_list import format_tools
from sinks.writer import OffLoopWriter, Piece, Stream


class ToolsSink:
    """Prints the tools of all servers when the run ends, as a list to read or as a JSON array."""

    name = "tools"

    def __init__(self, out: TextIO, *, as_json: bool) -> None:
        self._out = Stream(out, "standard output")
        self._as_json = as_json
        self._tools: dict[str, tuple[Tool, ...]] = {}
        self._held: dict[tuple[str, str], ChangedTool] = {}
        self._approved: dict[tuple[str, str], ChangedTool] = {}
        self._writer = OffLoopWriter()

    def wants(self, item: Item) -> bool:
        """Tool lists, and the end."""
        return isinstance(item, ToolsChanged | ToolsHeld | ToolsApproved | RunEnded)

    async def open(self) -> None:
        """Nothing to acquire: the stream is the caller's."""

    async def emit(self, entries: Sequence[Entry]) -> None:
        """Keep the lists; print them when the run ended well."""
        for entry in entries:
            match entry.item:
                case ToolsChanged(server=server, tools=tools):
                    self._tools[server] = tools
                case ToolsHeld() | ToolsApproved() as item:
                    self._note(item)
                case RunEnded(code=0):
                    await self._writer.write([Piece(self._out, self._text())])
                case _:
                    pass

    async def close(self) -> None:
        """The stream stays open."""

    def _note(self, item: ToolsHeld | ToolsApproved) -> None:
        found = {(item.server, tool.name): tool for tool in item.tools}
        if isinstance(item, ToolsApproved):
            self._approved.update(found)
        else:  # all that are held there as of now
            others = {key: tool for key, tool in self._held.items() if key[0] != item.server}
            self._held = {**others, **found}

    def _text(self) -> str | bytes:
        tools = [tool for tools in self._tools.values() for tool in tools]
        if self._as_json:
            described = [self._described(tool) for tool in tools]
            return harmless_json(msgspec.json.encode(described)) + b"\n"
        return format_tools(tools, held=self._held, approved=self._approved) + "\n"

    def _described(self, tool: Tool) -> Json:
        key = tool.server, tool.name
        marks = {"held": self._held.get(key), "approved": self._approved.get(key)}
        return {**_described(tool), **{name: each for name, each in marks.items() if each}}


class CallSink:
    """Prints the result of a call: its text, or with `as_json` the whole result as one object."""

    name = "call"

    def __init__(self, out: TextIO, *, as_json: bool) -> None:
        self._out = Stream(out, "standard output")
        self._as_json = as_json
        self._writer = OffLoopWriter()

    def wants(self, item: Item) -> bool:
        """The end of a call."""
        return isinstance(item, ToolEnded)

    async def open(self) -> None:
        """Nothing to acquire: the stream is the caller's."""

    async def emit(self, entries: Sequence[Entry]) -> None:
        """Print each result."""
        for entry in entries:
            if isinstance(entry.item, ToolEnded):
                await self._writer.write([Piece(self._out, self._text(entry.item))])

    async def close(self) -> None:
        """The stream stays open."""

    def _text(self, ended: ToolEnded) -> str | bytes:
        if self._as_json:
            return harmless_json(msgspec.json.encode(_result(ended))) + b"\n"
        if ended.outcome != "answered":
            return ""
        lines = [harmless(to_text(content)) for content in ended.content]
        if not lines and ended.structured is not None:
            lines = [harmless(msgspec.json.encode(ended.structured).decode())]
        return "".join(f"{line}\n" for line in lines)


def _described(tool: Tool) -> Json:
    found: Json = {
        "server": tool.server,
        "name": tool.name,
        "title": tool.title,
        "description": tool.description,
        "inputSchema": tool.input_schema,
        "outputSchema": tool.output_schema,
        "annotations": tool.annotations,
    }
    return {key: value for key, value in found.items() if value or key == "inputSchema"}


def _result(ended: ToolEnded) -> Json:
    found: Json = {
        "tool": ended.tool,
        "server": ended.server,
        "outcome": ended.outcome,
        "isError": ended.is_error,
        "content": ended.content,
        "structuredContent": ended.structured,
        "reason": ended.reason,
    }
    return {key: value for key, value in found.items() if value not in (None, "")}

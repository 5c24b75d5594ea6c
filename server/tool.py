"""What a tool is, the box that holds them, and how one call of a tool becomes its answer."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import msgspec

from server.arguments import Arguments, Schema

Log = Callable[[str], None]
"""Takes one line: `<` in, `>` out, `=` state, `!` trouble. Never holds a key or a session id."""
Progress = Callable[[float, float | None], None]
"""progress(done, total): `done` must grow from call to call; `total` None when unknown."""
CallToolResult = dict[str, Any]
"""MCP CallToolResult: `{"content": [{"type": "text", "text": …}], "isError": bool}`."""


class ToolError(Exception):
    """The tool's own failure, in words for the caller: answered with `isError: true`."""


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool, with what does its work.

    `run(arguments, progress)` gets arguments that fit `input_schema`, and returns the text of the
    answer. It raises ToolError for a failure in words. It must end when cancelled, for that is how
    a client's cancellation, its departure and the server's stop reach it.
    """

    name: str
    description: str
    input_schema: Schema
    run: Callable[[Arguments, Progress], Awaitable[str]]
    annotations: Mapping[str, Any] = {}


class ToolBox:
    """The tools on offer, in the order of their names, so that a list is the same each time."""

    def __init__(self, tools: Iterable[Tool]) -> None:
        self._tools = {tool.name: tool for tool in tools}

    def add(self, tool: Tool) -> None:
        """Offer `tool`, instead of one of the same name if there is one."""
        self._tools[tool.name] = tool

    def remove(self, name: str) -> None:
        """Offer the tool no longer; its running calls go on.

        Raises:
            KeyError: When there is none of that name.
        """
        if name not in self._tools:
            raise KeyError(f"tool {name!r} is not offered")
        del self._tools[name]

    def find(self, name: str) -> Tool | None:
        """The tool of that name."""
        return self._tools.get(name)

    def described(self) -> list[dict[str, Any]]:
        """All tools as MCP `Tool` objects: name, description, inputSchema, annotations."""
        return [_describe(self._tools[name]) for name in sorted(self._tools)]


async def run_tool(
    tool: Tool, arguments: Arguments, progress: Progress, log: Log
) -> CallToolResult:
    """Run one call to its answer. Raises nothing but cancellation: a broken tool answers too."""
    try:
        return _result(await tool.run(arguments, progress), is_error=False)
    except ToolError as error:
        return _result(str(error), is_error=True)
    except Exception as error:  # noqa: BLE001  a tool is foreign code; its fault stays in its answer
        log(f"! tool {tool.name!r} broke: {type(error).__name__}: {error}")
        return _result(f"tool {tool.name!r} broke; the server's log says why", is_error=True)


def _result(text: str, *, is_error: bool) -> CallToolResult:
    return {"content": [{"type": "text", "text": text}], "isError": is_error}


def _describe(tool: Tool) -> dict[str, Any]:
    return {
        "name": tool.name,
        "description": tool.description,
        "inputSchema": tool.input_schema,
        "annotations": tool.annotations,
    }

"""The list of tools that a person reads: `python main.py tools`."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from pipeline.core.arguments import usage_line
from pipeline.core.events import ChangedTool, Tool
from sinks.terminal_text import clip, one_line

_MAX_LINE = 300
_HELD = "    ! held: it says otherwise than what was approved (tools --approve NAME approves it)"
_APPROVED = "    = approved as it is now; this has changed:"


def format_tools(
    tools: Sequence[Tool],
    *,
    held: Mapping[tuple[str, str], ChangedTool] = MappingProxyType({}),
    approved: Mapping[tuple[str, str], ChangedTool] = MappingProxyType({}),
) -> str:
    """Each tool's usage line and the first line of its description; a heading per server.

    The heading is left out where there is one server. Those that are `held`, or just `approved`, by
    server and name, come with what they say otherwise. All text is made harmless. No newline at the
    end.
    """
    if not tools:
        return "no tools"
    servers = list(dict.fromkeys(tool.server for tool in tools))
    lines: list[str] = []
    for server in servers:
        if len(servers) > 1:
            lines.append(f"{_line(server)}:")
        for tool in tools:
            if tool.server == server:
                key = tool.server, tool.name
                lines += _tool_lines(tool)
                lines += _changed(_HELD, held.get(key))
                lines += _changed(_APPROVED, approved.get(key))
    return "\n".join(lines)


def _tool_lines(tool: Tool) -> list[str]:
    described = tool.description.strip() or tool.title.strip()
    first = described.partition("\n")[0].rstrip()
    return [_line(usage_line(tool.name, tool.input_schema))] + (
        [f"    {_line(first)}"] if first else []
    )


def _changed(heading: str, tool: ChangedTool | None) -> list[str]:
    if tool is None:
        return []
    lines = tool.difference or ("(not shown, for there is too much that differs)",)
    return [heading, *(f"    | {_line(line)}" for line in lines)]


def _line(text: str) -> str:
    return one_line(clip(text, _MAX_LINE))

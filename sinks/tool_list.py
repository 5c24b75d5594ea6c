"""The list of tools that a person reads: `python main.py tools`."""

from collections.abc import Sequence

from pipeline.core.arguments import usage_line
from pipeline.core.events import Tool
from sinks.terminal_text import clip, one_line

_MAX_LINE = 300


def format_tools(tools: Sequence[Tool]) -> str:
    """Each tool's usage line and the first line of its description; a heading per server.

    The heading is left out where there is one server. All text is made harmless. No newline at the
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
                lines += _tool_lines(tool)
    return "\n".join(lines)


def _tool_lines(tool: Tool) -> list[str]:
    described = tool.description.strip() or tool.title.strip()
    first = described.partition("\n")[0].rstrip()
    return [_line(usage_line(tool.name, tool.input_schema))] + (
        [f"    {_line(first)}"] if first else []
    )


def _line(text: str) -> str:
    return one_line(clip(text, _MAX_LINE))

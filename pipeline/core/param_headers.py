"""Parameters that a tool's schema wants in headers (`x-mcp-header`, MCP 2026-07-28)."""

from pipeline.core.events import Headers, Json


def problem_with(schema: Json) -> str | None:  # noqa: ARG001
    """Why the marks of a schema cannot be followed; None if they can."""
    return None


def headers_for(schema: Json, arguments: Json) -> Headers:  # noqa: ARG001
    """The `Mcp-Param-…` headers of a call."""
    return {}

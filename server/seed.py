"""The seed dialect: from the body of a `POST /sse` to a call, from an answer to an event.

Events: `tools` (a list), `result` (MCP CallToolResult, plus `id`), `error` (`{"id"?, "error"}`).
The origin knows no `id`; this server echoes one that was sent, unless told not to.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from server.sse_encode import encode_json_event
from server.tool import CallToolResult

CallId = str | int | None


class SeedCall(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /sse`. Unknown members are ignored."""

    session_id: str
    tool: str
    args: dict[str, Any] | None = None
    id: str | int | None = None


class SeedCallError(Exception):
    """The body is not a seed call; the text says what was found and what is expected."""


def parse_call(body: bytes) -> SeedCall:
    """Read a call.

    Raises:
        SeedCallError: When the body is not JSON, or not of the form.
    """
    try:
        return msgspec.json.decode(body, type=SeedCall)
    except (ValueError, RecursionError) as error:
        raise SeedCallError(
            f'{error}; expected JSON as {{"session_id": "…", "tool": "…", "args": {{}}, "id": "…"}}'
        ) from error


def tools_event(tools: list[dict[str, Any]]) -> bytes:
    """The `tools` event: the whole list, again each time it changes."""
    return encode_json_event("tools", tools)


def result_event(call_id: CallId, result: CallToolResult) -> bytes:
    """The `result` event, also for a tool that failed (`isError: true`)."""
    return encode_json_event("result", _with_id(call_id, result))


def error_event(call_id: CallId, message: str) -> bytes:
    """The `error` event, for a call that no tool has answered."""
    return encode_json_event("error", _with_id(call_id, {"error": message}))


def _with_id(call_id: CallId, content: Mapping[str, Any]) -> dict[str, Any]:
    return dict(content) if call_id is None else {"id": call_id, **content}

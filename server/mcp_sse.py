"""MCP 2024-11-05: decides what one message of the client leads to. It does nothing itself.

`step(phase, message, tools)` answers the session's new phase and what is to be done:
specification 2024-11-05, basic/lifecycle, server/tools, basic/utilities.
"""

import base64
import binascii
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeGuard

import msgspec

from server.arguments import ArgumentError, Arguments, check_arguments, shorten
from server.jsonrpc import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    Message,
    Notification,
    Request,
    RequestId,
    Response,
    RpcError,
)
from server.sessions import Phase
from server.tool import Tool, ToolBox

PROTOCOL_VERSION = "2024-11-05"
LIST_CHANGED = "notifications/tools/list_changed"
LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")

_CURSOR_MARK = "after:"


class Answer(msgspec.Struct, frozen=True):
    """Send this result."""

    id: RequestId
    result: dict[str, Any]


class StartCall(msgspec.Struct, frozen=True):
    """Run the tool, and send its answer; progress too when there is a token."""

    id: RequestId
    tool: Tool
    arguments: Arguments
    progress_token: str | int | None


class CancelCall(msgspec.Struct, frozen=True):
    """Cancel the call of that id, if it still runs; it gets no answer then."""

    id: RequestId


Effect = Answer | StartCall | CancelCall


def step(
    phase: Phase, message: Message, tools: ToolBox, *, page_size: int = 0
) -> tuple[Phase, Effect | None]:
    """What a message leads to.

    Args:
        phase: How far the session's life cycle is.
        message: The client's message.
        tools: The tools on offer.
        page_size: Tools on one page of the list; 0 means all.

    Raises:
        RpcError: The error to answer with.
    """
    match message:
        case Response():
            return phase, None
        case Notification("notifications/initialized") if phase == "initialized":
            return "ready", None
        case Notification("notifications/cancelled", params):
            return phase, _cancel(params)
        case Notification():
            return phase, None
        case Request():
            return _request(phase, message, tools, page_size)


def _request(
    phase: Phase, request: Request, tools: ToolBox, page_size: int
) -> tuple[Phase, Effect]:
    match request:
        case Request(request_id, "ping"):
            return phase, Answer(request_id, {})
        case Request(request_id, "initialize") if phase == "new":
            _string(request, "protocolVersion")
            return "initialized", Answer(request_id, _initialize_result())
        case Request(request_id, "initialize"):
            raise RpcError(INVALID_REQUEST, "the session is already initialized", request_id)
        case Request(request_id) if phase == "new":
            raise RpcError(INVALID_REQUEST, "not initialized: send initialize first", request_id)
        case Request(request_id, "tools/list"):
            return phase, Answer(request_id, _page(request, tools, page_size))
        case Request(request_id, "tools/call"):
            return phase, _call(request, tools)
        case Request(request_id, "logging/setLevel"):
            _check_level(request)
            return phase, Answer(request_id, {})
        case Request(request_id, method):
            words = f"method {shorten(method)} is not known here"
            raise RpcError(METHOD_NOT_FOUND, words, request_id)


def _initialize_result() -> dict[str, Any]:
    return {
        # The one revision of this transport, whatever the client asked for: it may leave.
        "protocolVersion": PROTOCOL_VERSION,
        "capabilities": {"tools": {"listChanged": True}, "logging": {}},
        "serverInfo": {"name": "rxmcp-reference", "version": _version()},
    }


def _version() -> str:
    try:
        return version("rxmcp")
    except PackageNotFoundError:
        return "0"


def _check_level(request: Request) -> None:
    level = _string(request, "level")
    if level not in LEVELS:
        words = f"level: found {shorten(level)}, expected one of {', '.join(LEVELS)}"
        raise RpcError(INVALID_PARAMS, words, request.id)


def _page(request: Request, tools: ToolBox, page_size: int) -> dict[str, Any]:
    """One page. The cursor names the last tool told, so it bears changes between two pages."""
    described = tools.described()
    if request.params.get("cursor") is not None:
        last = _read_cursor(request)
        described = [tool for tool in described if tool["name"] > last]
    if page_size == 0 or len(described) <= page_size:
        return {"tools": described}
    page = described[:page_size]
    cursor = base64.urlsafe_b64encode(f"{_CURSOR_MARK}{page[-1]['name']}".encode()).decode()
    return {"tools": page, "nextCursor": cursor}


def _read_cursor(request: Request) -> str:
    cursor = _string(request, "cursor")
    try:
        text = base64.b64decode(cursor, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        text = ""
    if not text.startswith(_CURSOR_MARK):
        words = f"cursor: found {shorten(cursor)}, expected a nextCursor of this server"
        raise RpcError(INVALID_PARAMS, words, request.id)
    return text.removeprefix(_CURSOR_MARK)


def _call(request: Request, tools: ToolBox) -> StartCall:
    name = _string(request, "name")
    arguments = _object(request, "arguments")
    tool = tools.find(name)
    if tool is None:
        raise RpcError(INVALID_PARAMS, f"tool {shorten(name)} is not offered", request.id)
    try:
        check_arguments(tool.input_schema, arguments)
    except ArgumentError as error:
        raise RpcError(INVALID_PARAMS, f"tool {name!r}: {error}", request.id) from error
    token = _object(request, "_meta").get("progressToken")
    if token is not None and not _is_id(token):
        words = f"progressToken: found {shorten(token)}, expected a string or a whole number"
        raise RpcError(INVALID_PARAMS, words, request.id)
    return StartCall(request.id, tool, arguments, token)


def _cancel(params: dict[str, Any]) -> CancelCall | None:
    request_id = params.get("requestId")
    return CancelCall(request_id) if _is_id(request_id) else None


def _is_id(value: object) -> TypeGuard[str | int]:
    return isinstance(value, str | int) and not isinstance(value, bool)


def _string(request: Request, name: str) -> str:
    value = request.params.get(name)
    if not isinstance(value, str):
        words = f"{name}: found {shorten(value)}, expected a string"
        raise RpcError(INVALID_PARAMS, words, request.id)
    return value


def _object(request: Request, name: str) -> dict[str, Any]:
    value: Any = request.params.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        words = f"{name}: found {shorten(value)}, expected an object"
        raise RpcError(INVALID_PARAMS, words, request.id)
    return value  # pyright: ignore[reportUnknownVariableType]  (JSON)

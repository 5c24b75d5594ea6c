"""JSON-RPC 2.0 as MCP 2024-11-05 has it: no batches, and ids are strings or whole numbers."""

from typing import Any

import msgspec

from server.sse_encode import encode_json_event

RequestId = str | int

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603


class Request(msgspec.Struct, frozen=True):
    """Wants an answer under `id`."""

    id: RequestId
    method: str
    params: dict[str, Any]


class Notification(msgspec.Struct, frozen=True):
    """Wants no answer."""

    method: str
    params: dict[str, Any]


class Response(msgspec.Struct, frozen=True):
    """Answers a request; this server makes none, so it is let go."""


Message = Request | Notification | Response


class RpcError(Exception):
    """A JSON-RPC error object; `request_id` is None when the message had no usable id."""

    def __init__(self, code: int, message: str, request_id: RequestId | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.request_id = request_id


def read_message(body: bytes) -> Message:
    """Read one message.

    Raises:
        RpcError: -32700 when the body is not JSON, -32600 when it is no message.
    """
    try:
        found = msgspec.json.decode(body)
    except (ValueError, RecursionError) as error:
        raise RpcError(PARSE_ERROR, f"the body is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise RpcError(INVALID_REQUEST, "found no object; expected one message, not a batch")
    return _as_message(found)  # pyright: ignore[reportUnknownArgumentType]  (JSON)


def _as_message(found: dict[str, Any]) -> Message:
    request_id = found.get("id")
    if isinstance(request_id, bool) or not isinstance(request_id, str | int):
        request_id = None
    if found.get("jsonrpc") != "2.0":
        raise RpcError(INVALID_REQUEST, 'expected "jsonrpc": "2.0"', request_id)
    method = found.get("method")
    if method is None and ("result" in found or "error" in found):
        return Response()
    if not isinstance(method, str):
        raise RpcError(INVALID_REQUEST, "expected a method, a string", request_id)
    params = found.get("params", {})
    if not isinstance(params, dict):
        raise RpcError(INVALID_REQUEST, "expected params to be an object", request_id)
    if "id" not in found:
        return Notification(method, params)  # pyright: ignore[reportUnknownArgumentType]
    if request_id is None:
        raise RpcError(INVALID_REQUEST, "expected an id that is a string or a whole number")
    return Request(request_id, method, params)  # pyright: ignore[reportUnknownArgumentType]


def result_event(request_id: RequestId, result: dict[str, Any]) -> bytes:
    """The `message` event that answers a request."""
    return _message_event({"id": request_id, "result": result})


def error_event(error: RpcError) -> bytes:
    """The `message` event that refuses a request."""
    return _message_event(_error(error))


def notification_event(method: str, params: dict[str, Any] | None = None) -> bytes:
    """The `message` event that tells something."""
    return _message_event({"method": method} | ({} if params is None else {"params": params}))


def error_body(error: RpcError) -> bytes:
    """The body of an HTTP answer, for an error that cannot be told on the stream."""
    return msgspec.json.encode({"jsonrpc": "2.0"} | _error(error))


def _error(error: RpcError) -> dict[str, Any]:
    return {"id": error.request_id, "error": {"code": error.code, "message": str(error)}}


def _message_event(content: dict[str, Any]) -> bytes:
    return encode_json_event("message", {"jsonrpc": "2.0"} | content)

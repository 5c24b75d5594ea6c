"""JSON-RPC 2.0 messages: the only place that knows their shape.

Reading is lenient where a client must be: errors without an id, batches (MCP 2025-03-26), unknown
members. It is strict about names: a key in another case is another key.
"""

from typing import Any, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from pipeline.core.events import Json
from pipeline.core.shapes import is_nested_too_deep, is_object

METHOD_NOT_FOUND = -32601
Id: TypeAlias = str | int | float | None


class Reply(msgspec.Struct, frozen=True):
    """The answer to a request; `error` is set instead of `result` for a protocol error.

    `code` and `data` are those of the error, where it has them.
    """

    id: Id
    result: Json | None = None
    error: str = ""
    code: int | None = None
    data: Any = None


class Request(msgspec.Struct, frozen=True):
    """The peer asks something and waits for an answer to `id`."""

    id: Id
    method: str
    params: Json


class Notification(msgspec.Struct, frozen=True):
    """The peer tells something."""

    method: str
    params: Json


Message: TypeAlias = Reply | Request | Notification


class NotJsonRpcError(ValueError):
    """The text is no JSON-RPC message; the text of the error says what was found."""


class _Wire(msgspec.Struct):
    id: Id | UnsetType = UNSET
    method: str | UnsetType = UNSET
    params: Any = None
    result: Any = UNSET
    error: Any = UNSET


_decoder: msgspec.json.Decoder[_Wire | list[_Wire]] = msgspec.json.Decoder(_Wire | list[_Wire])


def decode(text: str) -> tuple[Message, ...]:
    """Read one message, or a batch of them.

    Raises:
        NotJsonRpcError: If it is neither.
    """
    try:
        wires = _decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeError) as exc:
        raise NotJsonRpcError(f"not a JSON-RPC message: {exc}; found {shorten(text)!r}") from exc
    except RecursionError as exc:
        raise NotJsonRpcError("not a JSON-RPC message: nested too deep") from exc
    wires = wires if isinstance(wires, list) else [wires]
    if not wires:
        raise NotJsonRpcError("found an empty batch, expected a message in it (JSON-RPC 2.0, 6)")
    values = [value for wire in wires for value in (wire.params, wire.result, wire.error)]
    if is_nested_too_deep(text, values):
        raise NotJsonRpcError("not a JSON-RPC message: nested too deep")
    return tuple(_message(wire, text) for wire in wires)


def request(id_: str, method: str, params: Json | None = None) -> Json:
    """A request; ids are strings, named after whoever waits for the answer."""
    return {"jsonrpc": "2.0", "id": id_, "method": method, "params": params or {}}


def notification(method: str, params: Json | None = None) -> Json:
    """A notification; `params` is left out when there are none."""
    message: Json = {"jsonrpc": "2.0", "method": method}
    return message if params is None else {**message, "params": params}


def answer(id_: Id, result: Json) -> Json:
    """The answer to a peer's request; the id goes back as it came."""
    return {"jsonrpc": "2.0", "id": id_, "result": result}


def refusal(id_: Id, code: int, message: str) -> Json:
    """The error answer to a peer's request."""
    return {"jsonrpc": "2.0", "id": id_, "error": {"code": code, "message": message}}


def shorten(text: str, limit: int = 120) -> str:
    """The beginning of a foreign text, for an error message."""
    return text if len(text) <= limit else f"{text[:limit]}…"


def _message(wire: _Wire, text: str) -> Message:
    params: Json = wire.params if is_object(wire.params) else {}
    match wire:
        case _Wire(method=str() as method, id=UnsetType()):
            return Notification(method, params)
        case _Wire(method=str() as method, id=id_):
            return Request(_known(id_), method, params)
        # Some servers send both members always, and `null` in the one that does not apply.
        case _Wire(error=error, result=result, id=id_) if error is not UNSET and (
            error is not None or result is UNSET
        ):
            return _refused(_known(id_), error)
        case _Wire(result=result, id=id_) if result is not UNSET and id_ is not UNSET:
            if result is not None and not is_object(result):
                found = type(result).__name__
                return Reply(_known(id_), error=f"found a {found} as result, expected an object")
            return Reply(_known(id_), result=result or {})
        case _:
            raise NotJsonRpcError(
                f"neither a request, a notification nor an answer: {shorten(text)!r}"
            )


def _refused(id_: Id, error: Any) -> Reply:
    code, data = (error.get("code"), error.get("data")) if is_object(error) else (None, None)
    is_code = isinstance(code, int) and not isinstance(code, bool)
    return Reply(id_, error=error_text(error), code=code if is_code else None, data=data)


def _known(id_: Id | UnsetType) -> Id:
    return None if isinstance(id_, UnsetType) else id_


def error_text(error: Any) -> str:
    """A JSON-RPC error object in words: its message and code, or whatever it is instead."""
    match error:
        case {"message": str() as message, "code": code}:
            return f"{message} (code {code})"
        case {"message": str() as message}:
            return message
        case str():
            return error
        case _:
            return msgspec.json.encode(error).decode()

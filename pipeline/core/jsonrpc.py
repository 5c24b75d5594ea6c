"""JSON-RPC 2.0 messages: the only place that knows their shape.

Reading is lenient where a client must be: errors without an id, batches (MCP 2025-03-26), unknown
members, half a character (`json_text`). It is strict about names: a key in another case is another
key, and one of the message's own may come only once. In a batch, what is no message spoils only
itself.
"""

from typing import Any, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from pipeline.core.events import Json
from pipeline.core.json_text import UNREADABLE, parts_of, read, repeated
from pipeline.core.shapes import MAX_DEPTH, is_nested_too_deep, is_object

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


class Malformed(msgspec.Struct, frozen=True):
    """What in a batch is no message; `reason` says how much of it, and what was found first."""

    reason: str


Message: TypeAlias = Reply | Request | Notification | Malformed


class NotJsonRpcError(ValueError):
    """The text is no JSON-RPC message; the text of the error says what was found."""


class _Wire(msgspec.Struct):
    id: Id | UnsetType = UNSET
    method: str | UnsetType = UNSET
    params: Any = None
    result: Any = UNSET
    error: Any = UNSET


_MEMBERS = ("jsonrpc", "id", "method", "params", "result", "error")
_decoder = msgspec.json.Decoder(_Wire)
_batches = msgspec.json.Decoder(list[msgspec.Raw])


def decode(text: str) -> tuple[Message, ...]:
    """Read one message, or a batch of them: its messages in order, then at most one `Malformed`.

    Raises:
        NotJsonRpcError: If it is neither, or a batch without a single message.
    """
    if not text.lstrip(" \t\r\n").startswith("["):
        return (_read(text),)
    members = _members(text)
    found: list[Message] = []
    faults: list[NotJsonRpcError] = []
    for member in members:
        try:
            found.append(_read(member))
        except NotJsonRpcError as exc:
            faults.append(exc)
    if found and faults:
        reason = f"{len(faults)} of a batch of {len(members)} are left out: {faults[0]}"
        found.append(Malformed(reason))
    elif faults:
        raise faults[0]
    elif not found:
        raise NotJsonRpcError("found an empty batch, expected a message in it (JSON-RPC 2.0, 6)")
    return tuple(found)


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


def _members(text: str) -> list[str]:
    try:
        return [bytes(member).decode() for member in _batches.decode(text)]
    except UNREADABLE as exc:
        parts = parts_of(text)
        if parts is None:
            raise _unreadable(text, exc) from exc
        return parts


def _read(text: str) -> Message:
    try:
        wire = read(text, _decoder)
    except UNREADABLE as exc:
        raise _unreadable(text, exc) from exc
    if is_nested_too_deep(text, (wire.params, wire.result, wire.error)):
        raise NotJsonRpcError(_TOO_DEEP)
    if name := repeated(text, _MEMBERS):
        found = f"found {name!r} twice in {shorten(text)!r}, expected it once (RFC 8259, 4)"
        raise NotJsonRpcError(f"not a JSON-RPC message: {found}")
    return _message(wire, text)


def _unreadable(text: str, fault: Exception) -> NotJsonRpcError:
    if isinstance(fault, RecursionError):
        return NotJsonRpcError(_TOO_DEEP)
    return NotJsonRpcError(f"not a JSON-RPC message: {fault}; found {shorten(text)!r}")


_TOO_DEEP = f"not a JSON-RPC message: nested too deep, expected no more than {MAX_DEPTH} levels"


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

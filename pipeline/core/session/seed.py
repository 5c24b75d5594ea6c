"""The seed dialect, the project's own origin: tools come as an event, results as events.

After `endpoint` the server sends `tools` (a JSON list) unasked, and again whenever it likes. A call
is a POST of `{session_id, tool, args, id}` to the stream's own URL; `result` and `error` events
bring the answers. A server that echoes `id` allows calls side by side; the origin did not define
one, so an answer without it belongs to the oldest call (`calls.py` keeps those in turn).
"""

from typing import Any

import msgspec
from msgspec.structs import replace

from pipeline.core.commands import Passing
from pipeline.core.events import (
    FrameReceived,
    Json,
    PostAnswered,
    Problem,
    ReplyReceived,
    Route,
    SessionReady,
)
from pipeline.core.json_text import UNREADABLE, read_any
from pipeline.core.jsonrpc import error_text, shorten
from pipeline.core.session.body import events_in
from pipeline.core.session.state import Move, Outputs, Session, ready, start_over
from pipeline.core.shapes import MAX_DEPTH, is_list, is_nested_too_deep, is_object

PREFIX = "call:"
_ANSWERS = {"content", "result", "error"}


def call(route: Route, id_: str, tool: str, arguments: Json) -> Json:
    """The body of one tool call."""
    return {"session_id": route.session_id, "tool": tool, "args": arguments, "id": id_}


def on_tools(session: Session, frame: FrameReceived) -> Move:
    """`tools` is the whole list; the first one makes the session ready."""
    if not session.session_id:
        return start_over(session, "the endpoint names no session_id, and a call needs one")
    route = Route(
        server=session.server, url=session.url, dialect="seed", session_id=session.session_id
    )
    greeting = SessionReady(server=session.server, route=route, protocol="seed")
    session = replace(session, route=route, greeting=greeting)
    try:
        tools = _decode(frame.data)
        if not is_list(tools):
            raise _MalformedError(f"found a {type(tools).__name__}, expected a list of tools")
    except _MalformedError as exc:
        problem = Problem(where=session.server, detail=f"malformed `tools` event: {exc}")
        if session.phase == "ready":
            return session, (problem,)
        session, outputs = ready(session, ())
        return session, (*outputs, problem)
    return ready(session, tuple(tools))


def on_result(session: Session, data: str) -> Move:
    """`result` answers a call: an MCP result, one wrapped in `result`, or any JSON value."""
    try:
        value = _decode(data)
    except _MalformedError as exc:
        reply: Passing = ReplyReceived(
            server=session.server, id=None, error=f"malformed `result` event: {exc}"
        )
        return session, (reply,)
    id_, body = _take_id(value)
    if is_object(body) and "content" not in body and "result" in body:
        body = body["result"]
    return session, (ReplyReceived(server=session.server, id=id_, result=_as_result(body)),)


def on_error(session: Session, data: str) -> Move:
    """`error` ends a call with an error; without a call in flight it is only a problem."""
    try:
        id_, body = _take_id(_decode(data))
    except _MalformedError:
        id_, body = None, data
    if is_object(body) and "error" in body:
        body = body["error"]
    text = error_text(body) or "the server gave no reason"
    return session, (ReplyReceived(server=session.server, id=id_, error=text),)


def on_body(session: Session, posted: PostAnswered) -> Move:
    """The body of an accepted POST: some servers write the answer there, as JSON or as events.

    It answers the call that was posted, whatever else is in flight.
    """
    if not posted.id.startswith(PREFIX):
        return session, ()
    events = events_in(posted.body)
    if events is None:
        named = [(_answer_in(posted.body), posted.body)]
    else:
        named = [(event.event, event.data) for event in events]
    outputs: Outputs = ()
    for name, data in named:
        if name in ("result", "error"):
            _, (reply,) = (on_result if name == "result" else on_error)(session, data)
            assert isinstance(reply, ReplyReceived), "each of them becomes one reply"
            outputs = (*outputs, replace(reply, id=posted.id) if reply.id is None else reply)
    return session, outputs


def _answer_in(body: str) -> str:
    """The event that this JSON would have been on the stream; anything may say "accepted"."""
    try:
        value = _decode(body)
    except _MalformedError:
        return ""
    if not is_object(value) or not value.keys() & _ANSWERS:
        return ""
    return "error" if "error" in value else "result"


class _MalformedError(ValueError):
    """The data of an event is no JSON."""


def _decode(data: str) -> Any:
    too_deep = f"nested too deep, expected no more than {MAX_DEPTH} levels"
    try:
        value = read_any(data)
    except RecursionError as exc:
        raise _MalformedError(f"{too_deep}; found {shorten(data)!r}") from exc
    except UNREADABLE as exc:
        raise _MalformedError(f"{exc}; found {shorten(data)!r}") from exc
    if is_nested_too_deep(data, [value]):
        raise _MalformedError(f"{too_deep}; found {shorten(data)!r}")
    return value


def _take_id(value: Any) -> tuple[str | None, Any]:
    """The id that a server echoes, and the answer without it.

    A bare result may have an `id` of its own: then it is one of ours, or part of the answer.
    """
    if not is_object(value) or "id" not in value:
        return None, value
    id_ = value["id"] if isinstance(value["id"], str) else None
    is_ours = id_ is not None and id_.startswith(PREFIX)
    if not is_ours and not value.keys() & _ANSWERS:
        return None, value
    return id_, {key: member for key, member in value.items() if key != "id"}


def _as_result(body: Any) -> Json:
    if is_object(body) and is_list(body.get("content")):
        return body
    text = body if isinstance(body, str) else msgspec.json.encode(body).decode()
    return {"content": [{"type": "text", "text": text}]}

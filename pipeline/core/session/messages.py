"""JSON-RPC messages of a session, whatever brings them: answers to whoever waits, news, requests.

MCP: basic/index; basic/utilities: ping, progress, cancellation; server/utilities: logging.
"""

from msgspec.structs import replace

from pipeline.core import jsonrpc
from pipeline.core.events import (
    FrameReceived,
    Json,
    OffersChanged,
    PostAnswered,
    Problem,
    ProgressReported,
    ReplyReceived,
    ResourceUpdated,
    ServerAsked,
    ServerCancelled,
    ServerLogged,
)
from pipeline.core.plan import Plan
from pipeline.core.session import handshake, lists, modern, wire
from pipeline.core.session.body import events_in
from pipeline.core.session.state import Move, Outputs, Session

_IGNORED = ("log:", "cancel:")


def on_message(session: Session, plan: Plan, text: str, asked: jsonrpc.Id = None) -> Move:
    """The data of a `message` event. `asked` is the id of the request that it must be about."""
    try:
        messages = jsonrpc.decode(text)
    except jsonrpc.NotJsonRpcError as exc:
        return session, (Problem(where=session.server, detail=str(exc)),)
    outputs: Outputs = ()
    for message in messages:
        if session.route is None:  # The message before has ended the session.
            break
        session, more = _on_one(session, plan, _about(message, asked))
        outputs = (*outputs, *more)
    return session, outputs


def on_line(session: Session, plan: Plan, text: str) -> Move:
    """A line of a process; the first one that is no message is told, as it may be a stray print."""
    if text.startswith(("{", "[")):
        return on_message(session, plan, text)
    if session.is_noisy:
        return session, ()
    detail = f"it writes more than messages to its output: {jsonrpc.shorten(text)!r}"
    problem = Problem(where=session.server, detail=detail, hint="such lines are passed over")
    return replace(session, is_noisy=True), (problem,)


def on_body(session: Session, plan: Plan, posted: PostAnswered) -> Move:
    """The body of an accepted POST, JSON or events; "Accepted" and the like say nothing.

    An error without an id there is about the message that was posted.
    """
    events = events_in(posted.body)
    texts = [posted.body] if events is None else [e.data for e in events if e.event == "message"]
    outputs: Outputs = ()
    for text in texts:
        if '"jsonrpc"' in text:
            session, more = on_message(session, plan, text, posted.id)
            outputs = (*outputs, *more)
    return session, outputs


def owns(session: Session, id_: str) -> bool:
    """Is this the id of a message that the session itself posted?"""
    mine = (
        handshake.init_id(session),
        lists.list_id(session),
        handshake.hello_id(session),
        modern.discover_id(session),
    )
    prefixes = (f"answer:{session.server}:", f"log:{session.server}:")
    return id_ in mine or id_.startswith(prefixes)


def is_step(session: Session, id_: str) -> bool:
    """Is this the id of a request without whose answer there is no session?"""
    steps = (handshake.init_id(session), lists.list_id(session), modern.discover_id(session))
    return session.phase in ("probing", "initializing", "listing") and id_ in steps


def is_frame_of(frame: FrameReceived) -> bool:
    """JSON-RPC travels in events named `message`, the name of an event without one."""
    return frame.event == "message"


def _about(message: jsonrpc.Message, asked: jsonrpc.Id) -> jsonrpc.Message:
    if isinstance(message, jsonrpc.Reply) and message.id is None:
        return replace(message, id=asked)
    return message


def _on_one(session: Session, plan: Plan, message: jsonrpc.Message) -> Move:
    match message:
        case jsonrpc.Reply(id=str() as id_):
            return on_reply(session, plan, id_, message)
        case jsonrpc.Reply(id=id_, error=error):
            text = f"error {error!r}" if error else "an answer"
            return session, (
                Problem(where=session.server, detail=f"{text} for id {id_!r}, which is not ours"),
            )
        case jsonrpc.Request(id=id_, method=method, params=params):
            return session, _on_request(session, id_, method, params)
        case jsonrpc.Notification(method=method, params=params):
            return _on_notification(session, plan, method, params)
        case jsonrpc.Malformed(reason=reason):
            return session, (Problem(where=session.server, detail=reason),)


def on_reply(session: Session, plan: Plan, id_: str, reply: jsonrpc.Reply) -> Move:
    """The answer to the request `id_`: the session's own, or of somebody who waits for it."""
    if id_ in session.answers:
        left = {key: answer for key, answer in session.answers.items() if key != id_}
        session = replace(session, answers=left)
    if id_ == handshake.init_id(session):
        is_modern = reply.code == modern.UNSUPPORTED_VERSION and session.transport != "sse"
        if is_modern and not session.doubts:
            return modern.refused_handshake(session, plan)
        return handshake.on_initialized(session, plan, reply)
    if id_ == modern.discover_id(session):
        return modern.on_discovered(session, plan, reply)
    if session.is_listing and id_ == lists.list_id(session):
        return lists.on_page(session, plan, reply)
    if id_ == session.stream_id and session.era == "modern":
        return _listened(session, plan, reply)
    if id_.startswith(_IGNORED):
        return session, ()
    outputs: Outputs = (
        ReplyReceived(
            server=session.server,
            id=id_,
            result=reply.result,
            error=reply.error,
            code=reply.code,
            data=reply.data,
        ),
    )
    if reply.code == modern.HEADER_MISMATCH and session.phase == "ready" and not session.is_listing:
        # The headers come from the tools' schemas: those that we know are not those that are.
        session, more = lists.ask(session, plan)
        return session, (*outputs, *more)
    return session, outputs


def _listened(session: Session, plan: Plan, reply: jsonrpc.Reply) -> Move:
    """The subscription ended in good order; or the server has none, which is fine."""
    if reply.result is None:
        return replace(session, stream_id=""), ()
    return modern.after_pause(session, plan)


def _on_request(session: Session, id_: jsonrpc.Id, method: str, params: Json) -> Outputs:
    assert session.route is not None, "a request outside a session"
    if method == "ping":
        name = f"answer:{session.server}:{id_}"
        return (wire.post(session.route, name, jsonrpc.answer(id_, {})),)
    asked = ServerAsked(
        server=session.server, id=id_, method=method, params=params, route=session.route
    )
    return (asked,)


def _on_notification(session: Session, plan: Plan, method: str, params: Json) -> Move:
    match method, params:
        case "notifications/progress", {"progressToken": str() as token, "progress": raw}:
            message, progress = params.get("message"), _number(raw)
            if progress is None:
                return session, ()
            report = ProgressReported(
                server=session.server,
                id=token,
                progress=progress,
                total=_number(params.get("total")),
                message=message if isinstance(message, str) else "",
            )
            return session, (report,)
        case "notifications/message", {"data": data}:
            text = data if isinstance(data, str) else jsonrpc.error_text(data)
            level = str(params.get("level", "info"))
            return session, (ServerLogged(server=session.server, level=level, text=text),)
        case "notifications/tools/list_changed", _ if session.is_listing:
            return replace(session, list_again=True), ()
        case "notifications/tools/list_changed", _ if session.phase == "ready":
            return lists.ask(session, plan)
        case "notifications/cancelled", {"requestId": id_} if isinstance(id_, str | int | float):
            return session, (ServerCancelled(server=session.server, id=id_),)
        case _ if session.transport == "sse":
            return session, ()
        case "notifications/prompts/list_changed", _:
            return session, (OffersChanged(server=session.server, what="prompts"),)
        case "notifications/resources/list_changed", _:
            return session, (OffersChanged(server=session.server, what="resources"),)
        case "notifications/resources/updated", {"uri": str() as uri}:
            return session, (ResourceUpdated(server=session.server, uri=uri),)
        case _:
            return session, ()


def _number(value: object) -> float | None:
    """A JSON number as a float; None if it is none, or too large for one."""
    try:
        return float(value) if isinstance(value, int | float) else None
    except OverflowError:
        return None

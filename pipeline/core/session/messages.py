"""JSON-RPC messages of a session, whatever brings them: answers to whoever waits, news, requests.

MCP: basic/index; basic/utilities: ping, progress, cancellation; server/utilities: logging.
"""

from msgspec.structs import replace

from pipeline.core import jsonrpc
from pipeline.core.events import (
    FrameReceived,
    Json,
    PostAnswered,
    Problem,
    ReplyReceived,
    ServerAsked,
)
from pipeline.core.plan import Plan
from pipeline.core.session import (
    answers,
    handshake,
    ids,
    lists,
    modern,
    notifications,
    subscriptions,
    wire,
)
from pipeline.core.session.body import events_in
from pipeline.core.session.state import Move, Outputs, Session, start_over

_RESULT_TYPES = ("complete", "input_required", "task")


_UNAUTHORIZED = (401, 403)


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


def is_frame_of(frame: FrameReceived) -> bool:
    """JSON-RPC travels in events named `message`, the name of an event without one."""
    return frame.event == "message"


def why_not(item: PostAnswered) -> str:
    """In words: why a message was not taken. What the server says of it may be a whole page."""
    if item.status is None:
        return item.reason
    if item.status in _UNAUTHORIZED and item.reason:
        return f"{item.reason} (HTTP {item.status})"  # why there are no other credentials
    said = jsonrpc.shorten(" ".join(item.body[:2000].split()), 200)
    return f"HTTP {item.status} {said}".strip()


def undelivered(session: Session, id_: str, why: str) -> Problem:
    """A message that nobody waits for did not arrive; it is told all the same."""
    detail = f"the message {id_.partition(':')[0]!r} could not be delivered: {why}"
    return Problem(where=session.server, detail=detail)


def _about(message: jsonrpc.Message, asked: jsonrpc.Id) -> jsonrpc.Message:
    if isinstance(message, jsonrpc.Reply) and message.id is None:
        return replace(message, id=asked)
    return message


def _on_one(session: Session, plan: Plan, message: jsonrpc.Message) -> Move:
    match message:
        case jsonrpc.Reply(id=str()):
            return on_reply(session, plan, message)
        case jsonrpc.Reply(id=id_, error=error):
            text = f"error {error!r}" if error else "an answer"
            detail = f"{text} for id {id_!r}, which is not ours"
            return session, (Problem(where=session.server, detail=detail),)
        case jsonrpc.Request(id=id_, method=method, params=params):
            return session, _on_request(session, id_, method, params)
        case jsonrpc.Notification(method=method, params=params):
            return notifications.on_told(session, plan, method, params)
        case jsonrpc.Malformed(reason=reason):
            return session, (Problem(where=session.server, detail=reason),)


def on_reply(session: Session, plan: Plan, reply: jsonrpc.Reply) -> Move:
    """An answer to a request of ours; `reply.id` names it."""
    id_ = reply.id
    assert isinstance(id_, str), "ours are strings"
    settled: Outputs = ()
    if id_ in session.answers:
        session, settled = answers.settle(session, id_)
    session, outputs = _on_answer(session, plan, id_, reply)
    return session, (*settled, *outputs)


def _on_answer(session: Session, plan: Plan, id_: str, reply: jsonrpc.Reply) -> Move:
    if id_ == handshake.init_id(session):
        is_early = session.phase == "initializing" and session.transport != "sse"
        if is_early and reply.code in modern.ERRORS and modern.may_probe(session):
            # A generation of its own, so that no id is used again.
            again = replace(session, generation=session.generation + 1)
            return modern.discover(again, plan)
        return handshake.on_initialized(session, plan, reply)
    if id_ == modern.discover_id(session):
        return modern.on_discovered(session, plan, reply)
    if session.is_listing and id_ == lists.list_id(session):
        return lists.on_page(session, plan, _checked(session, reply))
    if id_ == session.stream_id and session.era == "modern":
        return subscriptions.on_reply(session, plan, reply)
    if id_.startswith((ids.LOG, ids.SUBSCRIBE, ids.CANCEL)):
        return session, _complaint(session, id_, reply)
    if session.transport != "sse" and ids.is_of_a_session(id_):
        return session, ()  # It comes too late: nobody waits for it any more.
    return _for_others(session, plan, id_, _checked(session, reply))


def _for_others(session: Session, plan: Plan, id_: str, reply: jsonrpc.Reply) -> Move:
    received = ReplyReceived(
        server=session.server,
        id=id_,
        result=reply.result,
        error=reply.error,
        code=reply.code,
        data=reply.data,
    )
    outputs: Outputs = ()
    if session.is_renewed and reply.result is not None:
        session = replace(session, is_renewed=False)
    if reply.code == modern.HEADER_MISMATCH:
        # The headers come from the tools' schemas: those that we know are not those that are.
        session, outputs = lists.again(session, plan)
    elif reply.code == modern.UNSUPPORTED_VERSION and session.phase == "ready":
        # It is not the server that it was: the next connection finds out what it is now.
        reason = f"the server does not speak that protocol any more: {reply.error}"
        session, outputs = start_over(replace(session, known=""), reason)
    return session, (received, *outputs)


def _complaint(session: Session, id_: str, reply: jsonrpc.Reply) -> Outputs:
    """What the session asked for beside, and did not get; the rest goes on without it."""
    if reply.result is not None or id_.startswith(ids.CANCEL):
        return ()
    what = "set the log level" if id_.startswith(ids.LOG) else "subscribe to a resource again"
    detail = f"could not {what}: {reply.error}"
    return (Problem(where=session.server, detail=detail),)


def _checked(session: Session, reply: jsonrpc.Reply) -> jsonrpc.Reply:
    """2026-07-28, basic/index, "Results": none means complete, one that is unknown is invalid."""
    if session.era != "modern" or reply.result is None:
        return reply
    kind = reply.result.get("resultType", "complete")
    if kind in _RESULT_TYPES:
        return reply
    found = f"invalid resultType: found {kind!r}, expected one of {', '.join(_RESULT_TYPES)}"
    return jsonrpc.Reply(reply.id, error=jsonrpc.shorten(found, 200))


def _on_request(session: Session, id_: jsonrpc.Id, method: str, params: Json) -> Outputs:
    route = session.route
    assert route is not None, "a request outside a session"
    if wire.is_modern(route):
        # A client must not answer there, and no server may ask.
        detail = f"its request {jsonrpc.shorten(method)!r} is not answered"
        hint = "since 2026-07-28 servers ask within their answers"
        return (Problem(where=session.server, detail=detail, hint=hint),)
    if method == "ping":
        name = f"{ids.ANSWER}{session.server}:{id_}"
        return (wire.post(route, name, jsonrpc.answer(id_, {})),)
    asked = ServerAsked(server=session.server, id=id_, method=method, params=params, route=route)
    return (asked,)

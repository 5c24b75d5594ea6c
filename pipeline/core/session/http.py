"""Streamable HTTP: each message has its answer, a body or a stream, and a session may expire.

basic/transports, "Streamable HTTP", 2025-03-26 to 2026-07-28.
"""

from msgspec.structs import replace

from pipeline.core import jsonrpc
from pipeline.core.commands import Cut, StartTimer, StopTimer
from pipeline.core.events import (
    AnswerEnded,
    FrameReceived,
    PostAnswered,
    ReplyReceived,
    RequestLost,
    SessionClosed,
)
from pipeline.core.plan import Plan
from pipeline.core.session import (
    answers,
    detect,
    handshake,
    ids,
    lists,
    messages,
    modern,
    own_stream,
    refusals,
    standing,
    subscriptions,
)
from pipeline.core.session.state import (
    Move,
    Outputs,
    Session,
    anew,
    give_up,
    is_accepted,
    is_final,
    start_over,
)

CUT = "cut off by us"
"""Why there is no answer to a request that its owner has given up (`Cut`)."""
_NOT_FOUND, _BAD_REQUEST, _SERVER_ERROR = 404, 400, 500

_STREAM_PATIENCE = 1.0  # seconds for the server to say whether it has a stream of its own


def on_frame(session: Session, plan: Plan, frame: FrameReceived) -> Move:
    """An event of an open answer, or of the server's own stream."""
    asked = answers.request_of(session, frame.stream)
    if asked is None and frame.stream == session.stream_id:
        if session.era == "modern":
            asked = frame.stream
        else:
            session = standing.proved(session)
    if not frame.data or not messages.is_frame_of(frame):
        return session, ()  # A priming event, or one that means nothing here.
    return messages.on_message(session, plan, frame.data, asked)


def on_posted(session: Session, plan: Plan, item: PostAnswered) -> Move:
    """The answer to a message, or its beginning."""
    if item.id.startswith(ids.RESUME):
        return _on_resumed(session, plan, item)
    if item.id and item.id == session.stream_id:
        return _on_standing(session, plan, item)
    if is_accepted(item.status):
        return _on_accepted(session, plan, item)
    return _on_refused(session, plan, item)


def on_ended(session: Session, plan: Plan, item: AnswerEnded) -> Move:
    """An open answer, or the stream that stands, ended."""
    if not item.id or item.id != session.stream_id:
        return answers.on_ended(session, plan, item)
    if session.era == "handshake":
        return own_stream.on_ended(session, plan, item)
    return standing.ended(session, plan)


# --- messages that were taken ---------------------------------------------------------------


def _on_accepted(session: Session, plan: Plan, item: PostAnswered) -> Move:
    if ids.is_step(session, item.id) and session.phase == "initializing":
        named = handshake.with_session_id(session, item.session_id)
        if named is None:
            found = f"found {item.session_id[:80]!r} as Mcp-Session-Id, expected visible ASCII"
            return give_up(session, found)
        session = named
    if item.id == handshake.hello_id(session):
        return _greeted(session) if session.phase == "greeting" else (session, ())
    is_waited_for = ids.is_for_others(item.id)
    if item.is_open:
        is_own = item.id == lists.list_id(session) or ids.is_step(session, item.id)
        return answers.opened(session, item.id) if is_waited_for or is_own else (session, ())
    session, outputs = messages.on_body(session, plan, item)
    session, more = _if_unanswered(session, plan, item, outputs)
    return session, (*outputs, *more)


def _if_unanswered(session: Session, plan: Plan, item: PostAnswered, outputs: Outputs) -> Move:
    """Taken is not answered: whoever still waits after the body was read waits in vain."""
    why = f"the server took it (HTTP {item.status}) and gave no answer"
    if ids.is_step(session, item.id):
        return detect.on_unanswered(session, plan, f"{item.id.partition(':')[0]!r}: {why}")
    if session.is_listing and item.id == lists.list_id(session):
        return lists.fail(session, plan, why)
    is_answered = any(isinstance(each, ReplyReceived) and each.id == item.id for each in outputs)
    if is_answered or not ids.is_for_others(item.id):
        return session, ()
    return session, (RequestLost(server=session.server, id=item.id, reason=why),)


def _greeted(session: Session) -> Move:
    """lifecycle: only now may anything else be sent.

    First of all the server's own stream is asked for: what the server asks while it works on a call
    may come there, and servers were seen to drop it where there is no stream yet.
    """
    stop = StopTimer(id=session.timer)
    session, outputs = own_stream.ask(replace(session, phase="attending"))
    return session, (stop, *outputs, StartTimer(id=session.grace, seconds=_STREAM_PATIENCE))


def on_grace_over(session: Session, plan: Plan) -> Move:
    """Nobody has to answer for a stream before there is anything on it: go on without."""
    return handshake.begin(session, plan) if session.phase == "attending" else (session, ())


# --- messages that were not -----------------------------------------------------------------


def _on_refused(session: Session, plan: Plan, item: PostAnswered) -> Move:
    why, error = messages.why_not(item), _error_in(item)
    is_expired = _is_expired(session, item, error)
    if is_expired and session.phase == "ready":
        return _renew(session, plan, item)
    is_greeting = session.phase == "greeting" and item.id == handshake.hello_id(session)
    is_page = session.phase == "listing" and item.id == lists.list_id(session)
    is_shut_out = is_page and item.status in detect.UNAUTHORIZED
    if is_greeting or is_shut_out or ids.is_step(session, item.id):
        return _on_step_refused(session, plan, item, None if is_expired else error)
    if session.is_listing and item.id == lists.list_id(session):
        return lists.fail(session, plan, why if error is None else error.error)
    if ids.is_for_others(item.id):
        if is_expired:
            # It was meant for the session before this one.
            lost = RequestLost(server=session.server, id=item.id, reason=why, is_sent=False)
            return session, (lost,)
        return _on_request_refused(session, plan, item, error)
    if error is not None and item.id.startswith((ids.LOG, ids.SUBSCRIBE)):
        return messages.on_reply(session, plan, error)
    if item.id.startswith(ids.ANSWER):
        return session, (messages.undelivered(session, item.id, why),)
    return session, ()


def _error_in(item: PostAnswered) -> jsonrpc.Reply | None:
    """The JSON-RPC error in a refusal: whatever id it has, it is about what was posted."""
    body = item.body.strip()
    is_one = item.status is not None and item.status >= _BAD_REQUEST and body.startswith(("{", "["))
    if not is_one or item.status in detect.UNAUTHORIZED:
        return None
    try:
        found = jsonrpc.decode(body)
    except jsonrpc.NotJsonRpcError:
        return None
    errors = (each for each in found if isinstance(each, jsonrpc.Reply) and each.error)
    error = next(errors, None)
    return None if error is None else replace(error, id=item.id)


def _on_step_refused(
    session: Session, plan: Plan, item: PostAnswered, error: jsonrpc.Reply | None
) -> Move:
    """A stateless server says what it is, also to `initialize`; else an error there is just no."""
    is_told = error is not None and is_final(item.status) and ids.is_step(session, item.id)
    if session.phase == "initializing":
        is_told = is_told and error is not None and error.code in modern.ERRORS
    if error is not None and is_told:
        return messages.on_reply(session, plan, error)
    reason = messages.undelivered(session, item.id, messages.why_not(item)).detail
    return detect.on_refused(session, plan, item, reason)


def _on_request_refused(
    session: Session, plan: Plan, item: PostAnswered, error: jsonrpc.Reply | None
) -> Move:
    server, why = session.server, messages.why_not(item)
    if refusals.is_told(plan, item) and refusals.is_not_now(item):
        return session, (refusals.not_now(session, plan, item, why),)
    if error is not None:
        return messages.on_reply(session, plan, error)
    if item.status is None and item.reason == CUT:
        return session, ()
    if item.status is not None and (item.status < _SERVER_ERROR or is_final(item.status)):
        refused = f"the server refused it: {why}"
        return session, (ReplyReceived(server=server, id=item.id, error=refused),)
    lost = RequestLost(server=server, id=item.id, reason=why, is_sent=item.is_sent)
    if item.is_sent or session.phase != "ready":
        return session, (lost,)
    # Nobody is there: the next connection shows whether that lasts.
    session, outputs = start_over(session, why)
    return session, (lost, *outputs)


# --- sessions that expire -------------------------------------------------------------------


def _is_expired(session: Session, item: PostAnswered, error: jsonrpc.Reply | None) -> bool:
    """404 says so (2025-11-25, basic/transports, "Session Management"), in a session with an id.

    Some servers answer 400, with an error that speaks of the session: that is believed once.
    """
    # What others have sent meets a session that has begun since: it was meant for one before.
    is_old = session.phase != "ready" and ids.is_for_others(item.id)
    if session.era != "handshake" or not (session.session_id or is_old):
        return False
    if item.status == _BAD_REQUEST and error is not None and not session.is_renewed:
        return "session" in error.error.lower()
    return item.status == _NOT_FOUND


def _renew(session: Session, plan: Plan, item: PostAnswered) -> Move:
    """Begin a new session. What met that was not carried out, and waits for the next one.

    What the server took before may still be answered, on the streams that are open.
    """
    reason = f"the server does not know the session any more (HTTP {item.status})"
    answers_left, outputs = answers.outlive(session, reason)
    if session.stream_id and item.id != session.stream_id:
        outputs = (*outputs, Cut(server=session.server, id=session.stream_id))
    if ids.is_for_others(item.id):
        lost = RequestLost(server=session.server, id=item.id, reason=reason, is_sent=False)
        outputs = (*outputs, lost)
    closed = SessionClosed(server=session.server, reason=reason, retry_in=0.0)
    fresh = replace(
        anew(session),
        answers=answers_left,
        vain=session.vain,
        is_renewed=item.status == _BAD_REQUEST,
    )
    session, more = handshake.initialize(fresh, plan)
    return session, (*outputs, StopTimer(id=session.again), closed, *more)


# --- streams that were asked for ------------------------------------------------------------


def _on_resumed(session: Session, plan: Plan, item: PostAnswered) -> Move:
    """The rest of an answer is there, or not."""
    request = answers.request_of(session, item.id)
    if item.is_open or request is None:
        return session, ()
    outputs: Outputs = ()
    if is_accepted(item.status):
        session, outputs = messages.on_body(session, plan, replace(item, id=request))
        if request not in session.answers:
            return session, outputs
    is_expired = session.phase == "ready" and _is_expired(session, item, _error_in(item))
    session, more = answers.on_refused(session, plan, request, item)
    outputs = (*outputs, *more)
    if not is_expired:
        return session, outputs
    session, more = _renew(session, plan, item)
    return session, (*outputs, *more)


def _on_standing(session: Session, plan: Plan, item: PostAnswered) -> Move:
    """The server's own stream, or the subscription: there, not there, or over at once."""
    if session.era == "handshake":
        is_expired = session.phase == "ready" and _is_expired(session, item, _error_in(item))
        if is_expired and session.had_stream:
            return _renew(session, plan, item)
        session, outputs = own_stream.on_posted(session, plan, item)
        if session.phase != "attending":
            return session, outputs
        session, more = handshake.begin(session, plan)
        return session, (*outputs, StopTimer(id=session.grace), *more)
    session, outputs = messages.on_body(session, plan, item)
    if item.id != session.stream_id:
        return session, outputs
    session, more = subscriptions.on_posted(session, plan, item)
    return session, (*outputs, *more)

"""Streamable HTTP: answers that come with the response, broken streams, sessions that expire.

basic/transports, "Streamable HTTP", 2025-03-26 to 2026-07-28. An answer that breaks off is taken up
again where the revision knows how ("Resumability and Redelivery"); where it does not, whoever waits
for it hears so.
"""

from msgspec.structs import replace

from pipeline.core import jsonrpc
from pipeline.core.commands import Cut, Open, StartTimer, StopTimer
from pipeline.core.events import (
    AnswerEnded,
    FrameReceived,
    PostAnswered,
    Problem,
    ReplyReceived,
    RequestLost,
    SessionClosed,
)
from pipeline.core.plan import Plan
from pipeline.core.session import handshake, lists, messages, modern, wire
from pipeline.core.session.state import (
    Answer,
    Move,
    Outputs,
    Session,
    anew,
    give_up,
    is_accepted,
    start_over,
)

RESUME = "resume:"
_REQUESTS = ("call:", "request:")
_UNAUTHORIZED = (401, 403)
_NOT_FOUND, _BAD_REQUEST, _NO_METHOD = 404, 400, 405
_SERVER_ERROR = 500
_RETRY_MS = 1000
_MOST_PAUSE = 30.0
_LATER = (408, 425, 429)


def on_posted(session: Session, plan: Plan, item: PostAnswered) -> Move:
    """The answer to a message, or its beginning."""
    if item.id == session.stream_id and session.era == "handshake":
        return _on_own_stream(session, plan, item)
    if (request := _resumed(session, item.id)) is not None:
        return _on_resumed(session, plan, request, item)
    if is_accepted(item.status):
        return _on_accepted(session, plan, item)
    if (error := _error_in(item)) is not None and not _is_expired(session, item):
        # Whatever id it has, or none: it is about the message that it answers.
        return messages.on_reply(session, plan, item.id, error)
    return _on_refused(session, plan, item)


def on_frame(session: Session, plan: Plan, frame: FrameReceived) -> Move:
    """An event of an open answer, or of the server's own stream."""
    if frame.stream and frame.stream == session.stream_id and session.vain:
        session = replace(session, vain=0)
    if not frame.data or not messages.is_frame_of(frame):
        return session, ()  # a priming event, or one that means nothing here
    asked = frame.stream if frame.stream in session.answers else None
    return messages.on_message(session, plan, frame.data, asked)


def on_ended(session: Session, plan: Plan, item: AnswerEnded) -> Move:
    """An open answer ended; if its request has no answer yet, it is taken up again, or lost."""
    if item.id == session.stream_id:
        if session.era == "modern":
            return modern.after_pause(session, plan)
        return _pause_own(session, plan, item.last_event_id, item.retry_ms)
    request = item.id if item.id in session.answers else _resumed(session, item.id)
    if request is None:
        return session, ()
    answer = session.answers[request]
    if item.last_event_id:
        answer = replace(answer, last_event_id=item.last_event_id, tries=0)
    session = _with_answer(session, request, answer)
    why = item.reason or "the server ended its answer without a result"
    if session.era != "handshake" or not answer.last_event_id:
        return _lose(session, plan, request, why)
    return _resume_later(session, plan, request, item.retry_ms, why)


def on_timer(session: Session, request: str) -> Move:
    """It is time to take up an answer again."""
    answer = session.answers.get(request)
    route = session.route
    if answer is None or route is None:
        return session, ()
    number = session.streams + 1
    stream = f"{RESUME}{request}:{number}"
    session = _with_answer(session, request, replace(answer, stream=stream))
    get = wire.get(route, stream, last_event_id=answer.last_event_id)
    return replace(session, streams=number), (get,)


def open_own(session: Session, last_event_id: str = "") -> Move:
    """Ask for the server's own stream, which many servers do not have."""
    assert session.route is not None, "a stream before the session stands"
    number = session.streams + 1
    stream = f"own:{session.server}:{session.generation}.{number}"
    get = wire.get(session.route, stream, last_event_id=last_event_id)
    return replace(session, streams=number, stream_id=stream), (get,)


# --- messages that were taken ---------------------------------------------------------------


def _on_accepted(session: Session, plan: Plan, item: PostAnswered) -> Move:
    if item.id == handshake.init_id(session):
        session = replace(session, session_id=item.session_id)
    if item.id == handshake.hello_id(session):
        return _greeted(session, plan) if session.phase == "greeting" else (session, ())
    is_request = messages.owns(session, item.id) or item.id.startswith(_REQUESTS)
    is_request = is_request or item.id == session.stream_id
    if item.is_open:
        if is_request and not item.id.startswith("answer:"):
            session = _with_answer(session, item.id, Answer(item.id))
        return session, ()
    before = session
    session, outputs = messages.on_body(session, plan, item)
    if item.id.startswith(_REQUESTS) and not _is_answered(item.id, outputs):
        why = f"the server took it (HTTP {item.status}) and gave no answer"
        return session, (*outputs, RequestLost(server=session.server, id=item.id, reason=why))
    if messages.is_step(session, item.id) and session == before:
        return start_over(session, f"{item.id.partition(':')[0]!r} was taken, but not answered")
    return session, outputs


def _greeted(session: Session, plan: Plan) -> Move:
    session, outputs = handshake.begin(session, plan)
    session, more = open_own(session)
    return session, (StopTimer(id=session.timer), *outputs, *more)


def _is_answered(id_: str, outputs: Outputs) -> bool:
    return any(isinstance(each, ReplyReceived) and each.id == id_ for each in outputs)


# --- messages that were not -----------------------------------------------------------------


def _error_in(item: PostAnswered) -> jsonrpc.Reply | None:
    """The JSON-RPC error in the body of a refusal."""
    body = item.body.strip()
    is_refusal = item.status is not None and _BAD_REQUEST <= item.status < _SERVER_ERROR
    if not is_refusal or item.status in _UNAUTHORIZED or not body.startswith(("{", "[")):
        return None
    try:
        replies = jsonrpc.decode(body)
    except jsonrpc.NotJsonRpcError:
        return None
    return next((r for r in replies if isinstance(r, jsonrpc.Reply) and r.error), None)


def _is_expired(session: Session, item: PostAnswered) -> bool:
    """404 says so; some servers answer 400 and speak of the session in their error."""
    if session.phase != "ready" or not session.session_id or session.era != "handshake":
        return False
    is_about_it = item.status == _BAD_REQUEST and "session" in item.body.lower()
    return item.status == _NOT_FOUND or is_about_it


def _on_refused(session: Session, plan: Plan, item: PostAnswered) -> Move:
    why = item.reason if item.status is None else f"HTTP {item.status} {item.body[:200]}".strip()
    if messages.is_step(session, item.id) or item.id == handshake.hello_id(session):
        return _on_failed_step(session, plan, item, why)
    if session.is_listing and item.id == lists.list_id(session):
        return lists.give_up(session, why)
    if item.id == session.stream_id and session.era == "modern":
        has_none = item.status is not None and item.status not in _LATER
        return (
            (replace(session, stream_id=""), ()) if has_none else modern.after_pause(session, plan)
        )
    if _is_expired(session, item):
        return _renew(session, plan, item)
    if item.id.startswith(_REQUESTS):
        return _on_request_refused(session, item, why)
    if messages.owns(session, item.id) and not item.id.startswith("log:"):
        what = item.id.partition(":")[0]
        detail = f"the message {what!r} could not be delivered: {why}"
        return session, (Problem(where=session.server, detail=detail),)
    return session, ()


def _on_request_refused(session: Session, item: PostAnswered, why: str) -> Move:
    server = session.server
    if item.status is None and not item.is_sent:
        lost = RequestLost(server=server, id=item.id, reason=why, is_sent=False)
        # Nobody is there: the next connection shows whether that lasts.
        session, outputs = start_over(session, why)
        return session, (lost, *outputs)
    if item.status is not None and item.status < _SERVER_ERROR:
        refused = f"the server refused the call: {why}"
        return session, (ReplyReceived(server=server, id=item.id, error=refused),)
    return session, (RequestLost(server=server, id=item.id, reason=why),)


def _on_failed_step(session: Session, plan: Plan, item: PostAnswered, why: str) -> Move:
    what = item.id.partition(":")[0]
    reason = f"the message {what!r} could not be delivered: {why}"
    status = item.status
    if status in _UNAUTHORIZED:
        return give_up(session, reason, status)
    if status is None or status >= _SERVER_ERROR or status in _LATER:
        return start_over(session, reason)
    match session.phase:
        case "probing":
            return handshake.initialize(session, plan)
        case "initializing" if session.doubts or session.wish == "http":
            return give_up(session, reason, status)
        case "initializing" if session.wish == "auto":
            # Not this transport: perhaps the older one is at this address.
            moved = replace(anew(session), transport="sse", era="", doubts=1, phase="closed")
            return moved, (StopTimer(id=session.timer), Open(server=session.server))
        case _:
            return start_over(session, reason)


def _renew(session: Session, plan: Plan, item: PostAnswered) -> Move:
    """The session has expired: what met that was not carried out, and waits for the next one."""
    reason = f"the server does not know the session any more (HTTP {item.status})"
    outputs: Outputs = ()
    if session.stream_id:
        outputs = (Cut(server=session.server, id=session.stream_id), StopTimer(id=session.again))
    for request in session.answers:
        outputs = (*outputs, RequestLost(server=session.server, id=request, reason=reason))
    if item.id.startswith(_REQUESTS):
        lost = RequestLost(server=session.server, id=item.id, reason=reason, is_sent=False)
        outputs = (*outputs, lost)
    closed = SessionClosed(server=session.server, reason=reason, retry_in=0.0)
    session, more = handshake.initialize(anew(session), plan)
    return session, (*outputs, closed, *more)


# --- answers that broke off -----------------------------------------------------------------


def _on_resumed(session: Session, plan: Plan, request: str, item: PostAnswered) -> Move:
    if item.is_open:
        return session, ()
    if is_accepted(item.status) and item.body:
        session, outputs = messages.on_body(session, plan, replace(item, id=request))
        if request not in session.answers:
            return session, outputs
    why = item.reason if item.status is None else f"HTTP {item.status}"
    is_final = item.status is not None and _BAD_REQUEST <= item.status < _SERVER_ERROR
    if is_final and item.status not in _LATER:
        return _lose(session, plan, request, f"the answer could not be taken up again: {why}")
    return _resume_later(session, plan, request, None, why)


def _resume_later(
    session: Session, plan: Plan, request: str, retry_ms: int | None, why: str
) -> Move:
    answer = session.answers[request]
    if answer.tries >= plan.max_resumptions:
        return _lose(session, plan, request, f"{why}; {answer.tries} attempts to take it up failed")
    seconds = (_RETRY_MS if retry_ms is None else retry_ms) / 1000
    pause = min(_MOST_PAUSE, seconds * 2**answer.tries)
    session = _with_answer(session, request, replace(answer, tries=answer.tries + 1))
    return session, (StartTimer(id=RESUME + request, seconds=pause),)


def _lose(session: Session, plan: Plan, request: str, why: str) -> Move:
    left = {key: value for key, value in session.answers.items() if key != request}
    session = replace(session, answers=left)
    if request == session.stream_id:
        return modern.after_pause(session, plan)
    if messages.is_step(session, request):
        return start_over(session, f"{request.partition(':')[0]!r} was not answered: {why}")
    if session.is_listing and request == lists.list_id(session):
        return lists.give_up(session, why)
    return session, (RequestLost(server=session.server, id=request, reason=why),)


# --- the server's own stream ----------------------------------------------------------------


def _on_own_stream(session: Session, plan: Plan, item: PostAnswered) -> Move:
    if item.is_open:
        return session, ()
    is_none = item.status is not None and item.status < _SERVER_ERROR and item.status not in _LATER
    if is_none:
        return replace(session, stream_id=""), ()
    return _pause_own(session, plan, "", None)


def _pause_own(session: Session, plan: Plan, last_event_id: str, retry_ms: int | None) -> Move:
    session, outputs = modern.after_pause(session, plan, retry_ms)
    return replace(session, own_event_id=last_event_id or session.own_event_id), outputs


def again(session: Session) -> Move:
    """The pause is over: ask for the own stream, or the subscription, once more."""
    if session.phase != "ready":
        return session, ()
    if session.era == "modern":
        return modern.listen(session)
    return open_own(session, session.own_event_id)


def _resumed(session: Session, stream: str) -> str | None:
    """The request whose answer this stream takes up."""
    found = (key for key, answer in session.answers.items() if answer.stream == stream != key)
    return next(found, None)


def _with_answer(session: Session, request: str, answer: Answer) -> Session:
    return replace(session, answers={**session.answers, request: answer})

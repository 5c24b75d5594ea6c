"""HTTP+SSE, 2024-11-05, and the seed dialect: one stream brings all, beside it messages are posted.

What follows `endpoint` tells the two apart: a `tools` event, or nothing until `initialize`.
"""

from msgspec.structs import replace

from pipeline.core.commands import StartTimer, StopTimer
from pipeline.core.events import FrameReceived, PostAnswered, Problem, Route
from pipeline.core.plan import Plan
from pipeline.core.session import handshake, ids, lists, messages, refusals, seed
from pipeline.core.session.endpoint import EndpointRefusedError, resolve, session_id_in
from pipeline.core.session.state import (
    Move,
    Outputs,
    Session,
    await_step,
    give_up,
    is_accepted,
    start_over,
)

_EARLY = ("closed", "opened", "deciding")
_UNAUTHORIZED = (401, 403)
_EXPIRED = "the server does not know the session any more (HTTP 404)"


def on_frame(session: Session, plan: Plan, frame: FrameReceived) -> Move:
    """An event of the stream."""
    match frame.event:
        case "endpoint":
            return _on_endpoint(session, plan, frame)
        case "tools" if session.wish != "sse":
            if session.phase in ("deciding", "initializing") or is_seed(session):
                session, outputs = seed.on_tools(session, frame)
                return session, (StopTimer(id=session.grace), *outputs)
            return session, (_unexpected(session, frame),)
        case "result" if is_seed(session):
            return seed.on_result(session, frame.data)
        case "error" if is_seed(session) or session.phase in _EARLY:
            return seed.on_error(session, frame.data)
        case _ if messages.is_frame_of(frame) and _is_sse(session) and frame.data:
            return messages.on_message(session, plan, frame.data)
        case _:
            return session, ()  # Empty data is how some servers keep the line open.


def on_grace_over(session: Session, plan: Plan) -> Move:
    """No `tools` came: it is no seed server."""
    return handshake.initialize(session, plan) if session.phase == "deciding" else (session, ())


def on_posted(session: Session, plan: Plan, item: PostAnswered) -> Move:
    """A message was taken, or not; what it says comes on the stream, or in the body."""
    if is_accepted(item.status):
        # Some servers answer a POST with the message itself instead of 202.
        if not item.body or session.route is None:
            return session, ()
        if is_seed(session):
            return seed.on_body(session, item)
        return messages.on_body(session, plan, item)
    if not ids.owns(session, item.id):
        return _on_request_refused(session, plan, item)
    if is_seed(session):
        # Its `tools` came after we had lost patience: how it takes an `initialize` says nothing.
        return session, ()
    why = item.reason if item.status is None else f"HTTP {item.status} {item.body[:200]}".strip()
    problem = messages.undelivered(session, item.id, why)
    if item.status in _UNAUTHORIZED:
        return give_up(session, problem.detail, item.status)
    if ids.is_step(session, item.id):
        return start_over(session, problem.detail)
    if session.is_listing and item.id == lists.list_id(session):
        return lists.fail(session, plan, why)
    return session, (problem,)


def _on_request_refused(session: Session, plan: Plan, item: PostAnswered) -> Move:
    """What a later stage has sent was not taken: is it the session, or the moment?"""
    outputs: Outputs = ()
    if refusals.is_told(plan, item) and ids.is_for_others(item.id):
        if item.status == refusals.NOT_FOUND:
            outputs = (refusals.unknown_session(session, item, _EXPIRED),)
        else:
            outputs = (refusals.not_now(session, plan, item, messages.why_not(item)),)
    if item.status == refusals.NOT_FOUND and session.phase == "ready":
        session, more = start_over(session, _EXPIRED)
        outputs = (*outputs, *more)
    return session, outputs


def is_seed(session: Session) -> bool:
    """Was it found to be the seed dialect?"""
    return session.route is not None and session.route.dialect == "seed"


def _is_sse(session: Session) -> bool:
    return session.route is not None and session.route.dialect == "sse"


def _on_endpoint(session: Session, plan: Plan, frame: FrameReceived) -> Move:
    if session.phase != "opened":
        return session, (_unexpected(session, frame),)
    try:
        url = resolve(session.url, frame.data)
    except EndpointRefusedError as exc:
        return give_up(session, str(exc))
    session_id = session_id_in(url)
    route = Route(server=session.server, url=url, dialect="sse", session_id=session_id)
    session = replace(session, route=route, session_id=session_id, phase="deciding")
    match session.wish:
        case "sse":
            return handshake.initialize(session, plan)
        case "seed":
            return session, (await_step(session, plan),)
        case _:
            return session, (StartTimer(id=session.grace, seconds=plan.dialect_grace),)


def _unexpected(session: Session, frame: FrameReceived) -> Problem:
    detail = f"an unexpected {frame.event!r} event is ignored (session is {session.phase})"
    return Problem(where=session.server, detail=detail)

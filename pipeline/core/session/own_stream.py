"""The stream that a server may have for what is about no request of ours, up to 2025-11-25.

basic/transports, "Listening for Messages from the Server". Many servers have none.
"""

from msgspec.structs import replace

from pipeline.core.events import AnswerEnded, PostAnswered
from pipeline.core.plan import Plan
from pipeline.core.session import lists, standing, wire
from pipeline.core.session.state import Move, Session, is_final


def ask(session: Session) -> Move:
    """Ask for it, from the last event on that is known."""
    route = session.route
    assert route is not None, "a stream before the session stands"
    number = session.streams + 1
    stream = f"own:{session.server}:{session.generation}.{number}"
    get = wire.get(route, stream, last_event_id=session.own_event_id)
    return replace(session, streams=number, stream_id=stream, is_pausing=False), (get,)


def again(session: Session, plan: Plan) -> Move:
    """Ask for it once more; what changed meanwhile is told again, or has to be looked up."""
    is_missed = not session.own_event_id and lists.may_change(session)
    session, outputs = ask(session)
    if not is_missed:
        return session, outputs
    session, more = lists.again(session, plan)
    return session, (*outputs, *more)


def on_posted(session: Session, plan: Plan, item: PostAnswered) -> Move:
    """It is there, there is none, or it cannot be had now."""
    if item.is_open:
        return standing.opened(session)
    if is_final(item.status):
        return replace(session, stream_id=""), ()
    return standing.ended(session, plan)


def on_ended(session: Session, plan: Plan, item: AnswerEnded) -> Move:
    """It ended, as it may at any time."""
    session = replace(session, own_event_id=item.last_event_id or session.own_event_id)
    return standing.ended(session, plan, item.retry_ms)

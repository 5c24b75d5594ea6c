"""The stream that stands: the server's own, or our subscription, whichever its era has.

When it ends it is asked for again, after a pause that grows with each time that it did not last.
That is never fatal: calls have their own streams.
"""

from msgspec.structs import replace

from pipeline.core.commands import StartTimer
from pipeline.core.events import Problem
from pipeline.core.plan import Plan
from pipeline.core.session.state import Move, Session, pause_before

LASTING = 30.0
"""Seconds after which a stream has lasted, although nothing came on it."""


def opened(session: Session) -> Move:
    """It is there; now it has to last."""
    return replace(session, had_stream=True), (StartTimer(id=session.again, seconds=LASTING),)


def proved(session: Session) -> Session:
    """It brought something, or has lasted: what was in vain before does not count any more."""
    return replace(session, vain=0) if session.vain else session


def ended(session: Session, plan: Plan, retry_ms: int | None = None) -> Move:
    """It ended, or could not be had now: ask for it again in a while."""
    session = replace(session, stream_id="", vain=session.vain + 1)
    if session.vain <= plan.max_resumptions:
        pause = pause_before(retry_ms, session.vain - 1)
        session = replace(session, is_pausing=True)
        return session, (StartTimer(id=session.again, seconds=pause),)
    detail = f"its stream of changes broke off {session.vain} times, and is not asked for any more"
    hint = "what changes there is not seen until the next connection"
    return session, (Problem(where=session.server, detail=detail, hint=hint),)

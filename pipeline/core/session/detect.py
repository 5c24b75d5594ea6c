"""Which transport and which era: what is tried at a server, in which order, and what it tells.

2026-07-28, basic/versioning, "Backward Compatibility", and the sections of that name of each
transport. At an address: `server/discover`, then `initialize`, then an event stream; one that ends
in `/sse` begins with that. A process: `server/discover`, then `initialize`. Only a refusal tells
something: where nobody answers, the usual patience brings another attempt at the same.
"""

from msgspec.structs import replace

from pipeline.core import jsonrpc
from pipeline.core.commands import Open, StopTimer
from pipeline.core.events import PostAnswered, Problem, StreamLost
from pipeline.core.plan import Plan, ServerPlan
from pipeline.core.session import handshake, modern
from pipeline.core.session.state import (
    Move,
    Outputs,
    Session,
    Transport,
    anew,
    await_step,
    give_up,
    is_final,
    start_over,
)

UNAUTHORIZED = (401, 403)
_NO_STREAM = (400, 404, 405, 406)


def first(plan: ServerPlan, generation: int = 0) -> Session:
    """A session that is still to be opened, by what the plan says or the address suggests."""
    return Session(
        server=plan.name,
        url=plan.url,
        wish=plan.dialect,
        transport=_transport(plan),
        generation=generation,
    )


def _transport(plan: ServerPlan) -> Transport:
    match plan.dialect:
        case "stdio":
            return "stdio"
        case "sse" | "seed":
            return "sse"
        case "http":
            return "http"
        case "auto":
            if not plan.url:
                return "stdio"
            path = plan.url.partition("?")[0].rstrip("/")
            return "sse" if path.endswith("/sse") else "http"


def open_link(session: Session) -> Open:
    """Connect it, by the transport that is thought to be the right one."""
    return Open(server=session.server, transport=session.transport)


def begin(session: Session, plan: Plan) -> Move:
    """The link is open: what is said first depends on what is known."""
    if session.transport == "sse":
        session = replace(session, phase="opened")
        return session, (await_step(session, plan),)
    if session.known == "handshake":
        return handshake.initialize(session, plan)
    return modern.discover(session, plan)


def on_silence(session: Session, plan: Plan, waited: str) -> Move:
    """`server/discover` was not answered."""
    if session.transport == "stdio" and session.known != "modern":
        # A process that does not know the question may say nothing at all.
        return handshake.initialize(session, plan)
    return start_over(replace(session, known=""), f"`server/discover` was not answered {waited}")


def on_refused(session: Session, plan: Plan, item: PostAnswered, reason: str) -> Move:
    """A step of the handshake was not taken; `reason` says so in words."""
    status = item.status
    if status in UNAUTHORIZED:
        return give_up(session, reason, status)
    if not is_final(status):
        return start_over(session, reason)
    return _on_no(session, plan, reason, status)


def on_unanswered(session: Session, plan: Plan, reason: str) -> Move:
    """A step of the handshake was taken, and came to nothing."""
    return _on_no(session, plan, reason, None)


def _on_no(session: Session, plan: Plan, reason: str, status: int | None) -> Move:
    match session.phase:
        case "probing":
            return handshake.initialize(session, plan)
        case "initializing" if session.transport == "http" and session.probes:
            if session.wish != "auto":
                return give_up(session, reason, status)
            if session.refusal:
                refusal = f"{reason}; and no event stream is there, either: {session.refusal}"
                return give_up(session, refusal, status)
            # Not this transport: perhaps the older one is at this address.
            return _move(session, "sse", reason)
        case _:
            # What was learnt of it may be out of date: the next connection finds out again.
            return start_over(replace(session, known=""), reason)


def another(session: Session, lost: StreamLost) -> Move | None:
    """Instead of a link that was refused for good, one of the other kind; None: there is none."""
    return _move(session, "http", lost.reason) if _is_no(session, lost) == "first" else None


def explain(session: Session, lost: StreamLost) -> Outputs:
    """What else was tried at an address that is no event stream's."""
    if _is_no(session, lost) != "last":
        return ()
    detail = f"it takes no messages at its address, either: {session.refusal}"
    hint = "check the path of the address: many servers are at /mcp or /sse"
    return (Problem(where=session.server, detail=detail, hint=hint),)


def _is_no(session: Session, lost: StreamLost) -> str:
    is_no = lost.retry_in is None and lost.status in _NO_STREAM and session.transport == "sse"
    if not is_no or session.wish != "auto" or session.is_told:
        return ""
    return "last" if session.refusal else "first"


def _move(session: Session, transport: Transport, refusal: str) -> Move:
    session = replace(
        anew(session), transport=transport, refusal=jsonrpc.shorten(refusal, 300), known=""
    )
    return session, (StopTimer(id=session.timer), open_link(session))

"""`tools/list`, page by page, and again when it has changed. MCP: server/tools, "Listing Tools".

A first list that breaks off is kept as far as it came, and read again a few times.
"""

from msgspec.structs import replace

from pipeline.core import jsonrpc
from pipeline.core.commands import Passing, StartTimer
from pipeline.core.events import Json, Problem
from pipeline.core.plan import Plan
from pipeline.core.session import wire
from pipeline.core.session.state import Move, Outputs, Session, await_step, ready
from pipeline.core.shapes import is_list, is_object

_MOST_TRIES = 3
"""How often a first list that broke off is read again; then what came of it has to do."""
_FIRST_PAUSE = 1.0  # seconds, and twice as long each time


def list_id(session: Session) -> str:
    """The id of the latest `tools/list`."""
    return f"list:{session.server}:{session.generation}.{session.lists}"


def ask(session: Session, plan: Plan, cursor: str | None = None) -> Move:
    """Ask for a page, the first one without `cursor`."""
    route = session.route
    assert route is not None, "a list before the session stands"
    session = replace(session, lists=session.lists + 1, is_listing=True)
    id_ = list_id(session)
    params: Json = {} if cursor is None else {"cursor": cursor}
    message = jsonrpc.request(id_, "tools/list", params)
    post = wire.post(route, id_, message, seconds=plan.connect_timeout)
    return session, (post, await_step(session, plan))


def again(session: Session, plan: Plan) -> Move:
    """The list may be another one now: read it anew, or later if it is being read, or just was."""
    if session.is_listing or session.is_resting:
        return replace(session, list_again=True), ()
    return ask(session, plan) if session.phase == "ready" else (session, ())


def may_change(session: Session) -> bool:
    """Does the server say that it tells when its tools change?"""
    tools = session.offers.get("tools")
    return is_object(tools) and tools.get("listChanged") is True


def on_page(session: Session, plan: Plan, reply: jsonrpc.Reply) -> Move:
    """A page came, or a refusal."""
    tools = None if reply.result is None else reply.result.get("tools")
    if not is_list(tools):
        reason = reply.error or f"found {type(tools).__name__} as `tools`, expected a list"
        return fail(session, plan, reason, is_final=reply.code == jsonrpc.METHOD_NOT_FOUND)
    assert reply.result is not None, "a list came from a result"
    session = replace(session, pages=(*session.pages, *tools))
    cursor = reply.result.get("nextCursor")
    if isinstance(cursor, str) and cursor not in session.cursors:
        pages_read = len(session.cursors) + 1
        if pages_read < plan.max_pages and len(session.pages) < plan.max_tools:
            return ask(replace(session, cursors=(*session.cursors, cursor)), plan, cursor)
        cut = f"the tool list is cut after {len(session.pages)} tools (--max-pages, --max-tools)"
        return _listed(session, plan, Problem(where=session.server, detail=cut))
    if isinstance(cursor, str):
        end = f"the tool list repeats its cursor {cursor!r}; it ends here"
        return _listed(session, plan, Problem(where=session.server, detail=end))
    return _listed(session, plan)


def fail(session: Session, plan: Plan, reason: str, *, is_final: bool = False) -> Move:
    """A page did not come. Of a later list the old one stays, of the first one what there is.

    That is read again, up to `_MOST_TRIES` times, unless the failure `is_final`.
    """
    pages, is_first = session.pages, session.phase != "ready" or session.is_partial
    session = replace(session, pages=(), cursors=(), is_listing=False)
    if not is_first:
        detail = f"the tool list could not be read again: {reason}; the old one stays"
        return _rest(session, plan, Problem(where=session.server, detail=detail))
    session = replace(session, list_again=False)
    outputs: Outputs = ()
    if session.phase != "ready" or len(pages) > session.kept:
        session, outputs = ready(replace(session, kept=len(pages)), pages)
    count = "1 tool" if session.kept == 1 else f"{session.kept} tools"
    detail = f"the tool list is not whole: {count} came, and then: {reason}"
    if not session.kept:
        detail = f"no tools: `tools/list` failed: {reason}"
    if is_final or session.relists >= _MOST_TRIES:
        hint = "it is not read again until the server says that it has changed"
        session = replace(session, is_partial=False)
        return session, (*outputs, Problem(where=session.server, detail=detail, hint=hint))
    pause = _FIRST_PAUSE * 2.0**session.relists
    problem = Problem(where=session.server, detail=detail, hint=f"it is read again in {pause:g} s")
    session = replace(session, is_partial=True, relists=session.relists + 1)
    return session, (*outputs, problem, StartTimer(id=session.timer, seconds=pause))


def rested(session: Session, plan: Plan) -> Move:
    """The rest of a list is over: a change that was told meanwhile is read now."""
    session = replace(session, is_resting=False)
    return ask(replace(session, list_again=False), plan) if session.list_again else (session, ())


def _listed(session: Session, plan: Plan, *problems: Problem) -> Move:
    is_later = session.phase == "ready" and not session.is_partial
    session, outputs = ready(replace(session, is_partial=False, relists=0), session.pages)
    if is_later and plan.list_pause:
        return _rest(session, plan, *outputs, *problems)
    if not session.list_again:
        return session, (*outputs, *problems)
    session, more = ask(replace(session, list_again=False), plan)
    return session, (*outputs, *problems, *more)


def _rest(session: Session, plan: Plan, *outputs: Passing) -> Move:
    """A server whose list has always just changed would have us read it, and do nothing else."""
    if not plan.list_pause:  # as recordings of earlier versions have it
        return replace(session, list_again=False), outputs
    rest = StartTimer(id=session.timer, seconds=plan.list_pause)
    return replace(session, is_resting=True), (*outputs, rest)

"""`tools/list`, page by page, and again when it has changed. MCP: server/tools, "Listing Tools"."""

from msgspec.structs import replace

from pipeline.core import jsonrpc
from pipeline.core.events import Json, Problem
from pipeline.core.plan import Plan
from pipeline.core.session import wire
from pipeline.core.session.state import Move, Session, await_step, ready
from pipeline.core.shapes import is_list, is_object


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
    """The list may be another one now: read it anew, or once more if it is being read."""
    if session.is_listing:
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
        if session.phase == "ready":
            return give_up(session, reason)
        session, outputs = ready(session, ())
        problem = Problem(where=session.server, detail=f"no tools: `tools/list` failed: {reason}")
        return session, (*outputs, problem)
    assert reply.result is not None, "a list came from a result"
    session = replace(session, pages=(*session.pages, *tools))
    cursor = reply.result.get("nextCursor")
    if isinstance(cursor, str) and cursor not in session.cursors:
        pages_read = len(session.cursors) + 1
        if pages_read < plan.max_pages and len(session.pages) < plan.max_tools:
            return ask(replace(session, cursors=(*session.cursors, cursor)), plan, cursor)
        cut = f"the tool list is cut after {len(session.pages)} tools"
        return _listed(session, plan, Problem(where=session.server, detail=cut))
    if isinstance(cursor, str):
        end = f"the tool list repeats its cursor {cursor!r}; it ends here"
        return _listed(session, plan, Problem(where=session.server, detail=end))
    return _listed(session, plan)


def give_up(session: Session, reason: str) -> Move:
    """A later `tools/list` came to nothing: the old list stays."""
    session = replace(session, pages=(), cursors=(), is_listing=False, list_again=False)
    detail = f"the tool list could not be read again: {reason}; the old one stays"
    return session, (Problem(where=session.server, detail=detail),)


def _listed(session: Session, plan: Plan, *problems: Problem) -> Move:
    session, outputs = ready(session, session.pages)
    if not session.list_again:
        return session, (*outputs, *problems)
    session, more = ask(replace(session, list_again=False), plan)
    return session, (*outputs, *problems, *more)

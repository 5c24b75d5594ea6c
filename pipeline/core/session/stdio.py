"""A process: one message a line, both ways. basic/transports, "stdio"."""

from msgspec.structs import replace

from pipeline.core import jsonrpc
from pipeline.core.events import PostAnswered, Problem
from pipeline.core.plan import Plan
from pipeline.core.session import detect, ids, lists, messages
from pipeline.core.session.state import Move, Session, is_accepted


def on_line(session: Session, plan: Plan, text: str) -> Move:
    """A line of its output; the first that is no message is told, as it may be a stray print."""
    if text.startswith(("{", "[")):
        return messages.on_message(session, plan, text)
    bare = text.strip()
    if bare.startswith(("{", "[")):
        return messages.on_message(session, plan, bare)
    if session.is_noisy or not bare:
        return session, ()
    detail = f"it writes more than messages to its output: {jsonrpc.shorten(bare)!r}"
    problem = Problem(where=session.server, detail=detail, hint="such lines are passed over")
    return replace(session, is_noisy=True), (problem,)


def on_posted(session: Session, plan: Plan, item: PostAnswered) -> Move:
    """It took a message, or its pipe is closed or full; its answers come as lines."""
    if is_accepted(item.status) or not ids.owns(session, item.id):
        return session, ()
    problem = messages.undelivered(session, item.id, messages.why_not(item))
    if ids.is_step(session, item.id):
        return detect.on_refused(session, plan, item, problem.detail)
    if session.is_listing and item.id == lists.list_id(session):
        return lists.fail(session, plan, item.reason)
    return session, (problem,)

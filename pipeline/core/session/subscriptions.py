"""What a person wants to hear of: resources, and in the stateless revisions all that may change.

2026-07-28, basic/patterns/subscriptions: one request, `subscriptions/listen`, that stays open.
Before, server/resources, "Subscriptions": one request for each resource, which the agent stage
sends; the session repeats it for the next session.
"""

from typing import Any

from msgspec.structs import replace

from pipeline.core import jsonrpc
from pipeline.core.commands import Cut, StopTimer
from pipeline.core.events import Json, PostAnswered, Problem
from pipeline.core.plan import Plan
from pipeline.core.session import ids, lists, standing, wire
from pipeline.core.session.state import Move, Outputs, Session, is_accepted, is_final
from pipeline.core.shapes import is_list, is_object

MOST = 256
"""Resources that a session is subscribed to."""
_ENDLESS = 10 * 86_400.0  # seconds
_MAY_CHANGE = ("tools", "prompts", "resources")


def wish(session: Session, method: str, uri: str) -> Move:
    """A person wants to hear of a resource, or does not any more."""
    others = tuple(each for each in session.subscriptions if each != uri)
    wanted = (*others, uri) if method == "resources/subscribe" else others
    if len(wanted) > MOST:
        detail = f"{MOST} resources are subscribed to already, and that is the limit"
        return session, (Problem(where=session.server, detail=detail),)
    is_same = set(wanted) == set(session.subscriptions)
    session = replace(session, subscriptions=wanted)
    if is_same or session.era != "modern" or session.phase != "ready":
        return session, ()
    session, stop = _stop(session)
    session, outputs = _listen(session)
    return session, (*stop, *outputs)


def may_watch(session: Session) -> bool:
    """Does the server say that it tells of changes to a resource? Since 2026-07-28 any may."""
    resources = session.offers.get("resources")
    return is_object(resources) and (session.era == "modern" or resources.get("subscribe") is True)


def renew(session: Session, plan: Plan) -> Move:
    """A session has just become ready: it knows nothing of what the one before was asked for."""
    if session.era == "modern":
        return _listen(session)
    route = session.route
    if route is None or session.transport == "sse" or not may_watch(session):
        return session, ()
    posts: Outputs = ()
    for number, uri in enumerate(session.subscriptions, 1):
        id_ = f"{ids.SUBSCRIBE}{session.server}:{session.generation}.{number}"
        message = jsonrpc.request(id_, "resources/subscribe", {"uri": uri})
        posts = (*posts, wire.post(route, id_, message, seconds=plan.connect_timeout))
    return session, posts


def again(session: Session, plan: Plan) -> Move:
    """Listen once more; nothing is told again, so what may have changed has to be looked up."""
    session, outputs = _listen(session)
    if not lists.may_change(session):
        return session, outputs
    session, more = lists.again(session, plan)
    return session, (*outputs, *more)


def on_posted(session: Session, plan: Plan, item: PostAnswered) -> Move:
    """The server listens to us, has no such thing, or cannot now."""
    if item.is_open:
        return standing.opened(session)
    if is_final(item.status) and not is_accepted(item.status):
        return replace(session, stream_id=""), ()
    return standing.ended(session, plan)


def on_reply(session: Session, plan: Plan, reply: jsonrpc.Reply) -> Move:
    """It ended in good order; or the server has none, which is fine."""
    if reply.result is None:
        return replace(session, stream_id=""), (StopTimer(id=session.again),)
    return standing.ended(session, plan)


def on_acknowledged(session: Session, params: Json) -> Move:
    """What the server agrees to tell; which may be less than what was asked for."""
    granted = params.get("notifications")
    uris = granted.get("resourceSubscriptions") if is_object(granted) else None
    known: list[Any] = uris if is_list(uris) else []
    missing = [uri for uri in session.subscriptions if uri not in known]
    problems: Outputs = ()
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        detail = f"it does not tell of changes to {jsonrpc.shorten(missing[0])!r}{more}"
        problems = (Problem(where=session.server, detail=detail),)
    # A process takes every message: this is what shows that it listens.
    session, outputs = standing.opened(session)
    return session, (*outputs, *problems)


def is_stale(session: Session, params: Json) -> bool:
    """Does a notification belong to a subscription that is over?"""
    meta = params.get("_meta")
    id_ = meta.get(f"{wire.META}subscriptionId") if is_object(meta) else None
    return id_ is not None and id_ != session.stream_id


def _listen(session: Session) -> Move:
    wanted = _wanted(session)
    route = session.route
    if not wanted or route is None:
        return session, ()
    number = session.streams + 1
    id_ = f"listen:{session.server}:{session.generation}.{number}"
    message = jsonrpc.request(id_, "subscriptions/listen", {"notifications": wanted})
    session = replace(session, streams=number, stream_id=id_, is_pausing=False)
    return session, (wire.post(route, id_, message, seconds=_ENDLESS),)


def _wanted(session: Session) -> Json:
    wanted: Json = {}
    for what in _MAY_CHANGE:
        offer = session.offers.get(what)
        if is_object(offer) and offer.get("listChanged") is True:
            wanted[f"{what}ListChanged"] = True
    if session.subscriptions:
        wanted["resourceSubscriptions"] = list(session.subscriptions)
    return wanted


def _stop(session: Session) -> Move:
    """Over HTTP an answer that is closed ends its request; a process is told."""
    old, route = session.stream_id, session.route
    stop = StopTimer(id=session.again)
    session = replace(session, stream_id="", is_pausing=False)
    if not old or route is None:
        return session, (stop,)
    if session.transport == "http":
        return session, (stop, Cut(server=session.server, id=old))
    message = jsonrpc.notification("notifications/cancelled", {"requestId": old})
    return session, (stop, wire.post(route, ids.CANCEL + old, message))

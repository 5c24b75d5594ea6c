"""The stateless revisions, since 2026-07-28: no handshake, each request says who asks.

server/discover tells the era; basic/utilities/subscriptions: one request that stays open brings
what changes.
"""

from msgspec.structs import replace

from pipeline.core import jsonrpc
from pipeline.core.commands import Cut, StartTimer, StopTimer
from pipeline.core.events import Json, Route, SessionReady
from pipeline.core.plan import Plan
from pipeline.core.session import handshake, wire
from pipeline.core.session.state import Move, Outputs, Session, await_step, give_up
from pipeline.core.shapes import is_list, is_object

HEADER_MISMATCH = -32020
MISSING_CAPABILITY = -32021
UNSUPPORTED_VERSION = -32022
MODERN_ERRORS = (HEADER_MISMATCH, MISSING_CAPABILITY, UNSUPPORTED_VERSION)
_VERSION = wire.MODERN[-1]
_PROCESS_PATIENCE = 2.0  # seconds: a process that does not know the question may never answer
_ENDLESS = 10 * 86_400.0  # seconds
_MOST_PAUSE = 60.0
_SUBSCRIBABLE = ("tools", "prompts", "resources")


def discover_id(session: Session) -> str:
    """The id of the latest `server/discover`."""
    return f"discover:{session.server}:{session.generation}.{session.doubts}"


def discover(session: Session, plan: Plan) -> Move:
    """Ask which revisions the server speaks; what it answers, if anything, tells the era."""
    route = Route(
        server=session.server,
        url=session.url,
        dialect="stdio" if session.transport == "stdio" else "http",
        protocol=_VERSION,
        meta=_meta(plan),
    )
    session = replace(session, route=route, phase="probing")
    message = jsonrpc.request(discover_id(session), "server/discover")
    post = wire.post(route, discover_id(session), message, seconds=plan.connect_timeout)
    step = await_step(session, plan)
    if session.transport == "stdio" and session.era != "modern":
        step = replace(step, seconds=min(step.seconds, _PROCESS_PATIENCE))
    return session, (post, step)


def on_discovered(session: Session, plan: Plan, reply: jsonrpc.Reply) -> Move:
    """The answer to `server/discover`: a modern server's, or a sign of an older one."""
    if session.phase != "probing":
        return session, ()  # too late: the handshake is under way
    if reply.result is not None:
        found = reply.result.get("supportedVersions")
        versions = found if is_list(found) else []
        if _VERSION in versions:
            return _greet(session, plan, reply.result)
        if versions and not any(version in handshake.KNOWN for version in versions):
            return _no_common(session, versions)
        return handshake.initialize(session, plan)
    return _on_refused(session, plan, reply)


def refused_handshake(session: Session, plan: Plan) -> Move:
    """`initialize` met a modern server: ask it which revisions it speaks, once."""
    return discover(replace(session, era="modern", doubts=session.doubts + 1), plan)


def _on_refused(session: Session, plan: Plan, reply: jsonrpc.Reply) -> Move:
    match reply.code:
        case -32022:
            found = reply.data.get("supported") if is_object(reply.data) else None
            versions = found if is_list(found) else []
            if _VERSION in versions and not session.doubts:
                return discover(replace(session, doubts=session.doubts + 1), plan)
            if any(version in handshake.KNOWN for version in versions):
                return handshake.initialize(session, plan)
            return _no_common(session, versions)
        case -32020 if not session.doubts:
            return discover(replace(session, doubts=session.doubts + 1), plan)
        case -32020 | -32021:
            return give_up(session, f"the server refuses what this client is: {reply.error}")
        case _:
            return handshake.initialize(session, plan)


def _no_common(session: Session, versions: list[object]) -> Move:
    theirs = ", ".join(str(version) for version in versions[:8]) or "none"
    ours = ", ".join((*wire.HANDSHAKE, *wire.MODERN))
    return give_up(session, f"no common protocol: the server speaks {theirs}, this client {ours}")


def _greet(session: Session, plan: Plan, result: Json) -> Move:
    assert session.route is not None, "discovered before it was asked"
    meta: Json = result["_meta"] if is_object(result.get("_meta")) else {}
    info = meta.get(f"{wire.META}serverInfo")
    info = info if is_object(info) else {}
    offers = result.get("capabilities")
    greeting = SessionReady(
        server=session.server,
        route=session.route,
        protocol=_VERSION,
        server_name=str(info.get("name") or ""),
        server_version=str(info.get("version") or ""),
        instructions=str(result.get("instructions") or ""),
    )
    session = replace(
        session, era="modern", greeting=greeting, offers=offers if is_object(offers) else {}
    )
    return handshake.begin(replace(session, phase="listing"), plan)


# --- what changes ---------------------------------------------------------------------------


def listen_id(session: Session) -> str:
    """The id of the latest `subscriptions/listen`."""
    return f"listen:{session.server}:{session.generation}.{session.streams}"


def listen(session: Session) -> Move:
    """Subscribe to what the server says may change, and to the resources that are wished for."""
    wanted: Json = {}
    for what in _SUBSCRIBABLE:
        offer = session.offers.get(what)
        if is_object(offer) and offer.get("listChanged") is True:
            wanted[f"{what}ListChanged"] = True
    if session.subscriptions:
        wanted["resourceSubscriptions"] = list(session.subscriptions)
    if not wanted or session.route is None:
        return session, ()
    session = replace(session, streams=session.streams + 1, stream_id=listen_id(session))
    session = replace(session, stream_id=listen_id(session))
    assert session.route is not None, "a subscription before the session stands"
    params: Json = {"notifications": wanted}
    message = jsonrpc.request(session.stream_id, "subscriptions/listen", params)
    return session, (wire.post(session.route, session.stream_id, message, seconds=_ENDLESS),)


def subscribe(session: Session, method: str, uri: str) -> Move:
    """Add a resource to the subscription, or take it out; the server gets a new one for the old."""
    others = tuple(each for each in session.subscriptions if each != uri)
    wanted = (*others, uri) if method == "resources/subscribe" else others
    if wanted == session.subscriptions:
        return session, ()
    old = session.stream_id
    session = replace(session, subscriptions=wanted, stream_id="")
    session, outputs = listen(session)
    return session, (*stop_listening(session, old), *outputs)


def stop_listening(session: Session, stream: str) -> Outputs:
    """Over HTTP an answer that is closed ends a request; a process is told."""
    if not stream or session.route is None:
        return ()
    if session.transport == "http":
        return (Cut(server=session.server, id=stream),)
    params: Json = {"requestId": stream}
    message = jsonrpc.notification("notifications/cancelled", params)
    return (wire.post(session.route, f"cancel:{stream}", message),)


def after_pause(session: Session, plan: Plan, retry_ms: int | None = None) -> Move:
    """A stream of its own came to an end: ask for it again after a pause that grows."""
    vain = session.vain + 1
    session = replace(session, vain=vain, stream_id="")
    if vain > plan.max_resumptions:
        return session, (StopTimer(id=session.again),)
    seconds = 1.0 if retry_ms is None else retry_ms / 1000
    pause = min(_MOST_PAUSE, seconds * 2 ** (vain - 1))
    return session, (StartTimer(id=session.again, seconds=pause),)


def _meta(plan: Plan) -> Json:
    meta: Json = {
        f"{wire.META}protocolVersion": _VERSION,
        f"{wire.META}clientCapabilities": _capabilities(plan),
        f"{wire.META}clientInfo": {"name": plan.client_name, "version": plan.client_version},
    }
    return {**meta, f"{wire.META}logLevel": plan.log_level} if plan.log_level else meta


def _capabilities(plan: Plan) -> Json:
    found = handshake.capabilities(plan)
    return {**found, "extensions": {"io.modelcontextprotocol/tasks": {}}} if plan.tasks else found

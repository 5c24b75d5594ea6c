"""The stateless revisions, since 2026-07-28: no handshake, each request says who asks.

server/discover; basic/versioning, "Protocol Version Negotiation".
"""

from typing import Any

from msgspec.structs import replace

from pipeline.core import jsonrpc
from pipeline.core.events import Json, Route, SessionReady
from pipeline.core.plan import Plan
from pipeline.core.session import handshake, wire
from pipeline.core.session.state import Move, Session, await_step, give_up
from pipeline.core.shapes import is_list, is_object

HEADER_MISMATCH = -32020
MISSING_CAPABILITY = -32021
UNSUPPORTED_VERSION = -32022
ERRORS = (HEADER_MISMATCH, MISSING_CAPABILITY, UNSUPPORTED_VERSION)
"""What only a server of these revisions says. The fallback to a handshake hangs on no other."""
_VERSION = wire.MODERN[-1]
_PROCESS_PATIENCE = 2.0  # seconds: a process that does not know the question may never answer
_MOST_PROBES = 2


def discover_id(session: Session) -> str:
    """The id of the latest `server/discover`."""
    return f"discover:{session.server}:{session.generation}.{session.probes}"


def discover(session: Session, plan: Plan) -> Move:
    """Ask which revisions the server speaks; what it answers, if anything, tells the era."""
    route = Route(
        server=session.server,
        url=session.url,
        dialect="stdio" if session.transport == "stdio" else "http",
        protocol=_VERSION,
        meta=_meta(plan),
    )
    session = replace(session, route=route, phase="probing", era="", probes=session.probes + 1)
    id_ = discover_id(session)
    message = jsonrpc.request(id_, "server/discover")
    post = wire.post(route, id_, message, seconds=plan.connect_timeout)
    step = await_step(session, plan)
    if session.transport == "stdio" and session.known != "modern":
        step = replace(step, seconds=min(step.seconds, _PROCESS_PATIENCE))
    return session, (post, step)


def may_probe(session: Session) -> bool:
    """Is there another attempt in this connection? A server may want the very same once more."""
    return session.probes < _MOST_PROBES


def on_discovered(session: Session, plan: Plan, reply: jsonrpc.Reply) -> Move:
    """The answer to `server/discover`: a modern server's, or a sign of an older one."""
    if session.phase != "probing":
        return session, ()  # too late: the handshake is under way
    if reply.result is not None:
        found = reply.result.get("supportedVersions")
        versions = found if is_list(found) else []
        if _VERSION in versions:
            return _greet(session, plan, reply.result)
        return _by_versions(session, plan, versions, if_none="handshake")
    match reply.code:
        case -32022:
            found = reply.data.get("supported") if is_object(reply.data) else None
            versions = found if is_list(found) else []
            if _VERSION in versions and may_probe(session):
                return discover(session, plan)
            return _by_versions(session, plan, versions, if_none="no")
        case -32020 if may_probe(session):
            return discover(session, plan)
        case -32020:
            why = f"{reply.error}; perhaps something on the way changes the headers"
            return give_up(session, f"the server does not get what it is sent: {why}")
        case -32021:
            return give_up(session, f"the server wants more of a client: {_wanted(reply)}")
        case _:
            return handshake.initialize(session, plan)


def _by_versions(session: Session, plan: Plan, versions: list[Any], *, if_none: str) -> Move:
    """Go on with a handshake if the server knows one; a server that says nothing may know one."""
    if any(version in wire.HANDSHAKE for version in versions):
        return handshake.initialize(session, plan)
    if not versions and if_none == "handshake":
        return handshake.initialize(session, plan)
    theirs = ", ".join(jsonrpc.shorten(str(version), 40) for version in versions[:8])
    ours = ", ".join((*wire.HANDSHAKE, *wire.MODERN))
    reason = f"no common protocol: the server speaks {theirs or 'none of ours'}, this client {ours}"
    return give_up(session, reason)


def _wanted(reply: jsonrpc.Reply) -> str:
    """basic/index, "Missing Required Client Capability": which ones."""
    wanted = reply.data.get("requiredCapabilities") if is_object(reply.data) else None
    names = ", ".join(sorted(wanted)) if is_object(wanted) else ""
    named = f"{reply.error}: {names}" if names else reply.error
    return f"{named} (--sampling, --elicit and --root say what it may ask for)"


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
    return handshake.begin(session, plan)


def _meta(plan: Plan) -> Json:
    """basic/index, "Request Metadata": what goes with every request."""
    meta: Json = {
        f"{wire.META}protocolVersion": _VERSION,
        f"{wire.META}clientCapabilities": _capabilities(plan),
        f"{wire.META}clientInfo": {"name": plan.client_name, "version": plan.client_version},
    }
    return {**meta, f"{wire.META}logLevel": plan.log_level} if plan.log_level else meta


def _capabilities(plan: Plan) -> Json:
    found = handshake.capabilities(plan)
    return {**found, "extensions": {"io.modelcontextprotocol/tasks": {}}} if plan.tasks else found

"""The revisions that begin with a handshake, 2024-11-05 to 2025-11-25, over any transport.

basic/lifecycle, "Initialization": `initialize` → its result → `notifications/initialized`.
"""

import re

from msgspec.structs import replace

from pipeline.core import jsonrpc
from pipeline.core.events import Json, Problem, Route, SessionReady
from pipeline.core.plan import Plan
from pipeline.core.session import lists, wire
from pipeline.core.session.state import (
    Move,
    Outputs,
    Session,
    await_step,
    give_up,
    ready,
    start_over,
)
from pipeline.core.shapes import is_object

_SESSION_ID = re.compile(r"[\x21-\x7e]{0,1024}")  # basic/transports, "Session Management"


def init_id(session: Session) -> str:
    """The id of `initialize`."""
    return f"init:{session.server}:{session.generation}"


def hello_id(session: Session) -> str:
    """The name of `notifications/initialized`."""
    return f"initialized:{session.server}"


def initialize(session: Session, plan: Plan) -> Move:
    """Ask for a session. Over HTTP that goes without a session's headers."""
    if session.transport != "sse":
        route = Route(server=session.server, url=session.url, dialect=session.transport)
        session = replace(session, route=route, session_id="")
    route = session.route
    assert route is not None, "initialize before an endpoint is known"
    params: Json = {
        "protocolVersion": wire.LATEST_HANDSHAKE,
        "capabilities": capabilities(plan),
        "clientInfo": {"name": plan.client_name, "version": plan.client_version},
    }
    session = replace(session, phase="initializing", era="handshake")
    message = jsonrpc.request(init_id(session), "initialize", params)
    post = wire.post(route, init_id(session), message, seconds=plan.connect_timeout)
    return session, (post, await_step(session, plan))


def capabilities(plan: Plan) -> Json:
    """What servers may ask of us, as far as the run allows it."""
    found: Json = {}
    if plan.roots:
        found["roots"] = {}
    if plan.sampling != "never":
        found["sampling"] = {}
    if plan.elicitation != "never":
        found["elicitation"] = {"form": {}, "url": {}}
    return found


def with_session_id(session: Session, session_id: str) -> Session | None:
    """The session as the server named it; None if no header could carry that name."""
    if _SESSION_ID.fullmatch(session_id) is None:
        return None
    assert session.route is not None, "named before it was asked for"
    route = replace(session.route, session_id=session_id)
    return replace(session, session_id=session_id, route=route)


def on_initialized(session: Session, plan: Plan, reply: jsonrpc.Reply) -> Move:
    """The answer to `initialize`."""
    if session.phase != "initializing":
        detail = "a second answer to `initialize` is ignored"
        return session, (Problem(where=session.server, detail=detail),)
    if reply.result is None:
        return start_over(session, f"`initialize` was refused: {reply.error}")
    version = reply.result.get("protocolVersion")
    if version not in wire.HANDSHAKE:
        ours = ", ".join(wire.HANDSHAKE)
        return give_up(session, f"the server wants protocol {version!r}; this client speaks {ours}")
    route = session.route
    assert route is not None, "initialized before an endpoint is known"
    if session.transport != "sse":
        route = replace(route, protocol=str(version))
    offers = reply.result.get("capabilities")
    session = replace(
        session,
        route=route,
        greeting=_greeting(route, reply.result),
        offers=offers if is_object(offers) else {},
    )
    message = jsonrpc.notification("notifications/initialized")
    hello = wire.post(route, hello_id(session), message, seconds=plan.connect_timeout)
    if session.transport == "http":
        # Side by side, what follows could overtake it.
        return replace(session, phase="greeting"), (hello, await_step(session, plan))
    session, more = begin(session, plan)
    return session, (hello, *more)


def begin(session: Session, plan: Plan) -> Move:
    """The session stands: read its tools, if it has any."""
    session = replace(session, phase="listing")
    if "tools" not in session.offers:
        session, outputs = ready(session, ())
    else:
        session, outputs = lists.ask(session, plan)
    return session, (*outputs, *_log_level(session, plan))


def log_id(session: Session) -> str:
    """The id of `logging/setLevel`."""
    return f"log:{session.server}:{session.generation}"


def _log_level(session: Session, plan: Plan) -> Outputs:
    """server/utilities/logging; later revisions say the level with every request."""
    is_wanted = plan.log_level and session.era == "handshake" and "logging" in session.offers
    if not is_wanted or session.route is None:
        return ()
    message = jsonrpc.request(log_id(session), "logging/setLevel", {"level": plan.log_level})
    return (wire.post(session.route, log_id(session), message, seconds=plan.connect_timeout),)


def _greeting(route: Route, result: Json) -> SessionReady:
    info: Json = result["serverInfo"] if is_object(result.get("serverInfo")) else {}
    return SessionReady(
        server=route.server,
        route=route,
        protocol=str(result["protocolVersion"]),
        server_name=str(info.get("name") or ""),
        server_version=str(info.get("version") or ""),
        instructions=str(result.get("instructions") or ""),
    )

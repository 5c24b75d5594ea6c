"""The revisions that begin with a handshake, 2024-11-05 to 2025-11-25, over any transport.

lifecycle, "Initialization": `initialize` → its result → `notifications/initialized`.
"""

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

LATEST = wire.LATEST_HANDSHAKE
KNOWN = wire.HANDSHAKE


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
    params: Json = {
        "protocolVersion": LATEST,
        "capabilities": capabilities(plan),
        "clientInfo": {"name": plan.client_name, "version": plan.client_version},
    }
    message = jsonrpc.request(init_id(session), "initialize", params)
    session = replace(session, phase="initializing", era="handshake")
    assert session.route is not None, "initialize before an endpoint is known"
    post = wire.post(session.route, init_id(session), message, seconds=plan.connect_timeout)
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


def on_initialized(session: Session, plan: Plan, reply: jsonrpc.Reply) -> Move:
    """The answer to `initialize`."""
    if session.phase != "initializing":
        detail = "a second answer to `initialize` is ignored"
        return session, (Problem(where=session.server, detail=detail),)
    if reply.result is None:
        return start_over(session, f"`initialize` was refused: {reply.error}")
    version = reply.result.get("protocolVersion")
    if version not in KNOWN:
        reason = f"the server wants protocol {version!r}; this client speaks {', '.join(KNOWN)}"
        return give_up(session, reason)
    assert session.route is not None, "initialized before an endpoint is known"
    route = session.route
    if session.transport != "sse":
        route = replace(route, session_id=session.session_id, protocol=str(version))
    offers = reply.result.get("capabilities")
    greeting = _greeting(route, reply.result)
    session = replace(
        session, route=route, greeting=greeting, offers=offers if is_object(offers) else {}
    )
    hello = wire.post(
        route,
        hello_id(session),
        jsonrpc.notification("notifications/initialized"),
        seconds=plan.connect_timeout,
    )
    if session.transport == "http":
        # Side by side, what follows could overtake it.
        return replace(session, phase="greeting"), (hello, await_step(session, plan))
    session, more = begin(replace(session, phase="listing"), plan)
    return session, (hello, *more)


def begin(session: Session, plan: Plan) -> Move:
    """The session stands: read its tools, if it has any."""
    session = replace(session, phase="listing")
    if "tools" not in session.offers:
        session, outputs = ready(session, ())
    else:
        session, outputs = lists.ask(session, plan)
    return session, (*outputs, *_log_level(session, plan))


def _log_level(session: Session, plan: Plan) -> Outputs:
    if not plan.log_level or "logging" not in session.offers or session.route is None:
        return ()
    id_ = f"log:{session.server}:{session.generation}"
    message = jsonrpc.request(id_, "logging/setLevel", {"level": plan.log_level})
    return (wire.post(session.route, id_, message, seconds=plan.connect_timeout),)


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

"""MCP over HTTP+SSE, revision 2024-11-05: handshake, tool list, JSON-RPC both ways.

lifecycle: `initialize` → its result → `notifications/initialized`; server/tools: `tools/list` with
`nextCursor`, again after `notifications/tools/list_changed`; basic/utilities: `ping`, progress.
"""

from msgspec.structs import replace

from pipeline.core import jsonrpc
from pipeline.core.commands import Post
from pipeline.core.events import (
    FrameReceived,
    Json,
    PostAnswered,
    Problem,
    ProgressReported,
    ReplyReceived,
    Route,
    ServerLogged,
    SessionReady,
)
from pipeline.core.plan import Plan
from pipeline.core.session.body import events_in
from pipeline.core.session.state import (
    Move,
    Outputs,
    Session,
    await_step,
    give_up,
    ready,
    start_over,
)
from pipeline.core.shapes import is_list, is_object

LATEST = "2025-11-25"
KNOWN = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")


def initialize(session: Session, plan: Plan) -> Move:
    """Ask for a session."""
    assert session.route is not None, "initialize before an endpoint is known"
    params: Json = {
        "protocolVersion": LATEST,
        "capabilities": {},
        "clientInfo": {"name": plan.client_name, "version": plan.client_version},
    }
    message = jsonrpc.request(_init_id(session), "initialize", params)
    session = replace(session, phase="initializing")
    return session, (_post(session, _init_id(session), message), await_step(session, plan))


def on_message(session: Session, plan: Plan, text: str, asked: jsonrpc.Id = None) -> Move:
    """The data of a `message` event. `asked` is the id of the request that it must be about."""
    try:
        messages = jsonrpc.decode(text)
    except jsonrpc.NotJsonRpcError as exc:
        return session, (Problem(where=session.server, detail=str(exc)),)
    outputs: Outputs = ()
    for message in messages:
        if session.route is None:  # The message before has ended the session.
            break
        session, more = _on_one(session, plan, _about(message, asked))
        outputs = (*outputs, *more)
    return session, outputs


def _about(message: jsonrpc.Message, asked: jsonrpc.Id) -> jsonrpc.Message:
    if isinstance(message, jsonrpc.Reply) and message.id is None:
        return replace(message, id=asked)
    return message


def on_body(session: Session, plan: Plan, posted: PostAnswered) -> Move:
    """The body of an accepted POST, JSON or events; "Accepted" and the like say nothing.

    An error without an id there is about the message that was posted.
    """
    events = events_in(posted.body)
    texts = [posted.body] if events is None else [e.data for e in events if e.event == "message"]
    outputs: Outputs = ()
    for text in texts:
        if '"jsonrpc"' in text:
            session, more = on_message(session, plan, text, posted.id)
            outputs = (*outputs, *more)
    return session, outputs


def owns(session: Session, id_: str) -> bool:
    """Is this the id of a message that the session itself posted?"""
    mine = (_init_id(session), _list_id(session), f"initialized:{session.server}")
    return id_ in mine or id_.startswith(f"answer:{session.server}:")


def is_step(session: Session, id_: str) -> bool:
    """Is this the id of a request without whose answer there is no session?"""
    return session.phase in ("initializing", "listing") and id_ in (
        _init_id(session),
        _list_id(session),
    )


def give_up_listing(session: Session, reason: str) -> Move:
    """A later `tools/list` came to nothing: the old list stays."""
    session = replace(session, pages=(), cursors=(), is_listing=False, list_again=False)
    detail = f"the tool list could not be read again: {reason}; the old one stays"
    return session, (Problem(where=session.server, detail=detail),)


def _on_one(session: Session, plan: Plan, message: jsonrpc.Message) -> Move:
    match message:
        case jsonrpc.Reply(id=id_) if id_ == _init_id(session):
            return _on_initialized(session, plan, message)
        case jsonrpc.Reply(id=id_) if session.is_listing and id_ == _list_id(session):
            return _on_page(session, plan, message)
        case jsonrpc.Reply(id=str() as id_, result=result, error=error):
            return session, (
                ReplyReceived(server=session.server, id=id_, result=result, error=error),
            )
        case jsonrpc.Reply(id=id_, error=error):
            text = f"error {error!r}" if error else "an answer"
            return session, (
                Problem(where=session.server, detail=f"{text} for id {id_!r}, which is not ours"),
            )
        case jsonrpc.Request(id=id_, method=method):
            return session, _answer(session, id_, method)
        case jsonrpc.Notification(method=method, params=params):
            return _on_notification(session, plan, method, params)


def _on_initialized(session: Session, plan: Plan, reply: jsonrpc.Reply) -> Move:
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
    greeting = _greeting(session.route, reply.result)
    session = replace(session, phase="listing", greeting=greeting)
    hello = jsonrpc.notification("notifications/initialized")
    outputs: Outputs = (_post(session, f"initialized:{session.server}", hello),)
    capabilities = reply.result.get("capabilities")
    if not is_object(capabilities) or "tools" not in capabilities:
        session, more = ready(session, ())
    else:
        session, more = _list(session, plan)
    return session, (*outputs, *more)


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


def _list(session: Session, plan: Plan, cursor: str | None = None) -> Move:
    session = replace(session, lists=session.lists + 1, is_listing=True)
    id_ = _list_id(session)
    params: Json = {} if cursor is None else {"cursor": cursor}
    message = jsonrpc.request(id_, "tools/list", params)
    return session, (_post(session, id_, message), await_step(session, plan))


def _on_page(session: Session, plan: Plan, reply: jsonrpc.Reply) -> Move:
    tools = None if reply.result is None else reply.result.get("tools")
    if not is_list(tools):
        reason = reply.error or f"found {type(tools).__name__} as `tools`, expected a list"
        if session.phase == "ready":
            return give_up_listing(session, reason)
        session, outputs = ready(session, ())
        problem = Problem(where=session.server, detail=f"no tools: `tools/list` failed: {reason}")
        return session, (*outputs, problem)
    assert reply.result is not None, "a list came from a result"
    session = replace(session, pages=(*session.pages, *tools))
    cursor = reply.result.get("nextCursor")
    if isinstance(cursor, str) and cursor not in session.cursors:
        pages_read = len(session.cursors) + 1
        if pages_read < plan.max_pages and len(session.pages) < plan.max_tools:
            return _list(replace(session, cursors=(*session.cursors, cursor)), plan, cursor)
        cut = f"the tool list is cut after {len(session.pages)} tools"
        return _listed(session, plan, Problem(where=session.server, detail=cut))
    if isinstance(cursor, str):
        again = f"the tool list repeats its cursor {cursor!r}; it ends here"
        return _listed(session, plan, Problem(where=session.server, detail=again))
    return _listed(session, plan)


def _listed(session: Session, plan: Plan, *problems: Problem) -> Move:
    session, outputs = ready(session, session.pages)
    if not session.list_again:
        return session, (*outputs, *problems)
    session, more = _list(replace(session, list_again=False), plan)
    return session, (*outputs, *problems, *more)


def _answer(session: Session, id_: jsonrpc.Id, method: str) -> Outputs:
    if method == "ping":
        message = jsonrpc.answer(id_, {})
    else:
        text = f"this client offers no {method!r}"
        message = jsonrpc.refusal(id_, jsonrpc.METHOD_NOT_FOUND, text)
    return (_post(session, f"answer:{session.server}:{id_}", message),)


def _on_notification(session: Session, plan: Plan, method: str, params: Json) -> Move:
    match method, params:
        case "notifications/progress", {"progressToken": str() as token, "progress": raw}:
            message, progress = params.get("message"), _number(raw)
            if progress is None:
                return session, ()
            report = ProgressReported(
                server=session.server,
                id=token,
                progress=progress,
                total=_number(params.get("total")),
                message=message if isinstance(message, str) else "",
            )
            return session, (report,)
        case "notifications/message", {"data": data}:
            text = data if isinstance(data, str) else jsonrpc.error_text(data)
            level = str(params.get("level", "info"))
            return session, (ServerLogged(server=session.server, level=level, text=text),)
        case "notifications/tools/list_changed", _ if session.is_listing:
            return replace(session, list_again=True), ()
        case "notifications/tools/list_changed", _ if session.phase == "ready":
            return _list(session, plan)
        case _:
            return session, ()


def _number(value: object) -> float | None:
    """A JSON number as a float; None if it is none, or too large for one."""
    try:
        return float(value) if isinstance(value, int | float) else None
    except OverflowError:
        return None


def _post(session: Session, id_: str, message: Json) -> Post:
    assert session.route is not None, "a post before an endpoint is known"
    return Post(server=session.server, url=session.route.url, id=id_, message=message)


def _init_id(session: Session) -> str:
    return f"init:{session.server}:{session.generation}"


def _list_id(session: Session) -> str:
    return f"list:{session.server}:{session.generation}.{session.lists}"


def is_frame_of(frame: FrameReceived) -> bool:
    """JSON-RPC travels in events named `message`, the name of an event without one."""
    return frame.event == "message"

"""The HTTP side: the routes, and the two ways to post.

- `GET /sse`: the stream; `?dialect=sse` leaves out the `tools` event (`seed` is the default).
- `POST /sse`: a call of the seed dialect, 202.
- `POST /messages/?session_id=…`: a JSON-RPC message of MCP 2024-11-05, 202.

What is refused, `gate` answers. A JSON-RPC message without a usable id is answered by 400 and a
JSON-RPC error, for nobody waits for it on the stream.
"""

from collections.abc import Mapping

from aiohttp import web

from server import jsonrpc, seed
from server.arguments import ArgumentError, check_arguments, shorten
from server.desk import Desk
from server.gate import (
    ANSWER_HEADERS,
    DESK,
    RefusedError,
    find_session,
    guard,
    read_body,
    require_free_session,
    require_room,
)
from server.guards import Refusal
from server.mcp_sse import Answer, CancelCall, StartCall, step
from server.options import ServerOptions
from server.sessions import Session, SessionRegistry
from server.stream import close_streams, serve_stream
from server.tool import Log, Tool, ToolBox
from server.tools import default_tools


def build_app(
    options: ServerOptions, *, tools: Mapping[str, Tool] | None = None, log: Log
) -> web.Application:
    """The server as an aiohttp application; `app[DESK]` is its state.

    Run it with `handler_cancellation=True`, or a client that leaves is noticed only at the next
    heartbeat.

    Args:
        options: Its limits. Host and port serve the Host check; who runs it, binds.
        tools: Tools by name, instead of the real ones.
        log: Takes one line at a time.
    """
    app = web.Application(client_max_size=options.max_body_bytes, middlewares=[guard])
    app[DESK] = Desk(
        options=options,
        tools=ToolBox((default_tools(options.folder) if tools is None else tools).values()),
        sessions=SessionRegistry(options),
        log=log,
    )
    app.router.add_get("/sse", _get_stream, allow_head=False)
    app.router.add_post("/sse", _post_seed_call)
    app.router.add_post("/messages/", _post_message)
    app.on_shutdown.append(_close_streams)
    return app


async def _close_streams(app: web.Application) -> None:
    desk = app[DESK]
    # Half of the time: the other half is aiohttp's, to wait for what is not a stream.
    await close_streams(desk.sessions, seconds=desk.options.shutdown_timeout / 2)


async def _get_stream(request: web.Request) -> web.StreamResponse:
    desk = request.app[DESK]
    dialect = request.query.get("dialect", "seed")
    if dialect not in ("seed", "sse"):
        raise RefusedError(Refusal(400, f"dialect: found {shorten(dialect)}, expected seed or sse"))
    require_free_session(desk)
    return await serve_stream(request, desk, dialect)


async def _post_seed_call(request: web.Request) -> web.Response:
    desk = request.app[DESK]
    body = await read_body(request, desk.options)
    try:
        call = seed.parse_call(body)
    except seed.SeedCallError as error:
        raise RefusedError(Refusal(400, str(error))) from error
    session = find_session(desk, call.session_id)
    require_room(desk, session)
    call_id = call.id if desk.options.echo_ids else None
    tool, arguments = desk.tools.find(call.tool), call.args or {}
    if tool is None:
        words = f"tool {shorten(call.tool)} is not offered"
        session.send(seed.error_event(call_id, words))
        return _accepted()
    try:
        check_arguments(tool.input_schema, arguments)
    except ArgumentError as error:
        session.send(seed.error_event(call_id, f"tool {tool.name!r}: {error}"))
        return _accepted()
    desk.start_call(
        session,
        object(),  # nothing cancels a call of this dialect but the end of the session
        tool,
        arguments,
        progress=_no_progress,
        to_event=lambda result: seed.result_event(call_id, result),
        to_error=lambda words: seed.error_event(call_id, words),
    )
    return _accepted()


async def _post_message(request: web.Request) -> web.Response:
    desk = request.app[DESK]
    session = find_session(desk, request.query.get("session_id", ""))
    body = await read_body(request, desk.options)
    session = find_session(desk, session.id)  # it may have ended while the body came
    try:
        message = jsonrpc.read_message(body)
        phase, effect = step(session.phase, message, desk.tools, page_size=desk.options.page_size)
        session.phase = phase
        match effect:
            case None:
                pass
            case Answer(request_id, result):
                session.send(jsonrpc.result_event(request_id, result))
            case CancelCall(request_id):
                session.cancel(request_id)
            case StartCall():
                _start_rpc_call(desk, session, effect)
    except jsonrpc.RpcError as error:
        if error.request_id is None:  # nobody waits for it on the stream
            return web.Response(
                status=400,
                body=jsonrpc.error_body(error),
                content_type="application/json",
                headers=ANSWER_HEADERS,
            )
        session.send(jsonrpc.error_event(error))
    return _accepted()


def _start_rpc_call(desk: Desk, session: Session, start: StartCall) -> None:
    if session.is_calling(start.id):
        words = f"id {shorten(start.id)} belongs to a call that still runs"
        raise jsonrpc.RpcError(jsonrpc.INVALID_REQUEST, words, start.id)
    require_room(desk, session)

    def progress(done: float, total: float | None) -> None:
        params = {"progressToken": start.progress_token, "progress": done}
        rest = {} if total is None else {"total": total}
        session.send(jsonrpc.notification_event("notifications/progress", params | rest))

    desk.start_call(
        session,
        start.id,
        start.tool,
        start.arguments,
        progress=_no_progress if start.progress_token is None else progress,
        to_event=lambda result: jsonrpc.result_event(start.id, result),
        to_error=lambda words: jsonrpc.error_event(
            jsonrpc.RpcError(jsonrpc.INTERNAL_ERROR, words, start.id)
        ),
    )


def _accepted() -> web.Response:
    return web.Response(status=202, text="Accepted", headers=ANSWER_HEADERS)


def _no_progress(_done: float, _total: float | None) -> None:
    """Nobody asked for progress."""

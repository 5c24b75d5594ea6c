"""An MCP server that answers as a recorded one did.

It speaks the dialect that was recorded: HTTP+SSE 2024-11-05, or the seed dialect, whose stream it
opens to JSON-RPC clients too, as the reference server does. A request that the recording does not
answer gets an error that names the closest one, and is kept in `misses`; or, while recording, it
goes to the real server. A call that was never answered is never answered here either.
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

import msgspec
from aiohttp import web

from pipeline.core import jsonrpc
from pipeline.core.events import Json
from pipeline.core.shapes import is_object
from pipeline.mocks import mcp_session
from pipeline.mocks.match import Miss, Shelf
from pipeline.mocks.mcp_offer import Offer
from pipeline.mocks.mcp_script import (
    CALL,
    Exchange,
    McpScript,
    Refusal,
    SeedAnswer,
    meaning,
    pick,
    read_scripts,
    words,
)
from pipeline.mocks.mcp_session import Session
from pipeline.mocks.serving import MAX_BODY, listening, sse_event, sse_json
from pipeline.shell.recordings import RecordedRun

_STREAM, _MESSAGES = "/sse", "/messages/"


class CannotForwardError(Exception):
    """The real server was not asked; the text says why."""


class Forward(Protocol):
    """The real server, while a recording is made."""

    async def __call__(self, asked: Json) -> Exchange:
        """What the server made of a tool call.

        Raises:
            CannotForwardError: If it never got the call.
        """
        ...


class McpMock:
    """The mock; `url` is where its event stream is."""

    def __init__(self, script: McpScript, forward: Forward | None = None) -> None:
        self.url = ""
        self._script = script
        self._forward = forward
        self._misses: list[Miss] = []
        self._shelf: Shelf[Exchange] = Shelf(words, leading=("method", "name"))
        for exchange in script.exchanges:
            self._shelf.put(exchange.asked, exchange)
        self._offer = Offer(script)
        self._sessions: dict[str, Session] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def misses(self) -> tuple[Miss, ...]:
        """Requests that the recording did not answer, oldest first."""
        return tuple(self._misses)

    @property
    def unused(self) -> tuple[str, ...]:
        """Recorded requests that nobody made, in words."""
        return self._shelf.unused

    def app(self) -> web.Application:
        """The mock as an aiohttp application."""
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_get(_STREAM, self._on_stream, allow_head=False)
        app.router.add_post(_STREAM, self._on_seed_call)
        app.router.add_post(_MESSAGES, self._on_messages)
        app.on_shutdown.append(self._stop)
        return app

    async def _stop(self, _: web.Application) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for session in self._sessions.values():
            session.end()

    # --- the three doors ------------------------------------------------------------------------

    async def _on_stream(self, request: web.Request) -> web.StreamResponse:
        session_id, session = secrets.token_urlsafe(16), Session()
        session.send(sse_event("endpoint", f"{_MESSAGES}?session_id={session_id}"))
        if self._script.dialect == "seed":
            session.send(sse_json("tools", self._script.tools))
        self._sessions[session_id] = session
        try:
            return await session.stream(request)
        finally:
            del self._sessions[session_id]

    async def _on_seed_call(self, request: web.Request) -> web.Response:
        if self._script.dialect != "seed":
            text = f"the recorded server speaks MCP 2024-11-05: post to {_MESSAGES}"
            return web.Response(status=405, text=text, headers={"Allow": "GET"})
        match await _json(request):
            case {"session_id": str() as name, "tool": str() as tool, **rest}:
                id_, arguments = rest.get("id"), rest.get("args")
            case _:
                return _bad("expected a JSON object with session_id, tool and args")
        session = self._sessions.get(name)
        if session is None:
            return _no_session()

        def play(exchange: Exchange) -> None:
            if isinstance(exchange.answer, SeedAnswer):
                session.send(mcp_session.seed_answer(id_, exchange.answer))

        def refuse(text: str) -> None:
            session.send(mcp_session.seed_error(id_, text))

        asked = meaning(CALL, {"name": tool, "arguments": arguments})
        return self._answer(asked, play, refuse)

    async def _on_messages(self, request: web.Request) -> web.Response:
        session = self._sessions.get(request.query.get("session_id", ""))
        if session is None:
            return _no_session()
        try:
            messages = jsonrpc.decode(await request.text())
        except (jsonrpc.NotJsonRpcError, UnicodeError) as exc:
            return _bad(str(exc))
        response = _accepted()
        for message in messages:
            if isinstance(message, jsonrpc.Request):
                response = self._on_request(session, message)
        return response

    # --- answers --------------------------------------------------------------------------------

    def _on_request(self, session: Session, request: jsonrpc.Request) -> web.Response:
        id_, method, params = request.id, request.method, request.params

        def answer(result: Json) -> web.Response:
            session.send(mcp_session.rpc_event(jsonrpc.answer(id_, result)))
            return _accepted()

        def refuse(text: str, code: int = mcp_session.INVALID_PARAMS) -> None:
            session.send(mcp_session.rpc_event(jsonrpc.refusal(id_, code, text)))

        def play(exchange: Exchange) -> None:
            meta = params.get("_meta")
            token = meta.get("progressToken") if is_object(meta) else None
            if token is not None:
                for told in exchange.progress:
                    session.send(mcp_session.progress_event(token, told))
            if exchange.answer is not None and not isinstance(exchange.answer, Refusal):
                session.send(mcp_session.rpc_answer(id_, exchange.answer))

        match method:
            case "initialize":
                return answer(self._offer.greeting(params.get("protocolVersion")))
            case "ping":
                return answer({})
            case "tools/list":
                return answer({"tools": self._offer.tools()})
            case _ if self._offer.has(method):
                return self._answer(meaning(method, params), play, refuse)
            case _:
                # As the recorded server would have said it; who asks it is not in error.
                refuse(f"the recorded server offers no {method!r}", jsonrpc.METHOD_NOT_FOUND)
                return _accepted()

    def _answer(self, asked: Json, play: "_Play", refuse: "_Refuse") -> web.Response:
        """Play what is recorded; else ask the real server, beside this request; else refuse."""
        exchange = self._shelf.take(asked)
        if exchange is None and self._forward is not None and asked["method"] == CALL:
            task = asyncio.create_task(self._ask(self._forward, asked, play, refuse))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return _accepted()
        if exchange is None:
            refuse(self._missed(asked).line)
            return _accepted()
        if isinstance(exchange.answer, Refusal):
            return web.Response(status=exchange.answer.status, text=exchange.answer.body)
        play(exchange)
        return _accepted()

    async def _ask(self, forward: Forward, asked: Json, play: "_Play", refuse: "_Refuse") -> None:
        try:
            exchange = await forward(asked)
        except CannotForwardError as exc:
            self._missed(asked, f"not recorded: {exc}")
            refuse(str(exc))
            return
        if isinstance(exchange.answer, Refusal):  # the client's own POST is answered by now
            refuse(f"the server refused it: HTTP {exchange.answer.status} {exchange.answer.body}")
        play(exchange)

    def _missed(self, asked: Json, note: str = "") -> Miss:
        miss = self._shelf.miss(asked, note)
        self._misses.append(miss)
        return miss


class _Play(Protocol):
    def __call__(self, exchange: Exchange) -> None: ...


class _Refuse(Protocol):
    def __call__(self, text: str) -> None: ...


@asynccontextmanager
async def serve_recording(
    run: RecordedRun | Sequence[RecordedRun],
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    server: str | None = None,
) -> AsyncGenerator[McpMock]:
    """Serve one recorded server inside the block.

    Args:
        run: The recording; of several runs, calls are answered in the order they were recorded.
        host: The address to listen on.
        port: The port; 0 takes a free one.
        server: Its name in the recording; not needed where there is only one.

    Raises:
        NothingRecordedError: If the recording holds no session with such a server.
        RecordingError: If it cannot be read.
        OSError: If the address cannot be had.
    """
    runs = [run] if isinstance(run, RecordedRun) else run
    async with serve_script(pick(read_scripts(runs), server), host=host, port=port) as mock:
        yield mock


@asynccontextmanager
async def serve_script(
    script: McpScript, forward: Forward | None = None, *, host: str = "127.0.0.1", port: int = 0
) -> AsyncGenerator[McpMock]:
    """As `serve_recording`, of what was read already; with `forward`, misses go to it."""
    mock = McpMock(script, forward)
    async with listening(mock.app(), host, port) as address:
        mock.url = address + _STREAM
        yield mock


async def _json(request: web.Request) -> Any:
    try:
        return msgspec.json.decode(await request.read())
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def _accepted() -> web.Response:
    return web.Response(status=202, text="Accepted")


def _bad(text: str) -> web.Response:
    return web.Response(status=400, text=text)


def _no_session() -> web.Response:
    return web.Response(status=404, text="no such session: open the stream again")

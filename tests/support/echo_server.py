"""An MCP server that tells all it knows of its client: headers and query come back everywhere.

    async with EchoServer() as server:
        …  # server.url(path="/s/KEY/sse", query="key=…")
    assert server.seen  # what it was sent: method, path with query, headers

They are in the comments, ids and data of its stream, in the address it wants messages at, in what
it calls itself and its tools, in results, errors, progress and logs, in the bodies of HTTP errors,
and in redirects. Each is told as it is, and as encoders of JSON may write it.
"""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import quote

from aiohttp import web

SESSION = "s1"


class Seen(NamedTuple):
    """One request."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: Any


class EchoServer:
    """`more` is told as well: what the server knows from elsewhere."""

    def __init__(self, *more: str) -> None:
        self.seen: list[Seen] = []
        self.port = 0
        self._more = more
        self._queue: asyncio.Queue[bytes] = asyncio.Queue()
        self._runner: web.AppRunner | None = None
        self._refused = False

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._get)
        app.router.add_post("/{path:.*}", self._post)
        self._runner = web.AppRunner(app, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._runner is not None
        self._queue.put_nowait(b"")
        await self._runner.cleanup()

    def _note(self, request: web.Request, body: Any = None) -> str:
        self.seen.append(Seen(request.method, request.raw_path, dict(request.headers), body))
        words = [f"{name}: {value}" for name, value in request.headers.items()]
        return " | ".join([request.raw_path, *words, *self._more])

    async def _get(self, request: web.Request) -> web.StreamResponse:
        told = self._note(request)
        if not self._refused:
            self._refused = True
            return web.Response(status=503, text=f"not yet, {told}")
        if "again" not in request.query:
            place = f"{request.raw_path}&again=1&told={quote(told)}"
            return web.Response(status=307, headers={"Location": place})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(f": {told}\n".encode())
        await response.write(f"id: {told}\n".encode())
        path = request.path.rpartition("/")[0]
        endpoint = f"{path}/messages?session_id={SESSION}&{request.query_string.partition('&')[0]}"
        await response.write(f"event: endpoint\ndata: {endpoint}\n\n".encode())
        with suppress(ConnectionError):
            while part := await self._queue.get():
                await response.write(part)
        return response

    async def _post(self, request: web.Request) -> web.Response:
        body = await request.json()
        told = self._note(request, body)
        method, params = body.get("method"), body.get("params", {})
        match method:
            case "initialize":
                self._say(body["id"], _greeting(params, told))
            case "tools/list":
                self._say(body["id"], {"tools": _tools(told)})
            case "tools/call" if params["name"] == "refuse":
                return web.Response(status=500, text=f"no: {told}")
            case "tools/call" if params["name"] == "fail":
                self._send({"id": body["id"], "error": {"code": -1, "message": told, "data": told}})
            case "tools/call":
                token = params["_meta"]["progressToken"]
                progress = {"progressToken": token, "progress": 1, "message": told}
                self._send({"method": "notifications/progress", "params": progress})
                log = {"level": "error", "data": {"headers": told}}
                self._send({"method": "notifications/message", "params": log})
                inner = json.dumps({"inner": {"headers": told}})
                texts = [{"type": "text", "text": text} for text in (told, inner, quote(told))]
                self._say(body["id"], {"content": texts, "structuredContent": {told: told}})
            case _:
                pass
        return web.Response(status=202, text=f"accepted: {told}")

    def _say(self, id_: Any, result: Any) -> None:
        self._send({"id": id_, "result": result})

    def _send(self, message: Any) -> None:
        text = json.dumps({"jsonrpc": "2.0", **message})
        for escaped in (text, text.replace("/", r"\/"), _odd(text)):
            # Only the first one is an answer; the others are told as problems, secrets included.
            self._queue.put_nowait(f"event: message\ndata: {escaped}\n\n".encode())


def _odd(text: str) -> str:
    """Letters escaped that nobody has to escape: the same JSON."""
    return text.replace("canary", r"c\u0061nary")


def _greeting(params: Any, told: str) -> Any:
    return {
        "protocolVersion": params["protocolVersion"],
        "capabilities": {"tools": {}, "logging": {}},
        "serverInfo": {"name": told, "version": told},
        "instructions": told,
    }


def _tools(told: str) -> Any:
    schema = {"type": "object", "properties": {"x": {"type": "string", "description": told}}}
    return [
        {"name": name, "description": told, "inputSchema": schema}
        for name in ("tell", "fail", "refuse")
    ]

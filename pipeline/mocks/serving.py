"""Serves a mock over HTTP: the parts that the MCP server and the model have in common."""

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

STREAM_HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
MAX_BODY = 64 * 1024 * 1024

_LINE_END = re.compile(r"\r\n|\r|\n")
_LOCAL = ("127.0.0.1", "::1", "localhost")
# Some clients end lines at these too, against the standard.
_UNICODE_LINE_ENDS = ((0x85, "\\u0085"), (0x2028, "\\u2028"), (0x2029, "\\u2029"))
_ENDS = str.maketrans(dict(_UNICODE_LINE_ENDS))
_SHUTDOWN = 1.0
_TURNS = 5  # of the loop, from accepting a connection to telling the protocol of it


def sse_event(name: str, data: str) -> bytes:
    """One server-sent event."""
    lines = "".join(f"data: {line}\n" for line in _LINE_END.split(data))
    return f"event: {name}\n{lines}\n".encode()


def sse_json(name: str, value: Any) -> bytes:
    """One server-sent event whose data is JSON on one line."""
    return sse_event(name, msgspec.json.encode(value).decode().translate(_ENDS))


def pieces(text: str, spoken: Iterator[str]) -> Iterator[str]:
    """Cut a text as it was spoken; where that is not known, the rest comes as one piece."""
    at = 0
    while at < len(text):
        piece = next(spoken, "")
        if not piece or not text.startswith(piece, at):
            yield text[at:]
            return
        yield piece
        at += len(piece)


@asynccontextmanager
async def listening(app: web.Application, host: str, port: int) -> AsyncGenerator[str]:
    """Serve inside the block, at the URL it gives (without a slash at its end).

    Raises:
        OSError: If the address cannot be had.
    """
    # A recording is nothing for strangers: web pages, which a browser lets post anywhere, stay out.
    app.middlewares.append(_no_strangers)
    runner = web.AppRunner(
        app, access_log=None, handler_cancellation=True, shutdown_timeout=_SHUTDOWN
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        address = runner.addresses[0]
        name = f"[{address[0]}]" if ":" in address[0] else address[0]
        yield f"http://{name}:{address[1]}"
    finally:
        # A client that was accepted just now becomes known to the runner, which closes it then.
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        await runner.cleanup()


@web.middleware
async def _no_strangers(request: web.Request, handler: Handler) -> web.StreamResponse:
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).hostname not in _LOCAL:
        text = f"found the Origin {origin[:100]!r}, expected none, or one on this machine"
        return web.Response(status=403, text=text)
    return await handler(request)

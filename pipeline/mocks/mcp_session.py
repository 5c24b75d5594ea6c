"""One client's stream at the MCP mock, and the events that go out on it."""

import asyncio
from typing import Any

from aiohttp import web

from pipeline.core import jsonrpc
from pipeline.core.events import Json
from pipeline.core.json_text import read_any
from pipeline.core.shapes import is_object
from pipeline.mocks.mcp_script import RpcAnswer, SeedAnswer
from pipeline.mocks.serving import STREAM_HEADERS, sse_event, sse_json

INTERNAL_ERROR = -32603
INVALID_PARAMS = -32602
_HEARTBEAT = 10.0  # seconds of silence after which a comment shows that the stream is alive
_COMMENT = b": the mock is alive\n\n"


class Session:
    """Events wait here until the stream takes them. A client that leaves ends its session."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[bytes | None] = asyncio.Queue()

    def send(self, event: bytes) -> None:
        """Put an event on the stream."""
        self._events.put_nowait(event)

    def end(self) -> None:
        """End the stream behind what waits for it."""
        self._events.put_nowait(None)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Write until `end`, or until the client leaves."""
        response = web.StreamResponse(headers=STREAM_HEADERS)
        await response.prepare(request)
        while (event := await self._next()) is not None:
            await response.write(event)
        return response

    async def _next(self) -> bytes | None:
        try:
            async with asyncio.timeout(_HEARTBEAT):
                return await self._events.get()
        except TimeoutError:
            return _COMMENT


def rpc_event(message: Json) -> bytes:
    """A JSON-RPC message as an event."""
    return sse_json("message", message)


def progress_event(token: str | int, params: Json) -> bytes:
    """Progress on the request that gave this token."""
    params = {"progressToken": token, **params}
    return rpc_event(jsonrpc.notification("notifications/progress", params))


def rpc_answer(id_: jsonrpc.Id, answer: RpcAnswer | SeedAnswer) -> bytes:
    """A recorded answer for the JSON-RPC request of that id."""
    match answer:
        case RpcAnswer(member, body):
            return rpc_event({"jsonrpc": "2.0", "id": id_, member: body})
        case SeedAnswer(reply=reply) if reply.result is not None:
            return rpc_event(jsonrpc.answer(id_, reply.result))
        case SeedAnswer(reply=reply):
            return rpc_event(jsonrpc.refusal(id_, INTERNAL_ERROR, reply.error))


def seed_answer(id_: str | int | None, answer: SeedAnswer) -> bytes:
    """A recorded answer for a call of the seed dialect, as it came but for its id."""
    if not answer.has_id:
        return sse_event(answer.event, answer.data)
    value: Any = read_any(answer.data)
    assert is_object(value), "only an object has an id"
    rest = {key: member for key, member in value.items() if key != "id"}
    return sse_json(answer.event, rest if id_ is None else {"id": id_, **rest})


def seed_error(id_: str | int | None, text: str) -> bytes:
    """An error of the mock's own for a call of the seed dialect."""
    error: Json = {"error": text}
    return sse_json("error", error if id_ is None else {"id": id_, **error})

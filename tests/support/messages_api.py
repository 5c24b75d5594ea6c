"""A Messages API on loopback, over real HTTP: scripted turns in, recorded requests out.

    async with MessagesApi([turn(use("add", {"a": 1})), turn(say("done"))]) as api:
        ...  # ANTHROPIC_BASE_URL=api.url, also of a subprocess, as long as it is awaited
    assert api.requests[1].body["messages"][-1]["content"][0]["type"] == "tool_result"

A script is a list of replies, used in order, or a function of the request. A reply is a `Refusal`
or a `Stream`; `turn` makes the usual stream, and `frames` one by one what a test bends.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

from tests.support import messages_rules

Json = dict[str, Any]

Mark = Literal["reset", "hold"]
RESET: Mark = "reset"  # tear the connection down
HOLD: Mark = "hold"  # say nothing more until the client is gone


@dataclass(frozen=True)
class Refusal:
    """An answer that is not a stream. A `body` that is text is sent as HTML."""

    status: int
    body: Json | str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Stream:
    """Frames, marks, and events to wait for before the next part is sent."""

    parts: Sequence[bytes | Mark | asyncio.Event]


Reply = Refusal | Stream


@dataclass(frozen=True)
class Request:
    """What a client sent. `headers` have lower-case names; `connection` tells sockets apart."""

    body: Json
    raw: bytes
    headers: Mapping[str, str]
    connection: int


Script = Sequence[Reply] | Callable[[Request], Reply]


def refusal(status: int, kind: str, message: str, **headers: str) -> Refusal:
    """An error as Anthropic sends it; `retry_after="2"` is a header."""
    body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}
    return Refusal(status, body, {k.replace("_", "-"): v for k, v in headers.items()})


def frame(kind: str, **fields: Any) -> bytes:
    """One event."""
    return raw_frame(kind, json.dumps({"type": kind, **fields}))


def raw_frame(kind: str, data: str) -> bytes:
    """One event whose data is sent as it is."""
    return f"event: {kind}\ndata: {data}\n\n".encode()


def say(text: str) -> Json:
    """A text block."""
    return {"type": "text", "text": text}


def think(text: str, signature: str = "c2ln") -> Json:
    """A thinking block."""
    return {"type": "thinking", "thinking": text, "signature": signature}


def use(name: str, arguments: Json, id: str = "toolu_1") -> Json:  # noqa: A002
    """A tool_use block."""
    return {"type": "tool_use", "id": id, "name": name, "input": arguments}


def start(**usage: int) -> bytes:
    """The first event of a turn."""
    counts = {"input_tokens": 10, "output_tokens": 1, **usage}
    message = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-test",
        "content": [], "stop_reason": None, "stop_sequence": None, "usage": counts,
    }  # fmt: skip
    return frame("message_start", message=message)


def block_start(index: int, block: Json) -> bytes:
    """The start of a block: what deltas will fill is empty."""
    empty = {"text": "", "thinking": "", "signature": "", "input": {}}
    content = {name: empty.get(name, value) for name, value in block.items()}
    return frame("content_block_start", index=index, content_block=content)


def block_deltas(index: int, block: Json, size: int = 4) -> list[bytes]:
    """The pieces of a block, `size` characters each; a block of another type has none."""
    sources = {
        "text": ("text_delta", "text", block.get("text", "")),
        "thinking": ("thinking_delta", "thinking", block.get("thinking", "")),
        "tool_use": ("input_json_delta", "partial_json", json.dumps(block.get("input", {}))),
    }
    if block["type"] not in sources:
        return []
    kind, name, text = sources[block["type"]]
    deltas = [{"type": kind, name: text[at : at + size]} for at in range(0, len(text), size)]
    if "signature" in block:
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
    return [frame("content_block_delta", index=index, delta=delta) for delta in deltas]


def block_stop(index: int) -> bytes:
    """The end of a block."""
    return frame("content_block_stop", index=index)


def frames(index: int, block: Json) -> list[bytes]:
    """A whole block."""
    return [block_start(index, block), *block_deltas(index, block), block_stop(index)]


def end(stop_reason: str | None, **usage: int) -> list[bytes]:
    """The last events of a turn."""
    delta = {"stop_reason": stop_reason, "stop_sequence": None}
    counts = {"output_tokens": 42, **usage}
    return [frame("message_delta", delta=delta, usage=counts), frame("message_stop")]


def turn(*blocks: Json, stop_reason: str | None = None, ping: bool = True) -> Stream:
    """A whole turn; it stops for `tool_use` if one of the blocks is one."""
    parts = [start(), *([frame("ping")] if ping else [])]
    for index, block in enumerate(blocks):
        parts += frames(index, block)
    wants_tools = any(block["type"] == "tool_use" for block in blocks)
    return Stream([*parts, *end(stop_reason or ("tool_use" if wants_tools else "end_turn"))])


class MessagesApi:
    """The server. `gone`: a client left in mid answer; `holding`: a stream is at its `HOLD`."""

    def __init__(self, script: Script) -> None:
        self.requests: list[Request] = []
        self.gone = asyncio.Event()
        self.holding = asyncio.Event()
        self.url = ""
        self._script = script
        self._connections: dict[int, web.BaseRequest] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        app = web.Application(client_max_size=256 * 1024 * 1024)
        app.router.add_post("/v1/messages", self._on_messages)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1.0)

    async def __aenter__(self) -> "MessagesApi":
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await self._runner.cleanup()

    async def _on_messages(self, request: web.Request) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            return await self._answer(request)
        finally:
            self._tasks.discard(task)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        seen = Request(json.loads(raw), raw, headers, id(request.protocol))
        self._connections[seen.connection] = request  # kept, so that no id is used again
        self.requests.append(seen)
        reply = self._reply(seen)
        if isinstance(reply, Stream):
            return await self._stream(request, reply)
        if isinstance(reply.body, str):
            return web.Response(
                status=reply.status,
                text=reply.body,
                headers=reply.headers,
                content_type="text/html",
            )
        return web.json_response(reply.body, status=reply.status, headers=reply.headers)

    def _reply(self, request: Request) -> Reply:
        if not messages_rules.has_key(request.headers):
            return refusal(401, "authentication_error", "x-api-key header is required")
        problem = messages_rules.check_headers(request.headers)
        problem = problem or messages_rules.check_request(request.body)
        if problem is not None:
            return refusal(400, "invalid_request_error", problem)
        if callable(self._script):
            return self._script(request)
        if len(self.requests) > len(self._script):
            return refusal(400, "invalid_request_error", "the script of this test has ended")
        return self._script[len(self.requests) - 1]

    async def _stream(self, request: web.Request, stream: Stream) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        try:
            await response.prepare(request)
            for part in stream.parts:
                match part:
                    case bytes():
                        await response.write(part)
                    case asyncio.Event():
                        await part.wait()
                    case "hold":
                        self.holding.set()
                        await asyncio.Event().wait()
                    case _:
                        assert request.transport is not None
                        request.transport.abort()
                        return response
            with suppress(ConnectionError):  # it may have all it wants, and be gone
                await response.write_eof()
        except (ConnectionError, asyncio.CancelledError):
            self.gone.set()
            raise
        return response

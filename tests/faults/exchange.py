"""One request to the fault switchboard, the stream that answers it, and what is done about it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from tests.faults import dialects
from tests.faults.dialects import Call, Dialect, Json
from tests.support.wire import Peer, Request

if TYPE_CHECKING:
    from tests.faults.switchboard import Switchboard

_CHUNKED = "Transfer-Encoding: chunked\r\n"


class Stream:
    """A response that is an event stream; `is_framed`: it comes in chunks, so an end shows.

    What several send over it at once is not mixed, however slow one of them is.
    """

    def __init__(self, peer: Peer, *, is_framed: bool) -> None:
        self.peer = peer
        self._is_framed = is_framed
        self._turn = asyncio.Lock()

    async def begin(self, head: str = "") -> None:
        framing = _CHUNKED if self._is_framed else ""
        first = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n"
        await self.peer.send(f"{first}{framing}{head}\r\n".encode())

    async def send(self, data: bytes) -> None:
        async with self._turn:
            await self._send(data)

    async def drip(self, data: bytes) -> None:
        """One byte at a time."""
        async with self._turn:
            for byte in data:
                await self._send(bytes([byte]))
                await asyncio.sleep(0)

    async def _send(self, data: bytes) -> None:
        self.write(data)
        await self.peer.writer.drain()

    def write(self, data: bytes) -> None:
        """Hand it to the socket, without waiting until that takes it."""
        if self._is_framed:
            data = b"%x\r\n%s\r\n" % (len(data), data)
        self.peer.writer.write(data)

    async def end(self) -> None:
        if self._is_framed:
            await self.peer.send(b"0\r\n\r\n")
        self.peer.writer.close()


@dataclass(eq=False)
class Exchange:
    """One request, and what is being done about it. `stream` is what brings the answer to it."""

    server: "Switchboard"
    peer: Peer
    request: Request
    message: Json
    method: str
    stream: Stream | None = None
    notes: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def dialect(self) -> Dialect:
        return self.server.dialect

    @property
    def call(self) -> Call:
        return dialects.call_in(self.message)

    @property
    def is_question(self) -> bool:
        """A JSON-RPC request, or a call of the seed dialect: it has an id, and wants an answer."""
        return "id" in self.message and bool(self.method)

    @property
    def session(self) -> str:
        """The session that the request says it is of; empty if it says none."""
        match self.dialect:
            case "seed" if self.message:
                return str(self.message.get("session_id", ""))
            case "sse" | "seed":
                return self.request.target.partition("session_id=")[2]
            case _:
                return self.request.headers.get("mcp-session-id", "")

    @property
    def out(self) -> Stream:
        assert self.stream is not None, f"{self.method}: nothing was accepted yet"
        return self.stream


Step: TypeAlias = bytes | Callable[[Exchange], Awaitable[None]]


class On:
    """What is done about the n-th request of a method, or of all of them (`n` None).

    Methods are those of MCP, also for calls of the seed dialect, and those of HTTP for requests
    that carry no message.
    """

    def __init__(self, method: str, *script: Step, n: int | None = 1) -> None:
        self.method = method
        self.script: Sequence[Step] = script
        self.n = n

    def is_for(self, method: str, count: int) -> bool:
        return self.method == method and self.n in (None, count)

"""A small client for the tests: it reads streams, posts, and waits for log lines."""

import asyncio
import codecs
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, NamedTuple, Self

import aiohttp

from server.options import ServerOptions
from server.run import RunningServer, serve
from server.tool import Tool

DEADLINE = 5.0


class Event(NamedTuple):
    event: str
    data: str
    id: str = ""

    @property
    def json(self) -> Any:
        return json.loads(self.data)


class Parser:
    """WHATWG HTML, section 9.2.6, written for clearness: an oracle beside the client's parser."""

    def __init__(self) -> None:
        self._buffer = ""
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self.last_id = ""
        self.comments: list[str] = []
        self._type, self._data = "", ""

    def feed(self, piece: bytes) -> list[Event]:
        self._buffer += self._decoder.decode(piece)
        events: list[Event] = []
        while True:
            ends = [at for end in "\r\n" if (at := self._buffer.find(end)) >= 0]
            # A CR at the very end may be half of a CR LF.
            if not ends or self._buffer[min(ends) :] == "\r":
                return events
            at = min(ends)
            line = self._buffer[:at]
            width = 2 if self._buffer.startswith("\r\n", at) else 1
            self._buffer = self._buffer[at + width :]
            events.extend(self._line(line))

    def _line(self, line: str) -> list[Event]:
        if line == "":
            ended = Event(self._type or "message", self._data[:-1], self.last_id)
            dispatched = [ended] if self._data else []
            self._type, self._data = "", ""
            return dispatched
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "":
                self.comments.append(value)
            case "event":
                self._type = value
            case "data":
                self._data += value + "\n"
            case "id" if "\0" not in value:
                self.last_id = value
        return []


class Lines:
    """A log whose lines can be waited for."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._new = asyncio.Event()

    def __call__(self, line: str) -> None:
        self.lines.append(line)
        self._new.set()

    async def until(self, words: str) -> str:
        async with asyncio.timeout(DEADLINE):
            while True:
                self._new.clear()
                for line in self.lines:
                    if words in line:
                        return line
                await self._new.wait()


class Stream:
    """One open stream: `await stream.next("result")` skips events of other names."""

    def __init__(self, response: aiohttp.ClientResponse, http: aiohttp.ClientSession) -> None:
        self.response = response
        self._http = http
        self.parser = Parser()
        self._waiting: list[Event] = []
        self.session_id = ""
        self.messages_url = ""

    async def __aenter__(self) -> Self:
        endpoint = await self.next()
        assert endpoint.event == "endpoint"
        self.session_id = endpoint.data.removeprefix("/messages/?session_id=")
        self.messages_url = str(self.response.url.origin()) + endpoint.data
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.response.close()

    async def next(self, name: str | None = None) -> Event:
        async with asyncio.timeout(DEADLINE):
            while True:
                while self._waiting:
                    event = self._waiting.pop(0)
                    if name is None or event.event == name:
                        return event
                piece = await self.response.content.readany()
                assert piece != b"", f"the stream ended while waiting for {name!r}"
                self._waiting.extend(self.parser.feed(piece))

    async def rest(self) -> list[Event]:
        """Everything up to the end of the stream."""
        async with asyncio.timeout(DEADLINE):
            while piece := await self.response.content.readany():
                self._waiting.extend(self.parser.feed(piece))
        return self._waiting

    async def comment(self) -> str:
        async with asyncio.timeout(DEADLINE):
            while not self.parser.comments:
                piece = await self.response.content.readany()
                assert piece != b"", "the stream ended while waiting for a comment"
                self._waiting.extend(self.parser.feed(piece))
        return self.parser.comments.pop(0)

    async def call(self, tool: str, args: dict[str, Any] | None = None, **more: Any) -> int:
        """Post a call of the seed dialect; the HTTP status."""
        body = {"session_id": self.session_id, "tool": tool, "args": args or {}, **more}
        async with self._http.post(str(self.response.url.with_query(None)), json=body) as answer:
            return answer.status

    async def post(self, method: str, params: Any = None, **more: Any) -> int:
        """Post a JSON-RPC message; the HTTP status."""
        body = {"jsonrpc": "2.0", "method": method, **more}
        if params is not None:
            body["params"] = params
        async with self._http.post(self.messages_url, json=body) as answer:
            return answer.status

    async def ask(
        self,
        method: str,
        params: Any = None,
        *,
        id: str | int = "q",  # noqa: A002  the member's own name
    ) -> dict[str, Any]:
        """Post a request, and wait for its answer."""
        assert await self.post(method, params, id=id) == 202
        while (found := (await self.next("message")).json).get("id") != id:
            pass
        return found

    async def initialize(self) -> dict[str, Any]:
        answer = await self.ask("initialize", {"protocolVersion": "2024-11-05"}, id="init")
        assert await self.post("notifications/initialized") == 202
        return answer


class World(NamedTuple):
    server: RunningServer
    http: aiohttp.ClientSession
    log: Lines

    @property
    def origin(self) -> str:
        return self.server.url.removesuffix("/sse")

    async def open(self, query: str = "", **more: Any) -> Stream:
        return Stream(await self.http.get(self.server.url + query, **more), self.http)


@asynccontextmanager
async def world(*, tools: dict[str, Tool] | None = None, **options: Any) -> AsyncIterator[World]:
    """A running server and a client; afterwards no task of the server may be left."""
    before = asyncio.all_tasks()
    log = Lines()
    timeout = aiohttp.ClientTimeout(total=DEADLINE)
    async with (
        serve(ServerOptions(**options), tools=tools, log=log) as server,
        aiohttp.ClientSession(timeout=timeout) as http,
    ):
        yield World(server, http, log)
    left = asyncio.all_tasks() - before
    if left:
        _, left = await asyncio.wait(left, timeout=DEADLINE)
    assert not left


class Gate:
    """A tool that says when it starts and when it is cancelled, and ends when told."""

    def __init__(self, name: str = "gate") -> None:
        self.started = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.open = asyncio.Event()
        self.tool = simple_tool(name, self._run)

    async def _run(self, _arguments: Any, _progress: Any) -> str:
        self.started.set()
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return "opened"


def simple_tool(name: str, run: Callable[..., Any]) -> Tool:
    return Tool(name=name, description=f"{name} for tests", input_schema={}, run=run)


async def soon(event: asyncio.Event) -> None:
    async with asyncio.timeout(DEADLINE):
        await event.wait()


class RawStream(NamedTuple):
    """A stream on a bare socket with a small receive buffer."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    session_id: str

    @classmethod
    async def open(cls, port: int) -> Self:
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(DEADLINE):
            await loop.sock_connect(connection, ("127.0.0.1", port))
            reader, writer = await asyncio.open_connection(sock=connection, limit=1024)
            writer.write(b"GET /sse?dialect=sse HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await reader.readuntil(b"session_id=")
            return cls(reader, writer, (await reader.readexactly(43)).decode())

    def stop_reading(self) -> None:
        self.writer.transport.pause_reading()  # type: ignore[attr-defined]

    async def call(self, http: aiohttp.ClientSession, url: str, tool: str) -> int:
        body = {"session_id": self.session_id, "tool": tool}
        async with http.post(url, json=body) as answer:
            return answer.status


@asynccontextmanager
async def raw_clients() -> AsyncIterator[tuple[aiohttp.ClientSession, list[RawStream]]]:
    """A client to post with, and a list: the streams put there are closed at the end."""
    streams: list[RawStream] = []
    async with aiohttp.ClientSession() as http:
        try:
            yield http, streams
        finally:
            for stream in streams:
                stream.writer.transport.abort()

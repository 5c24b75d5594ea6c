"""An MCP server over HTTP that fails as it is told to: raw asyncio, so that every byte is its own.

    async with serving("http", late=1.5) as server:
        …  # server.url; the argument `fault` of a call says what goes wrong with it
    server.executed[17]  # how often the call number 17 was executed

The dialects are those of `soak_peer.FAULTS`: `sse` (2024-11-05), `http` (2025-11-25, with sessions
and streams that can be resumed) and `modern` (2026-07-28). `hindrances` go wrong with what comes
next, whatever it asks for: so handshakes fail, too.
"""

import asyncio
import contextlib
import json
from collections import Counter, deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from bench import soak_peer
from bench.soak_line import Line, Request

_AWAY = 0.05  # seconds that nobody listens after `down`
_JSON = b"Content-Type: application/json\r\n"


class FaultyServer:
    """What it saw and did: `executed` by call number, `asked` by JSON-RPC id, `sessions` begun."""

    def __init__(self, dialect: str, *, late: float) -> None:
        self.dialect = dialect
        self.port = 0
        self.executed: Counter[int] = Counter()
        self.asked: Counter[str] = Counter()
        self.sessions = 0
        self.hindrances: deque[str] = deque()
        self.crashes: list[str] = []
        self._late = late
        self._seen: set[int] = set()
        self._known: dict[str, Line | None] = {}  # sessions, with the stream of each
        self._logs: dict[str, list[bytes]] = {}  # what the stream of a call said, to be resumed
        self._lines: dict[Line, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None
        self._changed = asyncio.Condition()

    @property
    def url(self) -> str:
        path = "sse" if self.dialect == "sse" else "mcp"
        return f"http://127.0.0.1:{self.port}/{path}"

    async def listen(self) -> None:
        """Take connections, at the same port as ever."""
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def reached(self, count: int) -> None:
        """Wait until so many requests were read."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.asked.total() >= count)

    async def quiet(self, seconds: float) -> bool:
        """Has the last client left, in that time?"""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._changed:
                await self._changed.wait_for(lambda: not self._lines)
        return not self._lines

    async def stop(self) -> None:
        if self._listener is not None:
            self._listener.close()
        tasks = (*self._lines.values(), *self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def forget(self) -> None:
        """A server that was restarted: no session, no stream, and nobody connected."""
        self._known.clear()
        self._logs.clear()
        for line in tuple(self._lines):
            line.reset()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task, line = asyncio.current_task(), Line(reader, writer)
        assert task is not None
        self._lines[line] = task
        try:
            while not line.is_over and (request := await line.request()) is not None:
                await self._answer(line, request)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client left, or a restart has cut it: what the soak is about
        except asyncio.CancelledError:
            pass  # by `stop`, which waits for it
        except Exception as exc:  # noqa: BLE001  a fault of ours must not look like one on purpose
            self.crashes.append(f"{self.dialect}: {exc!r}")
        finally:
            writer.close()
            del self._lines[line]
            async with self._changed:
                self._changed.notify_all()

    async def _answer(self, line: Line, request: Request) -> None:
        match request.method:
            case "GET" if self.dialect == "sse":
                await self._sse_stream(line)
            case "GET" if self.dialect == "http":
                await self._get(line, request)
            case "POST":
                await self._post(line, request)
            case "DELETE" if self.dialect == "http":
                self._known.pop(request.headers.get("mcp-session-id", ""), None)
                await line.reply(200)
            case _:
                await line.reply(405)

    # --- streams ----------------------------------------------------------------------------

    def _begin_session(self, stream: Line | None) -> str:
        self.sessions += 1
        name = f"session-{self.sessions}"
        self._known[name] = stream
        return name

    async def _sse_stream(self, line: Line) -> None:
        if await self._is_hindered(line):
            return
        name = self._begin_session(line)
        await line.begin()
        await line.send(f"event: endpoint\ndata: /messages?session_id={name}\n\n".encode())
        await line.left()
        self._known.pop(name, None)
        line.end()

    async def _get(self, line: Line, request: Request) -> None:
        """The server's own stream, which says nothing, or the rest of a call's."""
        if await self._is_hindered(line):
            return
        if request.headers.get("mcp-session-id") not in self._known:
            await line.reply(404)
            return
        stream, _, place = request.headers.get("last-event-id", "").rpartition("/")
        await line.begin()
        if stream:
            for event in self._logs.get(stream, [])[int(place) :]:
                await line.send(event)
        else:
            await line.left()
        line.end()

    # --- messages ---------------------------------------------------------------------------

    async def _is_hindered(self, line: Line) -> bool:
        if not self.hindrances:
            return False
        await line.refuse(self.hindrances.popleft())
        return True

    async def _post(self, line: Line, request: Request) -> None:
        message = json.loads(request.body)
        id_, method = message.get("id"), message.get("method")
        is_request = id_ is not None and method is not None
        if is_request:
            self.asked[str(id_)] += 1
            async with self._changed:
                self._changed.notify_all()
        if method != "tools/call" and await self._is_hindered(line):
            return
        stream = line
        if self.dialect == "sse":
            name = request.target.partition("session_id=")[2]
        else:
            name = request.headers.get("mcp-session-id", "")
        if method != "initialize" and self.dialect == "http" and name not in self._known:
            await line.reply(404)  # also to `server/discover`: it knows no such thing
            return
        if self.dialect == "sse":
            found = self._known.get(name)
            if found is None:
                await line.reply(404)
                return
            stream = found
        if not is_request:
            await line.reply(202)
        elif method == "tools/call":
            await self._call(line, stream, message)
        else:
            await self._other(line, stream, message)

    async def _other(self, line: Line, stream: Line, message: dict[str, Any]) -> None:
        result = soak_peer.result_of(self.dialect, message["method"])
        if result is None:
            text = soak_peer.unknown_method(message["id"])
        else:
            text = soak_peer.encode({"id": message["id"], "result": result})
        if stream is not line:
            await line.reply(202)
            async with stream.speaker:
                await stream.send(soak_peer.event(text))
            return
        head = _JSON
        if self.dialect == "http" and message["method"] == "initialize":
            head += f"Mcp-Session-Id: {self._begin_session(None)}\r\n".encode()
        await line.reply(200 if result is not None else 404, text, head)

    async def _call(self, line: Line, stream: Line, message: dict[str, Any]) -> None:
        arguments = message["params"]["arguments"]
        n, fault = arguments["n"], arguments.get("fault", "")
        fault = "" if n in self._seen else fault
        self._seen.add(n)
        if soak_peer.is_spared(fault):
            await self._spare(line, fault)
            return
        self.executed[n] += 1
        said = soak_peer.messages_of(self.dialect, message, fault)
        if fault == "restart":
            self.forget()
        elif fault == "fail_500":
            await line.reply(500, b"it ran, and then this")
        elif stream is line:
            await line.begin()
            await self._say(stream, f"call-{n}", said, fault)
            line.end()
        else:
            await line.reply(202)
            task = asyncio.create_task(self._say_aside(stream, said, fault))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _spare(self, line: Line, fault: str) -> None:
        """Let something happen in place of the call."""
        match fault:
            case "restart_first":
                self.forget()
            case "expire":
                self._known.clear()
                await line.reply(404)
            case "down":
                await self._go_away()
            case _:
                await line.refuse(fault)

    async def _go_away(self) -> None:
        """Be restarted, slowly: for a moment, nobody is there."""
        listener, self._listener = self._listener, None
        self.forget()
        if listener is not None:  # else another call has just done the same
            listener.close()
            await asyncio.sleep(_AWAY)
            await self.listen()

    async def _say_aside(self, stream: Line, said: Sequence[bytes], fault: str) -> None:
        with contextlib.suppress(ConnectionError):  # the stream has ended meanwhile
            await self._say(stream, "", said, fault)

    async def _say(self, stream: Line, name: str, said: Sequence[bytes], fault: str) -> None:
        match fault:
            case "late":
                await asyncio.sleep(self._late)
            case "mute":
                if name:  # the answer stays open, and empty, until the client has enough of it
                    await stream.left()
                return
            case _:
                pass
        async with stream.speaker:
            await self._say_at_once(stream, name, said, fault)

    async def _say_at_once(
        self, stream: Line, name: str, said: Sequence[bytes], fault: str
    ) -> None:
        events = [soak_peer.event(text) for text in said]
        if name and self.dialect == "http":
            hello = f"id: {name}/0\nretry: {soak_peer.RETRY_MS}\ndata:\n\n".encode()
            events = [f"id: {name}/{at}\n".encode() + event for at, event in enumerate(events, 1)]
            self._logs[name] = events
            await stream.send(hello)
        match fault:
            case "cut" | "rst":
                await stream.send(events[-1][: len(events[-1]) // 2])
                stream.end() if fault == "cut" else stream.reset()
                return
            case "resume":
                events = events[:2]
            case "twice":
                events = [*events, events[-1]]
            case "drip":
                await stream.drip(b"".join(events))
                return
            case _:
                pass
        for event in events:
            await stream.send(event)


@asynccontextmanager
async def serving(dialect: str, *, late: float = 1.0) -> AsyncGenerator[FaultyServer]:
    """Listen on a free port until the block ends; `late` is how many seconds a late answer is."""
    server = FaultyServer(dialect, late=late)
    await server.listen()
    try:
        yield server
    finally:
        await server.stop()

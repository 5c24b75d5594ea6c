"""A raw HTTP server on loopback that does to a client what its script says.

A script is data: bytes are sent as they are, functions act on the connection.

    async with serve([EVENT_STREAM, b"data: 1\\n\\n", rst]) as wire:
        … wire.url …

With several scripts, the nth request gets the nth, and all further ones the last. With
`is_http=False` a script starts with the connection, before anything is read.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

DEADLINE = 10.0
EVENT_STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


@dataclass(frozen=True)
class Request:
    """What a client asked: `target` as on its first line, header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    raw: bytes


@dataclass(eq=False)
class Peer:
    """One connection of the client, as the server sees it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Write, and wait until the client's side takes it."""
        self.writer.write(data)
        await self.writer.drain()


Step: TypeAlias = bytes | Callable[[Peer], Awaitable[None]]
Script: TypeAlias = Sequence[Step]


async def hold(peer: Peer) -> None:
    """Do nothing until the client is gone."""
    with contextlib.suppress(ConnectionError):
        while await peer.reader.read(65536):
            pass
    peer.writer.close()


async def hear(peer: Peer) -> None:
    """Wait for the first bytes of the client, and do not judge them."""
    await peer.reader.read(65536)


async def rst(peer: Peer) -> None:
    """Cut the connection with a TCP reset."""
    sock = peer.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.writer.transport.abort()


async def close(peer: Peer) -> None:
    """End the connection cleanly."""
    peer.writer.close()


def until(event: asyncio.Event) -> Callable[[Peer], Awaitable[None]]:
    """Go on when the test says so."""

    async def step(_peer: Peer) -> None:
        await event.wait()

    return step


def reply(status: str, body: bytes = b"", **headers: str) -> bytes:
    """A whole answer: `reply("200 OK", b"{}", content_type="application/json")`."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join((*lines, "", "")).encode() + body


@dataclass(eq=False)
class Wire:
    """The server. `requests` has all that were read, in the order of arrival."""

    scripts: Sequence[Script]
    is_http: bool = True
    port: int = 0
    requests: list[Request] = field(default_factory=list)
    accepted: int = 0
    cuts: int = 0
    faults: list[BaseException] = field(default_factory=list)
    _peers: set[Peer] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/sse"

    async def got(self, count: int) -> None:
        """Wait for so many requests."""
        await self._wait(lambda: len(self.requests) >= count)

    async def all_gone(self) -> None:
        """Wait until no client is connected."""
        await self._wait(lambda: not self._peers)

    async def _wait(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE), self._changed:
            await self._changed.wait_for(is_so)

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        peer = Peer(reader, writer)
        self._peers.add(peer)
        self.accepted += 1
        try:
            if not self.is_http:
                await self._play(self.scripts[0], peer)
            while not writer.is_closing() and (request := await read_request(reader)):
                script = self.scripts[min(len(self.requests), len(self.scripts) - 1)]
                self.requests.append(request)
                await self._tell()
                await self._play(script, peer)
        except asyncio.CancelledError:
            self.cuts += 1  # by `stop`; asyncio would log it as a fault if it went further
        except ConnectionError:
            self.cuts += 1  # the client went away: often the very thing under test
        except Exception as exc:  # noqa: BLE001  told when the server stops
            self.faults.append(exc)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            self._peers.discard(peer)
            self._tasks.discard(task)
            await self._tell()

    async def _play(self, script: Script, peer: Peer) -> None:
        for step in script:
            await (peer.send(step) if isinstance(step, bytes) else step(peer))

    async def stop(self) -> None:
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """The next request of a connection; None when the client has gone."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").splitlines()
    method, target, _ = first.split(" ")
    pairs = (line.split(": ", 1) for line in lines if line)
    headers = {name.lower(): value for name, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, target, headers, body, head + body)


@contextlib.asynccontextmanager
async def serve(*scripts: Script, is_http: bool = True) -> AsyncIterator[Wire]:
    """Listen on a free port; at the end, a script that failed fails the test."""
    wire = Wire(scripts, is_http)
    server = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
    wire.port = server.sockets[0].getsockname()[1]
    try:
        yield wire
    finally:
        server.close()
        await wire.stop()
    assert wire.faults == []

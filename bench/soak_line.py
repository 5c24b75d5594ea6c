"""One HTTP connection of the soak's servers, raw, so that every byte of it can go wrong."""

import asyncio
import contextlib
import socket
import struct
from typing import NamedTuple

_STREAM = b"Content-Type: text/event-stream\r\n"
_REASONS = {200: "OK", 202: "Accepted", 404: "Not Found", 405: "Method Not Allowed"}


class Request(NamedTuple):
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Line:
    """One connection of a client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.is_over = False
        self.speaker = asyncio.Lock()  # events are not mixed, however slow one of them is

    async def request(self) -> Request | None:
        """The next one; None when the client has gone."""
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value for name, _, value in (ln.partition(": ") for ln in lines)}
        body = await self._reader.readexactly(int(headers.get("content-length", "0")))
        return Request(method, target, headers, body)

    async def reply(self, status: int, body: bytes = b"", head: bytes = b"") -> None:
        """A whole answer."""
        first = f"HTTP/1.1 {status} {_REASONS.get(status, 'No')}\r\nContent-Length: {len(body)}\r\n"
        await self.send(first.encode() + head + b"\r\n" + body)

    async def refuse(self, how: str) -> None:
        """No answer at all (`drop`), or a status (`refuse_503`)."""
        if how == "drop":
            self.reset()
        else:
            await self.reply(int(how.rpartition("_")[2]), b"no")

    async def begin(self) -> None:
        """An event stream, that ends with its connection."""
        await self.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + _STREAM + b"\r\n")

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def drip(self, data: bytes) -> None:
        """One byte at a time."""
        for byte in data:
            await self.send(bytes([byte]))
            await asyncio.sleep(0)

    async def left(self) -> None:
        """Wait until the client has gone."""
        while await self._reader.read(4096):
            pass

    def end(self) -> None:
        self.is_over = True
        self._writer.close()

    def reset(self) -> None:
        """Cut it with a TCP reset."""
        self.is_over = True
        sock = self._writer.get_extra_info("socket")
        with contextlib.suppress(OSError):  # the client may have been quicker
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

"""A server that sends as fast as it is let, and counts what its socket took, and when it did not.

flood = Flood(1_000_000)
async with switchboard("sse", On(CALL, run, accept, flood, answer, end)) as server:
    …  # flood.sent, flood.waited: what the client has let through, and how long it has not
"""

import asyncio
import socket
from collections.abc import Sequence

from tests.faults.exchange import Exchange
from tests.faults.good import told

_AT_ONCE = 16 * 1024  # bytes of one write, or else one event


class Flood:
    """A step of a script: so many log messages, `event 1` and so on, each with `filler` behind it.

    `sent` counts the events that the socket has taken whole, `size` their bytes. `waits` are
    the times that it took no more, each as the loop's time of its begin and end, in seconds.
    `buffer` is how many bytes the system is to hold for it; it finds out itself, if not told.
    """

    def __init__(self, count: int, *, filler: str = "", buffer: int | None = None) -> None:
        self.count = count
        self.sent = 0
        self.size = 0
        self.waits: list[tuple[float, float]] = []
        self.choked = asyncio.Event()
        self._filler = filler
        self._buffer = buffer
        self._since: float | None = None

    @property
    def waited(self) -> float:
        """Seconds that it could not write, the wait that goes on included."""
        past = sum(end - begin for begin, end in self.waits)
        if self._since is None:
            return past
        return past + asyncio.get_running_loop().time() - self._since

    async def __call__(self, x: Exchange) -> None:
        # With a buffer of nothing, `drain` returns when the system has taken the last byte.
        transport = x.out.peer.writer.transport
        transport.set_write_buffer_limits(high=0)
        if self._buffer is not None:
            sock = transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._buffer)
        many = max(1, _AT_ONCE // len(self._event(self.count)))
        for first in range(1, self.count + 1, many):
            last = min(first + many, self.count + 1)
            await self._send(x, [self._event(n) for n in range(first, last)])

    async def _send(self, x: Exchange, events: Sequence[bytes]) -> None:
        writer, data = x.out.peer.writer, b"".join(events)
        x.out.write(data)
        if writer.transport.get_write_buffer_size():
            now = asyncio.get_running_loop().time
            self._since = now()
            self.choked.set()
            await writer.drain()
            self.choked.clear()
            self.waits.append((self._since, now()))
            self._since = None
        self.sent += len(events)
        self.size += len(data)
        await asyncio.sleep(0)  # without a wait nobody else would ever get his turn

    def _event(self, n: int) -> bytes:
        return told("notifications/message", level="info", data=text_of_event(n) + self._filler)


def text_of_event(n: int) -> str:
    """What the n-th event says, before its filler."""
    return f"event {n}"

"""A TCP proxy that is a bad network: slow, narrow, in slices, or cut after so many bytes.

    async with proxied(server.port, Weather(slice_bytes=1), down_limit=200) as proxy:
        …  # http://127.0.0.1:{proxy.port}/…

Toxiproxy's vocabulary (latency, bandwidth, slicer, limit_data, reset_peer), for systems whose
kernel has no `tc netem`.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.support.wire import Peer, rst

_CHUNK = 64 * 1024


@dataclass(frozen=True)
class Weather:
    """What the network does to bytes: seconds of `latency` for each piece, at most `slice_bytes` in
    a piece, and at most `bytes_per_second`. None: no such thing.
    """

    latency: float = 0.0
    slice_bytes: int | None = None
    bytes_per_second: int | None = None


FAIR = Weather()


class Proxy:
    """Passes bytes on; `down` counts those to the client. `connections` are those accepted so far.

    The first connection on which more than `down_limit` bytes would come down, or `up_limit` go up,
    is reset at both ends behind that byte; later ones are left alone.
    """

    def __init__(
        self,
        port: int,
        weather: Weather,
        *,
        down_limit: int | None = None,
        up_limit: int | None = None,
    ) -> None:
        self.port = 0
        self.connections = 0
        self.resets = 0
        self.down = 0
        self.up = 0
        self._target = port
        self._weather = weather
        self._limits = {"down": down_limit, "up": up_limit}
        self._listener: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def url(self, of: str) -> str:
        """The address of a server, by way of this proxy."""
        return of.replace(f":{self._target}/", f":{self.port}/")

    async def listen(self) -> None:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._listener is not None:
            self._listener.close()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        client, server = Peer(reader, writer), None
        try:
            server = Peer(*await asyncio.open_connection("127.0.0.1", self._target))
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pass("up", client, server))
                tasks.create_task(self._pass("down", server, client))
        except* (ConnectionError, asyncio.CancelledError):
            pass  # an end of it has gone; or `stop`, which waits for this
        finally:
            ends = [peer.writer for peer in (client, server) if peer is not None]
            for open_end in ends:  # both, before anything is waited for: `stop` may cut that short
                open_end.close()
            for open_end in ends:
                with contextlib.suppress(ConnectionError):
                    await open_end.wait_closed()
            self._tasks.discard(task)

    async def _pass(self, way: str, source: Peer, target: Peer) -> None:
        weather = self._weather
        while data := await source.reader.read(weather.slice_bytes or _CHUNK):
            allowed = self._limits[way]
            used = self.up if way == "up" else self.down
            if allowed is not None and used + len(data) > allowed:
                self._limits = dict.fromkeys(self._limits)
                await target.send(data[: allowed - used])
                self.resets += 1
                await rst(source)
                await rst(target)
                return
            if weather.latency:
                await asyncio.sleep(weather.latency)
            if weather.bytes_per_second is not None:
                await asyncio.sleep(len(data) / weather.bytes_per_second)
            self._count(way, len(data))
            await target.send(data)
        if target.writer.can_write_eof():
            target.writer.write_eof()

    def _count(self, way: str, size: int) -> None:
        if way == "up":
            self.up += size
        else:
            self.down += size


@asynccontextmanager
async def proxied(
    port: int,
    weather: Weather = FAIR,
    *,
    down_limit: int | None = None,
    up_limit: int | None = None,
) -> AsyncGenerator[Proxy]:
    """A proxy in front of a port of this machine, until the block ends."""
    proxy = Proxy(port, weather, down_limit=down_limit, up_limit=up_limit)
    await proxy.listen()
    try:
        yield proxy
    finally:
        await proxy.stop()

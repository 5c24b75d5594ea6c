"""An MCP server that fails on demand, where a protocol says so and never by the clock.

    async with switchboard("http", On(CALL, run, accept, half, rst, n=2)) as server:
        …  # server.url: the second call gets half an event, then a TCP reset
    server.ledger.executed[17]  # how often the call number 17 was executed

Raw asyncio, so that it can do what no framework can. What it does about a request is a script, as
in `tests/support/wire.py`: bytes are sent as they are, steps (`good.py`, `steps.py`) know the
dialect. A request that no `On` is for, and that `pick` has no script for, gets what a good server
gives.
"""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeAlias

from tests.faults import dialects
from tests.faults.dialects import OF_ONE_STREAM, Dialect, Json
from tests.faults.exchange import Exchange, On, Step, Stream
from tests.faults.good import well
from tests.faults.ledger import Ledger
from tests.support.wire import Peer, Request, read_request, rst

DEADLINE = 20.0
Pick: TypeAlias = Callable[[Exchange], Sequence[Step] | None]
"""Chooses the script for a request by what it says; None: it has none for this one."""


class Switchboard:
    """`seen` is all that it was asked, in order; `begun` counts the sessions.

    `sessions` are those that it knows, with the stream of each where the dialect has one; `logs`
    holds what streams that may be resumed have still to say. `streams` are the requests for an
    event stream (GET) that are being answered.
    """

    def __init__(
        self, dialect: Dialect, faults: Sequence[On], *, is_framed: bool, pick: Pick
    ) -> None:
        self.dialect: Dialect = dialect
        self.is_framed = is_framed
        self.ledger = Ledger()
        self.seen: list[Exchange] = []
        self.streams: set[Exchange] = set()
        self.sessions: dict[str, Stream | None] = {}
        self.logs: dict[str, list[bytes]] = {}
        self.port = 0
        self.begun = 0
        self.crashes: list[BaseException] = []
        self._faults = faults
        self._pick = pick
        self._counts: Counter[str] = Counter()
        self._peers: dict[Peer, asyncio.Task[None]] = {}
        self._listener: asyncio.Server | None = None
        self._changed = asyncio.Condition()

    @property
    def url(self) -> str:
        path = "sse" if self.dialect in OF_ONE_STREAM else "mcp"
        return f"http://127.0.0.1:{self.port}/{path}"

    @property
    def is_listening(self) -> bool:
        return self._listener is not None

    @property
    def asked(self) -> Counter[str]:
        """How often it read which JSON-RPC id of a request."""
        return Counter(str(each.message["id"]) for each in self.seen if each.is_question)

    def all(self, method: str) -> list[Exchange]:
        """Those requests of a method, in order."""
        return [each for each in self.seen if each.method == method]

    async def got(self, method: str, count: int = 1) -> Exchange:
        """Wait for the n-th request of a method."""
        async with asyncio.timeout(DEADLINE), self._changed:
            await self._changed.wait_for(lambda: len(self.all(method)) >= count)
        return self.all(method)[count - 1]

    async def reached(self, count: int) -> None:
        """Wait, for as long as it takes, until it has read so many JSON-RPC requests."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.asked.total() >= count)

    async def is_alone(self) -> None:
        """Wait until no client is connected."""
        async with asyncio.timeout(DEADLINE), self._changed:
            await self._changed.wait_for(lambda: not self._peers)

    async def listen(self) -> None:
        """Take connections, at the same port as ever."""
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def forget(self) -> None:
        """What a crash does: no session is left, and every connection is reset."""
        self.sessions.clear()
        self.logs.clear()
        for peer in tuple(self._peers):
            if not peer.writer.transport.is_closing():
                await rst(peer)

    async def down(self) -> None:
        """Nobody listens, and nobody is connected, until `listen`."""
        assert self._listener is not None, "down before it was up"
        self._listener.close()
        self._listener = None
        await self.forget()

    async def stop(self) -> None:
        if self._listener is not None:
            self._listener.close()
        tasks = tuple(self._peers.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def begin_session(self, stream: Stream | None) -> str:
        self.begun += 1
        name = f"session-{self.begun}"
        self.sessions[name] = stream
        return name

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task, peer = asyncio.current_task(), Peer(reader, writer)
        assert task is not None
        self._peers[peer] = task
        try:
            while not writer.is_closing() and (request := await read_request(reader)):
                await self._play(peer, request)
        except asyncio.CancelledError:
            pass  # by `stop`, which waits for it; asyncio would log it as a fault
        except ConnectionError:
            pass  # the client has gone, or a fault has cut it off: the very thing under test
        except Exception as exc:  # noqa: BLE001  a fault of ours must not pass for one on purpose
            self.crashes.append(exc)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):  # as above
                await writer.wait_closed()
            del self._peers[peer]
            await self._tell()

    async def _play(self, peer: Peer, request: Request) -> None:
        message: Json = json.loads(request.body) if request.body else {}
        method = dialects.method_of(message) if message else request.method
        self._counts[method] += 1
        exchange = Exchange(self, peer, request, message, method)
        self.seen.append(exchange)
        await self._tell()
        if request.method == "GET":
            self.streams.add(exchange)
        try:
            for step in self._script(exchange, self._counts[method]):
                await (peer.send(step) if isinstance(step, bytes) else step(exchange))
        finally:
            self.streams.discard(exchange)

    def _script(self, exchange: Exchange, count: int) -> Sequence[Step]:
        script = self._pick(exchange)
        if script is not None:
            return script
        faults = (each.script for each in self._faults if each.is_for(exchange.method, count))
        return next(faults, (well,))

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()


@asynccontextmanager
async def switchboard(
    dialect: Dialect, *faults: On, is_framed: bool = True, pick: Pick = lambda _: None
) -> AsyncGenerator[Switchboard]:
    """Listen on a free port until the block ends; a step that failed fails the test."""
    server = Switchboard(dialect, faults, is_framed=is_framed, pick=pick)
    await server.listen()
    try:
        yield server
    finally:
        await server.stop()
    assert server.crashes == []

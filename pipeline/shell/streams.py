"""The links of a run: one subscription per server, opened and closed as the core says."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import aiohttp
from reactivex import Observable, Subject, abc
from reactivex.disposable import SerialDisposable
from reactivex.scheduler.eventloop import AsyncIOScheduler

from config.options import StreamOptions
from pipeline.core.events import FrameReceived, StreamLost, StreamOpened
from pipeline.shell.coroutine import Spawn, from_coroutine
from pipeline.shell.http_sse import (
    StreamAlive,
    StreamError,
    StreamItem,
    StreamMemory,
    read_stream,
)
from pipeline.shell.targets import Target

Room: TypeAlias = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Seams:
    """Where one server's stream touches the run.

    * `spawn` takes on the task of each connection.
    * `room` is to be awaited before more is read.
    * `suspended` is true while the stream waits for `room`: its silence is then our own doing.
    * Each exception of `kicks` must end the connection, as if it had failed with it.
    """

    spawn: Spawn
    room: Room
    suspended: Callable[[], bool]
    kicks: Observable[Exception]


Transport: TypeAlias = Literal["sse", "http", "stdio"]
Make: TypeAlias = Callable[[str, Transport, Seams], Observable[StreamItem | StreamLost]]
"""What makes a server's link, by its name and transport, retries included."""


class StreamDroppedError(StreamError):
    """We dropped the connection ourselves, because the core wished so."""


# --- what a retry needs to know ---------------------------------------------------------------


def is_fatal(exc: Exception) -> bool:
    """Would another attempt end in the same way? So would one that failed by a fault of ours."""
    return exc.is_fatal if isinstance(exc, StreamError) else not isinstance(exc, OSError)


def wish(exc: Exception) -> float | None:
    """Seconds that the server asked to be left alone, None: it did not."""
    return exc.retry_after if isinstance(exc, StreamError) else None


def announce(server: str) -> Callable[[Exception, float | None, int], StreamLost]:
    """How one server's failures are told: `(failure, seconds to the next attempt, attempt)`."""

    def tell(exc: Exception, delay: float | None, attempt: int) -> StreamLost:
        return StreamLost(
            server=server,
            reason=_words(exc),
            retry_in=delay,
            attempt=attempt,
            status=exc.status if isinstance(exc, StreamError) else None,
        )

    return tell


def is_healthy(item: StreamItem) -> bool:
    """Is the server of use? To accept a stream, and to name an endpoint, proves nothing yet."""
    return isinstance(item, FrameReceived) and item.event != "endpoint"


def connection(
    target: Target,
    *,
    http: aiohttp.ClientSession,
    options: StreamOptions,
    spawn: Spawn,
    room: Room,
    now: Callable[[], float],
) -> Observable[StreamItem]:
    """One server's bare stream: each subscription is one connection, and ends with a `StreamError`.

    What a connection remembers for the next (last event id, pause) is kept with this observable.
    """
    memory = StreamMemory()
    return from_coroutine(
        lambda push: read_stream(
            http, target, options=options, memory=memory, push=push, room=room, now=now
        ),
        spawn,
    )


# --- the owner --------------------------------------------------------------------------------


class Streams:
    """Carries out `Open`, `Reconnect` and `Close`; what the streams say goes to `put`.

    A link that was opened always ends with a `StreamLost` whose `retry_in` is None: from `make`, or
    else from here. Only one whose place another transport takes ends without a word. `StreamAlive`
    has done its work by then and is not passed on.
    """

    def __init__(
        self,
        make: Make,
        *,
        put: Callable[[StreamOpened | FrameReceived | StreamLost], None],
        room: Room,
    ) -> None:
        self._make = make
        self._put = put
        self._room = room
        self._streams: dict[str, _Stream] = {}
        self._spawn: Spawn | None = None
        self._is_disposed = False

    def start(self, spawn: Spawn) -> None:
        """Before any stream is opened: who takes on the tasks of the connections."""
        self._spawn = spawn

    def open(self, server: str, transport: Transport = "sse") -> None:
        """Connect a server, and keep it connected; a link of that transport is kept as it is."""
        assert self._spawn is not None, "open before start"
        if self._is_disposed:
            return
        if (present := self._streams.get(server)) is not None:
            if present.transport == transport:
                return
            present.dispose()
        stream = _Stream(server, transport, self._put, self._forget)
        self._streams[server] = stream
        scheduler = AsyncIOScheduler(asyncio.get_running_loop())
        stream.subscribe(self._make, self._spawn, self._room, scheduler)

    def reconnect(self, server: str, reason: str) -> None:
        """Drop a server's connection. One that is lost already comes back anyway."""
        if server in self._streams:
            self._streams[server].kicks.on_next(StreamDroppedError(reason))

    def close(self, server: str, reason: str, status: int | None = None) -> None:
        """Drop a server's stream for good, and tell so; without a stream there is nothing to do.

        Not a kick: between two attempts nobody would feel it, and the stream would come back.
        """
        if server in self._streams:
            self._streams[server].end(StreamDroppedError(reason, status=status, is_fatal=True))

    def dispose_all(self) -> None:
        """Drop all streams without a word, and open no more: the run has ended."""
        self._is_disposed = True
        for stream in tuple(self._streams.values()):
            stream.dispose()

    def _forget(self, stream: "_Stream") -> None:
        del self._streams[stream.server]


class _Stream:
    """One server's subscription, and the one place that knows whether its end was told."""

    def __init__(
        self,
        server: str,
        transport: Transport,
        put: Callable[[StreamOpened | FrameReceived | StreamLost], None],
        forget: Callable[["_Stream"], None],
    ) -> None:
        self.server = server
        self.transport: Transport = transport
        self.kicks: Subject[Exception] = Subject()
        self._put = put
        self._forget = forget
        self._subscription = SerialDisposable()
        self._is_waiting = False
        self._is_over = False

    def subscribe(self, make: Make, spawn: Spawn, room: Room, scheduler: abc.SchedulerBase) -> None:
        async def watched_room() -> None:
            self._is_waiting = True
            try:
                await room()
            finally:
                self._is_waiting = False

        seams = Seams(spawn, watched_room, lambda: self._is_waiting, self.kicks)
        source = make(self.server, self.transport, seams)
        # It may be over before `subscribe` returns; a disposed slot disposes what it is given.
        self._subscription.disposable = source.subscribe(
            self._on_next, self.end, self._on_completed, scheduler=scheduler
        )

    def end(self, exc: Exception) -> None:
        """Over, for this reason."""
        self._on_next(announce(self.server)(exc, None, 0))

    def dispose(self) -> None:
        """Over, and nothing is told."""
        if not self._is_over:
            self._is_over = True
            self._forget(self)
        self._subscription.dispose()

    def _on_next(self, item: StreamItem | StreamLost) -> None:
        match item:
            case _ if self._is_over:
                return
            case StreamAlive():
                return
            case StreamLost(retry_in=None):
                self.dispose()
                self._put(item)
            case _:
                self._put(item)

    def _on_completed(self) -> None:
        self.end(StreamError("the stream ended without a reason"))


def _words(exc: Exception) -> str:
    text = str(exc)
    if isinstance(exc, OSError) and text:
        return text
    return f"{type(exc).__name__}: {text}" if text else type(exc).__name__

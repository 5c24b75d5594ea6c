"""The servers of a bent run: recorded connections, under the patience of a live run.

Losing a connection and coming back is decided by what decides it in a live run: `Streams`, and the
operators for silence and for retries, on virtual time.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from reactivex import Observable, abc

from operators.fail_when import fail_when
from operators.heartbeat import heartbeat
from operators.retry_with_backoff import retry_with_backoff
from pipeline.bending.bends import Bends
from pipeline.bending.clock import VirtualClock
from pipeline.bending.connection import Server
from pipeline.bending.patience import Patience
from pipeline.bending.script import Script
from pipeline.bending.standing import Standing
from pipeline.core.events import FrameReceived, StreamLost, StreamOpened
from pipeline.shell import streams
from pipeline.shell.http_link import is_alive
from pipeline.shell.http_sse import StreamItem
from pipeline.shell.streams import Seams, Streams, Transport

Heard: TypeAlias = StreamOpened | FrameReceived | StreamLost

_JITTER = 0.5
"""In the place of chance: what it comes to on the average."""


class Servers:
    """All servers of a bent run, by name; what they say goes to `put`.

    `on_gone` is called with the name of a server whose connection is over, before that is put.
    `fault` is a failure that was none of a connection: Rx would have it be one.
    """

    def __init__(
        self,
        standing: Standing,
        *,
        clock: VirtualClock,
        bends: Bends,
        patience: Patience,
        put: Callable[[Heard], None],
        on_gone: Callable[[str], None],
    ) -> None:
        self._clock = clock
        self._patience = patience
        self._put = put
        self.fault: Exception | None = None
        self._streams = Streams(self._make, put=self._hear, room=_room)
        self._streams.start(asyncio.create_task)  # which none of these connections needs
        self._servers = {
            plan.name: Server(plan, clock=clock, bends=bends, patience=patience, on_gone=on_gone)
            for plan in standing.servers
        }

    def __getitem__(self, name: str) -> Server:
        return self._servers[name]

    @property
    def are_at_rest(self) -> bool:
        """Will none of them say anything before it is asked?"""
        return all(server.is_at_rest for server in self._servers.values())

    def take_over(self, standing: Standing, script: Script, since: int) -> None:
        """Go on from where the recording was, with what it holds from event `since` on."""
        for name, server in self._servers.items():
            attempts = script.attempts.get(name, [])
            server.take_over(attempts, since, was_of_use=standing.open.get(name))
            if name in standing.open or name in standing.lost:
                self.open(name, standing.transports.get(name, "sse"))

    def open(self, name: str, transport: Transport) -> None:
        """Connect a server, in place of any connection of another transport."""
        self._servers[name].is_wanted = True
        self._streams.open(name, transport)

    def reconnect(self, name: str, reason: str) -> None:
        """Drop a server's connection; it comes back."""
        self._streams.reconnect(name, reason)

    def close(self, name: str, reason: str, status: int | None) -> None:
        """Drop a server for good."""
        self._streams.close(name, reason, status)

    def _make(
        self, name: str, transport: Transport, seams: Seams
    ) -> Observable[StreamItem | StreamLost]:
        """As a live run makes it, but for the source, the clock and the chance."""
        server, patience = self._servers[name], self._patience
        server.transport = transport
        source = server.source().pipe(fail_when(seams.kicks))
        if server.has_heartbeat:
            # Comments, by which a server shows that it is alive, are in no recording.
            source = source.pipe(
                heartbeat(patience.heartbeat, suspended=lambda: not server.is_silent)
            )
        patient = source.pipe(
            retry_with_backoff(
                patience.retry,
                is_fatal=streams.is_fatal,
                wish=streams.wish,
                announce=partial(self._announce, name),
                is_healthy=is_alive if transport == "http" else streams.is_healthy,
                jitter=lambda: _JITTER,
            )
        )

        def subscribe(
            observer: abc.ObserverBase[StreamItem | StreamLost],
            _scheduler: abc.SchedulerBase | None = None,
        ) -> abc.DisposableBase:
            return patient.subscribe(observer, scheduler=self._clock)

        return Observable(subscribe)

    def _announce(self, name: str, exc: Exception, delay: float | None, attempt: int) -> StreamLost:
        if not isinstance(exc, OSError):
            self.fault = exc
        return streams.announce(name)(exc, delay, attempt)

    def _hear(self, item: Heard) -> None:
        server = self._servers[item.server]
        if isinstance(item, StreamLost) and item.retry_in is None:
            server.is_wanted = False
        if not server.is_muted:
            self._put(item)


async def _room() -> None:
    """There is always room: a bent run takes one input after the other."""

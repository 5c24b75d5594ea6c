"""Replays a recording: its inputs drive the same stages, without network, key or clock.

Outcomes and commands are recomputed, numbered and given to sinks as in the run, each at the time
its input had. Nothing is carried out.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

import msgspec
from loguru import logger
from reactivex import Observable
from reactivex import operators as ops

from config.options import MailboxOptions
from operators.check_against import DivergedError, check_against
from operators.route import Parcel
from pipeline.core.codec import Entry
from pipeline.core.commands import Passing
from pipeline.core.events import Input, RunEnded, is_input
from pipeline.graph import stages
from pipeline.mailbox import Mailbox
from pipeline.runtime import CoreFaultError, Runtime, Spawn
from pipeline.shell.recordings import RecordedRun, RecordingError
from sinks.base import Sink, SinkActor

_QUEUE = MailboxOptions()


class ReplayOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`check` compares each item; `until` stops after that `seq`; `speed` 1 keeps the run's pace.

    `speed` None waits for nothing.
    """

    check: bool = False
    until: int | None = None
    speed: float | None = None


class Replayed(msgspec.Struct, frozen=True):
    """How a replay went: items that came out, the end if there was one, the first difference.

    `ended` is None where the recording, or `until`, stops before the end of the run.
    """

    events: int
    ended: RunEnded | None = None
    difference: DivergedError | None = None


async def replay(run: RecordedRun, sinks: Sequence[Sink], options: ReplayOptions) -> Replayed:
    """Replay one run into sinks.

    Raises:
        RecordingError: If the recording cannot be read to its end.
        SinkError, CoreFaultError, ShutdownError: As `Runtime.run`.
    """
    tape = Tape(run.entries(), options)
    actors = [SinkActor(sink, Mailbox(_QUEUE), on_failure=tape.on_sink_failure) for sink in sinks]
    targets = {actor.name: actor.sink.wants for actor in actors}
    plain = stages(run.header.plan, targets, now=lambda: tape.at)
    recorded = run.entries()

    def chain(inputs: Observable[Passing]) -> Observable[Parcel]:
        parcels = plain(inputs).pipe(tape.count())
        return parcels.pipe(check_against(recorded)) if options.check else parcels

    try:
        ended = await Runtime(chain, tape, effects=_Nothing(), sinks=actors, to_the_last=True).run()
    except CoreFaultError as exc:
        match exc.fault:
            case DivergedError() as difference:
                return Replayed(tape.events, None, difference)
            case RecordingError() as broken:
                raise broken from exc
            case _:
                raise
    if options.check and ended is not None and (missing := next(recorded, None)) is not None:
        return Replayed(tape.events, ended, DivergedError(missing.seq, missing.item, None))
    return Replayed(tape.events, ended)


class Tape:
    """The inputs of a recording, in the place of a mailbox; and the clock of the replay."""

    def __init__(self, entries: Iterator[Entry], options: ReplayOptions) -> None:
        self.at = ""
        """The time of the latest input."""
        self.is_over = False
        self.events = 0
        self._entries = entries
        self._options = options
        self._started: tuple[float, datetime] | None = None
        self._is_closed = False

    async def take(self) -> Input | None:
        """The next input; None at the end, or after `until`."""
        until = self._options.until
        for entry in self._entries:
            if self._is_closed or (until is not None and entry.seq > until):
                break
            if is_input(entry.item):
                self.at = entry.at
                await self._keep_pace()
                return entry.item
        self.is_over = True
        return None

    def close(self) -> None:
        """Give no more."""
        self._is_closed = True

    def count(self) -> Callable[[Observable[Parcel]], Observable[Parcel]]:
        """Know how many items came out."""

        def seen(parcel: Parcel) -> None:
            self.events = parcel.entry.seq

        return ops.do_action(seen)

    def on_sink_failure(self, sink: str, reason: str) -> None:
        """Tell it: a replay has no stream of its own for that."""
        logger.error("sink {}: {}", sink, reason)

    async def _keep_pace(self) -> None:
        if self._options.speed is None:
            # Others get their turn as well: sinks write, and Ctrl-C is heard.
            await asyncio.sleep(0)
            return
        loop, at = asyncio.get_running_loop(), datetime.fromisoformat(self.at)
        if self._started is None:
            self._started = loop.time(), at
        began, first = self._started
        due = began + (at - first).total_seconds() / self._options.speed
        await asyncio.sleep(max(0.0, due - loop.time()))


class _Nothing:
    """Effects that carry out nothing."""

    def __init__(self) -> None:
        self.mailbox: Mailbox[Entry] = Mailbox(_QUEUE, overflow="drop_oldest")

    async def run(self, spawn: Spawn) -> None:
        """There is nothing to do."""

"""Replays a recording: its inputs drive the same stages, without network, key or clock.

Outcomes and commands are recomputed, numbered and given to sinks as in the run, each at the time
its input had. Nothing is carried out.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Protocol

import msgspec
from loguru import logger
from reactivex import Observable
from reactivex import operators as ops

from config.options import MailboxOptions
from operators.check_against import DivergedError, check_against
from operators.route import Parcel
from pipeline.core.codec import Entry, Header
from pipeline.core.commands import Passing
from pipeline.core.events import Input, RunEnded, is_input
from pipeline.core.weight import weight_of_entry
from pipeline.graph import stages
from pipeline.mailbox import Mailbox
from pipeline.runtime import (
    EFFECTS,
    CoreFaultError,
    EffectsActor,
    Inbox,
    Runtime,
    Spawn,
    is_command,
)
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
    recorded = run.entries()
    check = check_against(recorded) if options.check else _passing
    try:
        ended = await play(run.header, tape, sinks, then=lambda out: out.pipe(tape.count(), check))
    except DivergedError as difference:
        return Replayed(tape.events, None, difference)
    if options.check and ended is not None and (missing := next(recorded, None)) is not None:
        return Replayed(tape.events, ended, DivergedError(missing.seq, missing.item, None))
    return Replayed(tape.events, ended)


class Source(Inbox, Protocol):
    """Inputs in the place of a mailbox, and the clock of their run."""

    @property
    def at(self) -> str:
        """The time of the latest input."""
        ...


async def play(
    header: Header,
    source: Source,
    sinks: Sequence[Sink],
    *,
    then: Callable[[Observable[Parcel]], Observable[Parcel]],
    effects: EffectsActor | None = None,
) -> RunEnded | None:
    """Give all inputs of a source to the stages of a run, and what they make of it to sinks.

    `then` sees all of that first, and may end it. `effects` None: nothing is carried out. Gives the
    end of the run, None where the source has no more before that.

    Raises:
        DivergedError: From `then`.
        RecordingError: If a recording cannot be read to its end.
        SinkError, CoreFaultError, ShutdownError: As `Runtime.run`.
    """
    actors = [
        SinkActor(sink, Mailbox(_QUEUE, weigh=weight_of_entry), on_failure=_on_sink_failure)
        for sink in sinks
    ]
    targets = {actor.name: actor.sink.wants for actor in actors}
    if effects is None:
        effects = _Nothing()
    else:
        targets = {EFFECTS: is_command, **targets}
    plain = stages(header.plan, targets, now=lambda: source.at, session=header.session)

    def chain(inputs: Observable[Passing]) -> Observable[Parcel]:
        return then(plain(inputs))

    try:
        return await Runtime(chain, source, effects=effects, sinks=actors, to_the_last=True).run()
    except CoreFaultError as exc:
        match exc.fault:
            case DivergedError() | RecordingError() as known:
                raise known from exc
            case _:
                raise


class Tape:
    """The inputs of a recording, in the place of a mailbox; and the clock of the replay."""

    def __init__(self, entries: Iterator[Entry], options: ReplayOptions) -> None:
        self.at = ""
        """The time of the latest input."""
        self.is_over = False
        self.events = 0
        self._entries = entries
        self._options = options
        self._pace = Pace(options.speed)
        self._is_closed = False

    async def take(self) -> Input | None:
        """The next input; None at the end, or after `until`."""
        until = self._options.until
        for entry in self._entries:
            if self._is_closed or (until is not None and entry.seq > until):
                break
            if is_input(entry.item):
                self.at = entry.at
                await self._pace.keep(self.at)
                return entry.item
        self.is_over = True
        return None

    def close(self) -> None:
        """Give no more, and let go of the file that is being read."""
        self._is_closed = True
        close: Callable[[], None] | None = getattr(self._entries, "close", None)  # a generator's
        if close is not None:
            close()

    def count(self) -> Callable[[Observable[Parcel]], Observable[Parcel]]:
        """Know how many items came out."""

        def seen(parcel: Parcel) -> None:
            self.events = parcel.entry.seq

        return ops.do_action(seen)


class Pace:
    """Waits between inputs as the run did, so many times faster; `speed` None waits for nothing."""

    def __init__(self, speed: float | None) -> None:
        self._speed = speed
        self._started: tuple[float, datetime] | None = None

    async def keep(self, at: str) -> None:
        """Wait until the time of the next input has come."""
        if self._speed is None:
            # Others get their turn as well: sinks write, and Ctrl-C is heard.
            await asyncio.sleep(0)
            return
        loop, then = asyncio.get_running_loop(), datetime.fromisoformat(at)
        if self._started is None:
            self._started = loop.time(), then
        began, first = self._started
        due = began + (then - first).total_seconds() / self._speed
        await asyncio.sleep(max(0.0, due - loop.time()))


class _Nothing:
    """Effects that carry out nothing."""

    def __init__(self) -> None:
        self.mailbox: Mailbox[Entry] = Mailbox(_QUEUE, overflow="drop_oldest")

    async def run(self, spawn: Spawn) -> None:
        """There is nothing to do."""


def _on_sink_failure(sink: str, reason: str) -> None:
    """Tell it: a replay has no stream of its own for that."""
    logger.error("sink {}: {}", sink, reason)


def _passing(parcels: Observable[Parcel]) -> Observable[Parcel]:
    return parcels

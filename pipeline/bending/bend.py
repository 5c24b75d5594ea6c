"""`replay --fault`: the recorded run up to an event, then what would have come of a fault there."""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from itertools import takewhile

import msgspec
from msgspec.structs import replace
from reactivex import operators as ops

from config.options import MailboxOptions
from config.recording_values import FaultWish
from operators.check_against import DivergedError, check_against
from operators.route import Parcel
from pipeline.bending.bends import Bend, Happened, choose
from pipeline.bending.reader import read_script
from pipeline.bending.standing import standing_after
from pipeline.bending.world import World
from pipeline.core.codec import FORMAT, Entry, Header
from pipeline.core.events import Input, RunEnded
from pipeline.mailbox import Mailbox
from pipeline.mocks.match import Miss
from pipeline.replay import Pace, ReplayOptions, Tape, play
from pipeline.runtime import Spawn
from pipeline.shell.recordings import RecordedRun, RecordingError
from sinks.base import Sink

_MOST = 1_000_000
"""Inputs after which a bent run is taken to run in a circle."""


class Bent(msgspec.Struct, frozen=True):
    """What came of it. `ended` is None where the run waited for what can never come.

    `missed`: faults whose event never came, because the run went another way before. `misses` are
    requests that the recording does not answer; `guesses` counts those to the model.
    """

    header: Header
    entries: Sequence[Entry]
    ended: RunEnded | None
    happened: Sequence[Happened]
    missed: Sequence[Bend]
    misses: Sequence[Miss]
    guesses: int


def bent_header(header: Header, faults: Sequence[FaultWish]) -> Header:
    """The header of a bent run: a session of its own, the same each time, that says what it is."""
    told = [str(fault) for fault in faults]
    digest = sha256("\n".join([header.session, header.at, *told]).encode()).hexdigest()
    settings = {**header.settings, "fault": told}
    return replace(header, format=FORMAT, session=digest[:16], settings=settings)


async def bend(
    run: RecordedRun,
    sinks: Sequence[Sink],
    faults: Sequence[FaultWish],
    *,
    speed: float | None = None,
) -> Bent:
    """Replay a run to the first fault, and let it go on from there; all of it goes to sinks.

    The same run and the same faults give the same events.

    Raises:
        RecordingError: If the recording cannot be read, does not replay up to the fault, or holds
            nothing that a fault is for.
        SinkError, CoreFaultError, ShutdownError: As `Runtime.run`.
    """
    script = read_script(run.entries())
    bends = choose(run.entries(), script, faults)
    since = bends.first

    def earlier() -> Iterator[Entry]:
        return takewhile(lambda entry: entry.seq < since, run.entries())

    standing = standing_after(run.header.plan, earlier())
    world = World(run.header, script, standing, bends, since)
    tape = Tape(run.entries(), ReplayOptions(until=since - 1))
    source = _Source(tape, world, Pace(speed), is_over=standing.is_over)
    header = bent_header(run.header, faults)
    try:
        ended = await play(
            header,
            source,
            sinks,
            effects=source,
            then=lambda out: out.pipe(ops.do_action(source.see), check_against(earlier())),
        )
    except DivergedError as exc:
        raise RecordingError(
            f"{run.path.name} does not replay up to event {since}, so nothing can be said of what "
            f"would have come after it: event {exc.seq} is not as recorded; see replay --check"
        ) from exc
    return Bent(
        header=header,
        entries=source.entries,
        ended=ended,
        happened=bends.happened,
        missed=bends.missed,
        misses=world.messages.misses,
        guesses=world.model.guesses,
    )


class _Source:
    """The inputs: the recorded ones, then those of the world, whose commands come in here."""

    def __init__(self, tape: Tape, world: World, pace: Pace, *, is_over: bool) -> None:
        # What one input leads to is one batch, and it is taken out before the next.
        self.mailbox: Mailbox[Entry] = Mailbox(MailboxOptions())
        self.entries: list[Entry] = []
        self._is_over = is_over
        self._left = _MOST
        self._tape = tape
        self._world = world
        self._pace = pace

    @property
    def at(self) -> str:
        """The time of the latest input."""
        return self._world.clock.instant if self._tape.is_over else self._tape.at

    async def take(self) -> Input | None:
        """The next input; None at the end of the run, or where nothing can come any more."""
        commands = await self.mailbox.take_all() if len(self.mailbox) else ()
        if not self._tape.is_over:
            item = await self._tape.take()
            if item is not None:
                await self._pace.keep(self._tape.at)
                return item
            # What is to be done at this point, the world knows from the recording.
            commands = ()
        for entry in commands:
            await self._world.carry_out(entry.item)
        self._left -= 1
        if self._is_over or not self._left:
            return None
        item = self._world.next()
        await self._pace.keep(self.at)
        return item

    def close(self) -> None:
        """Give no more."""
        self._is_over = True

    async def run(self, spawn: Spawn) -> None:
        """All is done in `take`."""

    def see(self, parcel: Parcel) -> None:
        """Note what comes out."""
        item = parcel.entry.item
        self.entries.append(parcel.entry)
        if isinstance(item, RunEnded) and self._tape.is_over:
            self._is_over = True

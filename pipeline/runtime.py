"""The one owner of tasks: feeds the core one input at a time, and sees everything to its end.

Order of an end: the last item is out, sources and effects are cancelled and awaited (sessions are
taken leave of, processes end), the sinks' mailboxes are closed, each sink writes what it has and
closes, all under one deadline.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol, TypeAlias

from reactivex.subject import Subject

from operators.route import Parcel
from pipeline.core.codec import Entry
from pipeline.core.commands import Command, Item, Passing
from pipeline.core.events import Input, RunEnded, RunResumed
from pipeline.deadline import Deadline
from pipeline.graph import Stages
from pipeline.mailbox import Mailbox
from sinks.base import SinkActor

EFFECTS = "effects"
Spawn: TypeAlias = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]


class CoreFaultError(RuntimeError):
    """A stage raised `fault`: a bug of ours. The text names the input that shows it."""

    def __init__(self, item: Passing, fault: Exception) -> None:
        super().__init__(f"at {type(item).__name__}: {fault!r}")
        self.fault = fault


class ShutdownError(RuntimeError):
    """A sink did not finish in time; what it had not written is lost, and this says which."""


class Inbox(Protocol):
    """Where inputs come from, one at a time: the mailbox of a live run, or a recording."""

    async def take(self) -> Input | None:
        """The next input; None when there will be no more."""
        ...

    def close(self) -> None:
        """Give no more."""
        ...


class EffectsActor(Protocol):
    """Carries out commands; its mailbox is the only way in."""

    @property
    def mailbox(self) -> Mailbox[Entry]:
        """Entries whose items are commands, in order."""
        ...

    async def run(self, spawn: Spawn) -> None:
        """Take commands until cancelled; longer work goes into tasks of `spawn`."""
        ...


def is_command(item: Item) -> bool:
    """Is this item for the effects?"""
    return isinstance(item, Command)


class Runtime:
    """One run: sources -> mailbox -> stages -> sinks and effects -> mailbox.

    Items up to the `known`-th are those of a recording that goes on: they were delivered then.
    `to_the_last` takes whatever the inbox has, also after a `RunEnded`: a recorded run that ended
    may have gone on.
    """

    def __init__(
        self,
        stages: Stages,
        inbox: Inbox,
        *,
        effects: EffectsActor,
        sinks: Sequence[SinkActor],
        shutdown: Deadline | None = None,
        known: int = 0,
        to_the_last: bool = False,
    ) -> None:
        self._known = known
        self._to_the_last = to_the_last
        self._stages = stages
        self._inbox = inbox
        self._effects = effects
        self._sinks = sinks
        self._shutdown = Deadline() if shutdown is None else shutdown
        self._mailboxes = [effects.mailbox, *(sink.mailbox for sink in sinks)]
        self._puts = {EFFECTS: effects.mailbox.put} | {sink.name: sink.put for sink in sinks}
        self._fault: Exception | None = None
        self._ended: RunEnded | None = None

    async def run(self) -> RunEnded | None:
        """Run until the core says `RunEnded`; every task is over when this returns.

        None: the inbox had no more before that, which only a recording's may.

        Raises:
            CoreFaultError: If a stage raised.
            SinkError: If a sink could not be opened; nothing was done yet.
            ShutdownError: If a sink could not finish before the deadline `shutdown`.
        """
        for sink in self._sinks:
            sink.goes_on(self._known)
        writers = [asyncio.create_task(s.run(), name=f"sink {s.name}") for s in self._sinks]
        try:
            async with asyncio.timeout(self._shutdown.seconds):
                for sink in self._sinks:
                    await sink.opened()
            await self._work_in_a_group()
        finally:
            await self._finish_writing(writers)
        return self._ended

    async def _work_in_a_group(self) -> None:
        try:
            async with asyncio.TaskGroup() as working:
                await self._work(working)
        except BaseExceptionGroup as group:
            # The first fault brings the others about; who called `run` wants to hear of that one.
            raise _first(group) from group

    async def _work(self, working: asyncio.TaskGroup) -> None:
        tasks: set[asyncio.Task[None]] = set()

        def spawn(body: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
            try:
                task = working.create_task(body)
            except RuntimeError:
                # The group is ending and takes no more, as a timer may not know yet: so this one
                # ends before it begins.
                task = asyncio.create_task(body)
                task.cancel()
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            return task

        spawn(self._effects.run(spawn))
        try:
            await self._pump()
        finally:
            self._shutdown.begin()
            self._inbox.close()
            self._effects.mailbox.close()
            for task in tuple(tasks):
                task.cancel()

    async def _pump(self) -> None:
        head: Subject[Passing] = Subject()
        subscription = self._stages(head).subscribe(self._deliver, self._on_fault)
        try:
            while not self._is_over() and (item := await self._inbox.take()) is not None:
                # Waiting here fills the inbox, which stops the sources, which stops the servers.
                for mailbox in self._mailboxes:
                    await mailbox.room()
                head.on_next(item)
                if self._fault is not None:
                    raise CoreFaultError(item, self._fault) from self._fault
        finally:
            subscription.dispose()

    def _deliver(self, parcel: Parcel) -> None:
        if parcel.entry.seq <= self._known:
            self._deliver_what_is_lacking(parcel)
            return
        for name in parcel.to:
            self._puts[name](parcel.entry)
        match parcel.entry.item:
            case RunEnded() as ended:
                self._ended = ended
            case RunResumed():
                self._ended = None
            case _:
                pass

    def _deliver_what_is_lacking(self, parcel: Parcel) -> None:
        """A killed run may have come to record an entry, and not to have it kept elsewhere."""
        for sink in self._sinks:
            if sink.name in parcel.to and sink.lacks(parcel.entry.seq):
                sink.put(parcel.entry)

    def _is_over(self) -> bool:
        return self._ended is not None and not self._to_the_last

    def _on_fault(self, exc: Exception) -> None:
        self._fault = exc

    async def _finish_writing(self, writers: Sequence["asyncio.Task[None]"]) -> None:
        self._shutdown.begin()
        for sink in self._sinks:
            sink.finish()
        if not writers:
            return
        _, late = await asyncio.wait(writers, timeout=self._shutdown.left())
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        if late:
            names = ", ".join(sorted(task.get_name() for task in late))
            within = f"{self._shutdown.seconds:g} s (--shutdown-timeout)"
            raise ShutdownError(f"{names} did not finish within {within}")


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    inner: Any = group.exceptions[0]
    return _first(inner) if hasattr(inner, "exceptions") else inner

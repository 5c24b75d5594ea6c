"""A runtime of small mailboxes, with sinks and effects that do what a test wants."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from reactivex import Observable

from config.options import MailboxOptions
from operators.machine import machine
from operators.route import Parcel, route
from pipeline.core.codec import Entry
from pipeline.core.commands import Item, Passing
from pipeline.core.events import Input, InputEnded, PromptSubmitted, RunEnded
from pipeline.deadline import Deadline
from pipeline.graph import Stages
from pipeline.mailbox import Mailbox
from pipeline.runtime import EFFECTS, Runtime, Spawn, is_command
from sinks.base import Sink, SinkActor, SinkError
from sinks.memory import MemorySink

DEADLINE = 5.0
SMALL = MailboxOptions(high=4, low=1)
END = RunEnded(code=0)


def passing_on(state: None, item: Passing) -> tuple[None, Sequence[Passing]]:
    """The stage of most tests: `InputEnded` ends the run."""
    return state, (item, END) if isinstance(item, InputEnded) else (item,)


class GatedSink(MemorySink):
    """Emits nothing before its gate is open, and does not close before the other is."""

    name = "gated"

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.closing_gate = asyncio.Event()
        self.closing_gate.set()
        self.closed = 0

    async def emit(self, entries: Sequence[Entry]) -> None:
        await self.gate.wait()
        await super().emit(entries)

    async def close(self) -> None:
        await self.closing_gate.wait()
        self.closed += 1
        await super().close()


class BrokenSink(MemorySink):
    """Cannot be opened, or cannot emit."""

    name = "broken"

    def __init__(self, *, opens: bool) -> None:
        super().__init__()
        self._opens = opens

    async def open(self) -> None:
        if not self._opens:
            raise SinkError("there is no such place")

    async def emit(self, entries: Sequence[Entry]) -> None:  # noqa: ARG002  the protocol's
        raise OSError("it broke")


class Effects:
    """Takes commands until cancelled; `work` is what it does beside that."""

    def __init__(self, work: Callable[[Spawn], Any] = lambda _: None) -> None:
        self.mailbox: Mailbox[Entry] = Mailbox(MailboxOptions())
        self.taken: list[Item] = []
        self.has_started = False
        self._work = work

    async def run(self, spawn: Spawn) -> None:
        self.has_started = True
        self._work(spawn)
        while (entry := await self.mailbox.take()) is not None:
            self.taken.append(entry.item)


class Making:
    """A runtime of small mailboxes, with all that a test wants to look at."""

    def __init__(
        self,
        *sinks: Sink,
        step: Callable[[None, Passing], tuple[None, Sequence[Passing]]] = passing_on,
        effects: Effects | None = None,
        shutdown: Deadline | None = None,
    ) -> None:
        self.inbox: Mailbox[Input] = Mailbox(SMALL)
        self.failures: list[tuple[str, str]] = []
        self.effects = Effects() if effects is None else effects
        self.actors = [
            SinkActor(sink, Mailbox(SMALL), on_failure=self._on_failure) for sink in sinks
        ]
        targets = {EFFECTS: is_command} | {actor.name: actor.sink.wants for actor in self.actors}
        self.runtime = Runtime(
            self._stages(step, targets),
            self.inbox,
            effects=self.effects,
            sinks=self.actors,
            shutdown=Deadline(DEADLINE) if shutdown is None else shutdown,
        )

    def _on_failure(self, sink: str, reason: str) -> None:
        self.failures.append((sink, reason))

    async def run(self, *items: Input) -> RunEnded | None:
        for item in items:
            self.inbox.put(item)
        async with asyncio.timeout(DEADLINE):
            return await self.runtime.run()

    @staticmethod
    def _stages(step: Any, targets: Any) -> Stages:
        def chain(inputs: Observable[Passing]) -> Observable[Parcel]:
            return inputs.pipe(machine(step, None), route(targets, now=lambda: "now"))

        return chain


def prompt(text: str) -> PromptSubmitted:
    return PromptSubmitted(text=text)


async def settle() -> None:
    """Let everybody who can do something do it."""
    for _ in range(100):
        await asyncio.sleep(0)

"""The owner of tasks: what comes in goes through, and whatever happens, it ends and says why."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from reactivex import Observable

from config.options import MailboxOptions
from operators.machine import machine
from operators.route import Parcel, route
from pipeline.core.codec import Entry
from pipeline.core.commands import Item, Passing, ReadPrompt
from pipeline.core.events import AnswerDelta, Input, InputEnded, PromptSubmitted, RunEnded
from pipeline.graph import Stages
from pipeline.mailbox import Mailbox
from pipeline.runtime import EFFECTS, CoreFaultError, Runtime, ShutdownError, Spawn, is_command
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
        shutdown_timeout: float = DEADLINE,
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
            shutdown_timeout=shutdown_timeout,
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


async def test_items_go_through_in_order_and_the_end_is_returned() -> None:
    one, two = MemorySink(), GatedSink()
    two.gate.set()
    made = Making(one, two)
    assert await made.run(prompt("a"), prompt("b"), InputEnded()) == END
    assert one.items == two.items == (prompt("a"), prompt("b"), InputEnded(), END)
    assert [entry.seq for entry in one.entries] == [1, 2, 3, 4]
    assert one.is_closed
    assert made.inbox.is_closed


async def test_commands_are_for_the_effects_and_for_whoever_wants_everything() -> None:
    def step(state: None, item: Passing) -> tuple[None, Sequence[Passing]]:
        return state, (item, ReadPrompt()) if isinstance(item, PromptSubmitted) else (item, END)

    memory = MemorySink()
    made = Making(memory, step=step)
    running = asyncio.create_task(made.run(prompt("a")))
    await memory.wait_for(lambda item: item == ReadPrompt(), DEADLINE)
    await settle()
    assert made.effects.taken == [ReadPrompt()]
    made.inbox.put(InputEnded())
    assert await running == END


async def test_nothing_goes_in_after_the_end() -> None:
    memory = MemorySink()
    made = Making(memory)
    await made.run(InputEnded(), prompt("too late"))
    assert memory.items == (InputEnded(), END)
    assert len(made.inbox) == 1


async def test_an_inbox_that_has_no_more_ends_the_run_without_a_last_word() -> None:
    memory = MemorySink()
    made = Making(memory)
    made.inbox.put(prompt("a"))
    made.inbox.close()
    assert await made.run() is None
    assert memory.items == (prompt("a"),)


# --- faults ---------------------------------------------------------------------------------


async def test_a_stage_that_raises_is_told_with_the_input_that_shows_it() -> None:
    def step(state: None, item: Passing) -> tuple[None, Sequence[Passing]]:
        if item == prompt("bad"):
            raise KeyError("oh")
        return state, (item,)

    memory = MemorySink()
    made = Making(memory, step=step)
    with pytest.raises(CoreFaultError, match=r"at PromptSubmitted: KeyError\('oh'\)") as caught:
        await made.run(prompt("good"), prompt("bad"), prompt("never seen"))
    assert isinstance(caught.value.fault, KeyError)
    assert memory.items == (prompt("good"),)
    assert memory.is_closed


async def test_a_sink_that_cannot_be_opened_stops_the_run_before_anything_is_done() -> None:
    memory = MemorySink()
    made = Making(memory, BrokenSink(opens=False))
    with pytest.raises(SinkError, match="there is no such place"):
        await made.run(prompt("a"))
    assert memory.items == ()
    assert memory.is_closed
    assert not made.effects.has_started
    assert len(made.inbox) == 1


async def test_a_sink_that_fails_harms_nobody_else() -> None:
    memory = MemorySink()
    made = Making(memory, BrokenSink(opens=True))
    prompts = [prompt(str(number)) for number in range(20)]
    assert await made.run(*prompts, InputEnded()) == END
    assert memory.items == (*prompts, InputEnded(), END)
    assert made.failures == [("broken", "it broke")]


async def test_a_sink_that_hangs_is_given_up_at_the_deadline_and_named() -> None:
    memory, hanging = MemorySink(), GatedSink()
    made = Making(memory, hanging, shutdown_timeout=0.05)
    with pytest.raises(ShutdownError, match=r"sink gated did not finish within 0\.05 s"):
        await made.run(prompt("a"), InputEnded())
    assert memory.items == (prompt("a"), InputEnded(), END)
    assert hanging.closed == 1


async def test_a_sink_that_does_not_close_is_given_up_at_the_deadline_and_named() -> None:
    hanging = GatedSink()
    hanging.gate.set()
    hanging.closing_gate.clear()
    made = Making(hanging, shutdown_timeout=0.05)
    with pytest.raises(ShutdownError, match="sink gated did not finish"):
        await made.run(InputEnded())
    assert hanging.items == (InputEnded(), END)


async def test_a_sink_that_does_not_open_is_given_up_at_the_deadline_and_named() -> None:
    class Opening(MemorySink):
        async def open(self) -> None:
            await asyncio.Event().wait()

    made = Making(Opening(), shutdown_timeout=0.05)
    with pytest.raises(ShutdownError, match="sink memory did not finish"):
        await made.run(InputEnded())
    assert not made.effects.has_started


async def test_an_effect_that_raises_ends_the_run_with_its_own_words() -> None:
    async def broken() -> None:
        raise LookupError("no such thing")

    memory = MemorySink()
    made = Making(memory, effects=Effects(lambda spawn: spawn(broken())))
    with pytest.raises(LookupError, match="no such thing"):
        await made.run(prompt("a"))
    assert memory.is_closed


# --- who waits for whom ---------------------------------------------------------------------


async def test_work_under_way_is_cancelled_and_awaited_before_the_run_returns() -> None:
    over: list[str] = []

    async def long() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)  # a cleanup that takes a moment
            over.append("cleaned up")

    made = Making(MemorySink(), effects=Effects(lambda spawn: spawn(long())))
    running = asyncio.create_task(made.run(prompt("a")))
    await settle()
    made.inbox.put(InputEnded())
    assert await running == END
    assert over == ["cleaned up"]


async def test_sinks_get_all_that_came_before_the_end_however_slow_they_are() -> None:
    slow = GatedSink()
    made = Making(slow)
    running = asyncio.create_task(made.run(prompt("a"), InputEnded()))
    await settle()
    assert not running.done()
    slow.gate.set()
    assert await running == END
    assert slow.items == (prompt("a"), InputEnded(), END)


async def test_a_slow_sink_stops_whoever_fills_the_inbox_and_nothing_is_lost() -> None:
    """Sink full → the pump waits → inbox full → the producer waits: bounded, whatever comes."""
    slow, quick = GatedSink(), MemorySink()
    made = Making(quick, slow)
    sent: list[Input] = []

    async def produce() -> None:
        for number in range(100):
            await made.inbox.room()
            sent.append(prompt(str(number)))
            made.inbox.put(sent[-1])
        await made.inbox.room()
        made.inbox.put(InputEnded())

    producing = asyncio.create_task(produce())
    running = asyncio.create_task(made.run())
    await settle()
    assert made.inbox.is_choked
    assert len(sent) <= 4 * SMALL.high
    slow.gate.set()
    assert await running == END
    await producing
    assert slow.items == quick.items == (*sent, InputEnded(), END)
    assert len(sent) == 100
    assert made.inbox.peak <= SMALL.high
    # One item may become several, which are all delivered before the pump looks again.
    assert max(actor.mailbox.peak for actor in made.actors) <= SMALL.high + 1


async def test_a_run_that_is_cancelled_closes_its_sinks_and_leaves_no_task() -> None:
    memory = MemorySink()
    made = Making(memory)
    running = asyncio.create_task(made.run(prompt("a")))
    await memory.wait_for(lambda item: item == prompt("a"), DEADLINE)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert memory.is_closed
    assert memory.items == (prompt("a"),)


def test_only_commands_are_for_the_effects() -> None:
    assert is_command(ReadPrompt())
    assert not is_command(AnswerDelta(text=""))
    assert not is_command(prompt("a"))

"""A run in which something of ours, or a sink, goes wrong: it ends, and says why."""

import asyncio
from collections.abc import Sequence

import pytest

from pipeline.core.commands import Passing
from pipeline.core.events import InputEnded
from pipeline.deadline import Deadline
from pipeline.runtime import CoreFaultError, ShutdownError, Spawn
from sinks.base import SinkError
from sinks.memory import MemorySink
from tests.support.runtimes import (
    END,
    BrokenSink,
    Effects,
    GatedSink,
    Making,
    prompt,
)


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
    made = Making(memory, hanging, shutdown=Deadline(0.05))
    with pytest.raises(
        ShutdownError, match=r"sink gated did not finish within 0\.05 s \(--shutdown-timeout\)"
    ):
        await made.run(prompt("a"), InputEnded())
    assert memory.items == (prompt("a"), InputEnded(), END)
    assert hanging.closed == 1


async def test_a_sink_that_does_not_close_is_given_up_at_the_deadline_and_named() -> None:
    hanging = GatedSink()
    hanging.gate.set()
    hanging.closing_gate.clear()
    made = Making(hanging, shutdown=Deadline(0.05))
    with pytest.raises(ShutdownError, match="sink gated did not finish"):
        await made.run(InputEnded())
    assert hanging.items == (InputEnded(), END)


async def test_a_sink_that_does_not_open_is_given_up_at_the_deadline_and_named() -> None:
    class Opening(MemorySink):
        async def open(self) -> None:
            await asyncio.Event().wait()

    made = Making(Opening(), shutdown=Deadline(0.05))
    with pytest.raises(ShutdownError, match="sink memory did not finish"):
        await made.run(InputEnded())
    assert not made.effects.has_started


async def test_the_time_for_the_end_runs_from_the_last_item_on() -> None:
    """What sources take of it the sinks do not get as well."""
    happened: list[str] = []

    class Told(Deadline):
        def begin(self) -> None:
            happened.append("begins")
            super().begin()

    class Ending(Effects):
        async def run(self, spawn: Spawn) -> None:
            made.inbox.put(InputEnded())
            try:
                await super().run(spawn)
            finally:
                happened.append("sources end")

    made = Making(MemorySink(), effects=Ending(), shutdown=Told())
    await made.run()
    assert happened[:2] == ["begins", "sources end"]


async def test_an_effect_that_raises_ends_the_run_with_its_own_words() -> None:
    async def broken() -> None:
        raise LookupError("no such thing")

    memory = MemorySink()
    made = Making(memory, effects=Effects(lambda spawn: spawn(broken())))
    with pytest.raises(LookupError, match="no such thing"):
        await made.run(prompt("a"))
    assert memory.is_closed


class _LateEffects(Effects):
    """Begins something when it is told to end, as a timer may that knows nothing of that yet."""

    def __init__(self) -> None:
        super().__init__()
        self.late: list[asyncio.Task[None]] = []
        self.begun = 0

    async def run(self, spawn: Spawn) -> None:
        try:
            await super().run(spawn)
        finally:
            self.late.append(spawn(self._begin()))

    async def _begin(self) -> None:
        self.begun += 1


async def test_what_is_begun_while_a_run_is_torn_down_ends_before_it_begins() -> None:
    effects = _LateEffects()
    made = Making(MemorySink(), effects=effects)
    running = asyncio.create_task(made.run(prompt("a")))
    async with asyncio.timeout(10):
        while not effects.has_started:  # noqa: ASYNC110  one turn of the loop at a time
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.wait([running])
        await asyncio.wait(effects.late)
    assert running.cancelled()
    assert [task.cancelled() for task in effects.late] == [True]
    assert effects.begun == 0

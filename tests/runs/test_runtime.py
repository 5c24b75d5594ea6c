"""The owner of tasks: what comes in goes through, and whatever happens, it ends and says why."""

import asyncio
from collections.abc import Sequence

import pytest

from pipeline.core.commands import Passing, ReadPrompt
from pipeline.core.events import AnswerDelta, Input, InputEnded, PromptSubmitted
from pipeline.runtime import is_command
from sinks.memory import MemorySink
from tests.support.runtimes import (
    DEADLINE,
    END,
    SMALL,
    Effects,
    GatedSink,
    Making,
    prompt,
    settle,
)


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

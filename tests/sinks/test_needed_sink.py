"""Who waits for a sink that has failed: nobody, unless nothing may be done without it."""

import asyncio
from collections.abc import Sequence

import pytest

from config.options import MailboxOptions
from pipeline.core.codec import Entry
from pipeline.core.events import RunStarted
from pipeline.mailbox import Mailbox
from sinks.base import SinkActor, SinkError
from sinks.memory import MemorySink

DEADLINE = 10.0


class Full(MemorySink):
    """Takes two items, and fails with the third when it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may_fail = asyncio.Event()

    async def emit(self, entries: Sequence[Entry]) -> None:
        if entries[-1].seq > 2:
            await self.may_fail.wait()
            raise SinkError("the disk is full")
        await super().emit(entries)


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.parametrize("is_needed", [False, True])
async def test_what_is_not_written_is_waited_for_only_where_it_is_needed(is_needed: bool) -> None:
    failures: list[tuple[str, str]] = []
    sink = Full()
    actor = SinkActor(
        sink,
        Mailbox[Entry](MailboxOptions()),
        on_failure=lambda *failure: failures.append(failure),
        is_needed=is_needed,
    )
    async with asyncio.timeout(DEADLINE):
        running = asyncio.create_task(actor.run())
        for seq in (1, 2):
            actor.put(Entry(seq, "t", RunStarted()))
        await actor.written(2)
        await actor.written(3)  # no more was given to it
        actor.put(Entry(3, "t", RunStarted()))
        late = asyncio.create_task(actor.written(3))
        cancelled = asyncio.create_task(actor.written(3))
        await settle()
        cancelled.cancel()
        sink.may_fail.set()
        await running
        assert failures == [("memory", "the disk is full")]
        await settle()
        assert late.done() != is_needed
        after = asyncio.create_task(actor.written(3))
        await settle()
        assert after.done() != is_needed
        await actor.written(2)
        for task in (late, after):
            task.cancel()
        await asyncio.gather(late, after, return_exceptions=True)

"""The sink that keeps what it gets."""

import asyncio

import pytest

from pipeline.core.codec import Entry
from pipeline.core.events import InputEnded, PromptSubmitted, RunStarted
from sinks.memory import MemorySink

AT = "2026-11-24T06:28:23.000001Z"
ONE, TWO, THREE = (Entry(n, AT, PromptSubmitted(text=str(n))) for n in (1, 2, 3))


async def test_entries_are_kept_in_order() -> None:
    sink = MemorySink()
    await sink.open()
    await sink.emit([ONE, TWO])
    await sink.emit([THREE])
    await sink.close()
    assert sink.wants(RunStarted())
    assert sink.entries == (ONE, TWO, THREE)
    assert sink.items == (ONE.item, TWO.item, THREE.item)
    assert sink.dropped == 0


async def test_the_oldest_are_forgotten_above_the_limit_and_counted() -> None:
    sink = MemorySink(limit=2)
    await sink.emit([ONE])
    await sink.emit([TWO, THREE])
    assert sink.entries == (TWO, THREE)
    assert sink.dropped == 1


async def test_one_can_wait_for_what_is_there_and_for_what_is_to_come() -> None:
    sink = MemorySink()
    await sink.emit([ONE])
    assert await sink.wait_for(lambda item: item == ONE.item, 0.1) == ONE.item
    waiting = asyncio.create_task(sink.wait_for(lambda item: item == THREE.item, 10))
    await sink.emit([TWO])
    await sink.emit([THREE])
    assert await waiting == THREE.item


async def test_a_wait_in_vain_says_what_was_seen() -> None:
    sink = MemorySink()
    with pytest.raises(TimeoutError, match=r"within 0\.01 s; seen: nothing"):
        await sink.wait_for(lambda item: isinstance(item, InputEnded), 0.01)
    await sink.emit([ONE])
    with pytest.raises(TimeoutError, match="seen: PromptSubmitted"):
        await sink.wait_for(lambda item: isinstance(item, InputEnded), 0.01)


async def test_a_wait_ends_when_the_sink_is_closed() -> None:
    sink = MemorySink()
    waiting = asyncio.create_task(sink.wait_for(lambda item: isinstance(item, InputEnded), 60))
    await sink.emit([ONE])
    await sink.close()
    with pytest.raises(LookupError, match="closed without it; seen: PromptSubmitted"):
        await waiting

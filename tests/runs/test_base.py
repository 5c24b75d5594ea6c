"""The actor around a sink."""

import asyncio
from collections.abc import Sequence

import pytest

from config.options import MailboxOptions
from pipeline.core.codec import Entry
from pipeline.core.commands import Item
from pipeline.core.events import AnswerDelta
from pipeline.mailbox import Mailbox
from sinks.base import SinkActor, SinkError

DEADLINE = 5.0


def entry(seq: int) -> Entry:
    return Entry(seq, "2026-01-01T00:00:00.000000Z", AnswerDelta(text=str(seq)))


class Scripted:
    """A sink that does what a test wants; `calls` is all that was asked of it."""

    name = "scripted"

    def __init__(
        self,
        *,
        opening: Exception | None = None,
        emitting: Exception | None = None,
        closing: Exception | None = None,
    ) -> None:
        self.calls: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.closing_gate = asyncio.Event()
        self.closing_gate.set()
        self._opening, self._emitting, self._closing = opening, emitting, closing

    def wants(self, item: Item) -> bool:  # noqa: ARG002  the protocol's
        return True

    async def open(self) -> None:
        self.calls.append("open")
        if self._opening is not None:
            raise self._opening

    async def emit(self, entries: Sequence[Entry]) -> None:
        await self.gate.wait()
        self.calls.append(f"emit {','.join(str(each.seq) for each in entries)}")
        if self._emitting is not None:
            raise self._emitting

    async def close(self) -> None:
        self.calls.append("close")
        await self.closing_gate.wait()
        if self._closing is not None:
            raise self._closing


class Acting:
    """An actor, its task, and what it told of failures."""

    def __init__(self, sink: Scripted, shutdown: float = DEADLINE) -> None:
        self.failures: list[tuple[str, str]] = []
        self.sink = sink
        self.actor = SinkActor(
            sink,
            Mailbox(MailboxOptions()),
            on_failure=lambda name, reason: self.failures.append((name, reason)),
            patience=lambda: shutdown,
        )

    async def end(self) -> None:
        """Close the mailbox and run to the end."""
        self.actor.mailbox.close()
        async with asyncio.timeout(DEADLINE):
            await self.actor.run()


async def test_what_waits_is_emitted_as_one_batch_in_order() -> None:
    acting = Acting(Scripted())
    for seq in (1, 2, 3):
        acting.actor.put(entry(seq))
    await acting.end()
    assert acting.sink.calls == ["open", "emit 1,2,3", "close"]
    assert (acting.failures, acting.actor.failure) == ([], None)


async def test_a_sink_that_cannot_be_opened_says_so_and_is_closed() -> None:
    acting = Acting(Scripted(opening=SinkError("no disk")))
    running = asyncio.create_task(acting.actor.run())
    with pytest.raises(SinkError, match="no disk"):
        async with asyncio.timeout(DEADLINE):
            await acting.actor.opened()
    await running
    assert acting.sink.calls == ["open", "close"]
    assert acting.failures == [("scripted", "no disk")]


async def test_opened_waits_for_the_sink() -> None:
    acting = Acting(Scripted())
    waiting = asyncio.create_task(acting.actor.opened())
    await asyncio.sleep(0)
    assert not waiting.done()
    await acting.end()
    async with asyncio.timeout(DEADLINE):
        await waiting


async def test_a_sink_that_fails_gets_nothing_more_and_is_closed_once() -> None:
    acting = Acting(Scripted(emitting=OSError("gone")))
    acting.actor.put(entry(1))
    async with asyncio.timeout(DEADLINE):
        await acting.actor.run()
    acting.actor.put(entry(2))
    assert acting.sink.calls == ["open", "emit 1", "close"]
    assert acting.actor.failure == "gone"
    assert acting.failures == [("scripted", "gone")]


async def test_an_exception_without_words_is_told_by_its_name() -> None:
    acting = Acting(Scripted(emitting=RuntimeError()))
    acting.actor.put(entry(1))
    await acting.end()
    assert acting.failures == [("scripted", "RuntimeError")]


async def test_a_sink_that_cannot_be_closed_is_told() -> None:
    acting = Acting(Scripted(closing=SinkError("not flushed")))
    await acting.end()
    assert acting.failures == [("scripted", "not flushed")]


async def test_a_sink_that_does_not_close_is_left() -> None:
    sink = Scripted()
    sink.closing_gate.clear()
    acting = Acting(sink, shutdown=0.01)
    await acting.end()
    ((name, reason),) = acting.failures
    assert name == "scripted"
    assert "close" in reason
    assert "0.01 s" in reason


async def test_written_waits_for_what_the_sink_was_given_up_to_there() -> None:
    acting = Acting(Scripted())
    acting.sink.gate.clear()
    running = asyncio.create_task(acting.actor.run())
    acting.actor.put(entry(4))
    waiting = asyncio.create_task(acting.actor.written(5))  # 5 is not for this sink
    for _ in range(10):
        await asyncio.sleep(0)
    assert not waiting.done()
    acting.sink.gate.set()
    async with asyncio.timeout(DEADLINE):
        await waiting
        await acting.actor.written(4)
        acting.actor.mailbox.close()
        await running


async def test_a_sink_that_was_given_nothing_holds_up_nobody() -> None:
    async with asyncio.timeout(DEADLINE):
        await Acting(Scripted()).actor.written(100)


async def test_a_failed_sink_holds_up_nobody() -> None:
    acting = Acting(Scripted(emitting=OSError("gone")))
    acting.actor.put(entry(1))
    waiting = asyncio.create_task(acting.actor.written(1))
    await acting.end()
    async with asyncio.timeout(DEADLINE):
        await waiting


async def test_cancelled_it_still_closes_the_sink() -> None:
    acting = Acting(Scripted())
    acting.sink.gate.clear()
    running = asyncio.create_task(acting.actor.run())
    acting.actor.put(entry(1))
    await acting.actor.opened()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert acting.sink.calls == ["open", "close"]
    assert acting.failures == []


async def test_how_long_closing_may_take_is_asked_when_it_begins_and_not_before() -> None:
    """The end of a run has one deadline, and what came before has used some of it."""
    left = 60.0
    sink = Scripted()
    sink.closing_gate.clear()
    acting = Acting(sink)
    acting.actor = SinkActor(
        sink,
        Mailbox(MailboxOptions()),
        on_failure=lambda name, reason: acting.failures.append((name, reason)),
        patience=lambda: left,
    )
    left = 0.01
    await acting.end()
    assert acting.failures == [("scripted", "it did not close within 0.01 s (--shutdown-timeout)")]

"""The end of a run in the middle of something: no further request, and nothing left of it."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pipeline.core.codec import Entry
from pipeline.core.commands import Item
from pipeline.core.events import SessionReady, StreamLost, ToolsChanged, ToolStarted
from tests.faults.dialects import CALL, DIALECTS, FLAGS, Dialect
from tests.faults.exchange import On
from tests.faults.meeting import FIRST
from tests.faults.steps import close, silence
from tests.faults.switchboard import Switchboard, switchboard
from tests.support import leaks
from tests.support.in_process import Lines, Playing, playing

INTERRUPTED = 130
PATIENT = {"RXMCP_RETRY_FIRST_DELAY": "600", "RXMCP_RETRY_MAX_DELAY": "600"}


@asynccontextmanager
async def ending(
    dialect: Dialect, *faults: On, sinks: Sequence[Any] = ()
) -> AsyncGenerator[tuple[Switchboard, Playing]]:
    """A run that ends in the block; then nothing goes on, and nothing more was asked for."""
    async with switchboard(dialect, *faults) as server:
        tasks, timers, before = asyncio.all_tasks(), _timers(), leaks.now()
        words = ("--server", server.url, "--dialect", FLAGS[dialect])
        lines = Lines(["act n=1"], is_open=True)
        async with playing(*words, lines=lines, env=PATIENT, sinks=sinks) as run:
            yield server, run
            played = await run.ended()
            asked = [each.method for each in server.seen]
        await server.is_alone()
        assert await leaks.left_behind_in_loop(before, tasks) == []
        assert not _timers() - timers, "something would happen later"
        assert played.ended.code == INTERRUPTED
        assert [each.method for each in server.seen] == asked


def _timers() -> set[asyncio.TimerHandle]:
    loop: Any = asyncio.get_running_loop()
    return {handle for handle in loop._scheduled if not handle.cancelled()}


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_while_it_connects(dialect: Dialect) -> None:
    async with ending(dialect, On(FIRST[dialect], silence, n=None)) as (server, run):
        await server.got(FIRST[dialect])
        run.client.interrupt("SIGINT")


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_while_it_waits_for_the_next_attempt(dialect: Dialect) -> None:
    async with ending(dialect, On(FIRST[dialect], close, n=None)) as (_, run):
        await run.saw(StreamLost)
        run.client.interrupt("SIGINT")


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_while_a_call_is_under_way(dialect: Dialect) -> None:
    async with ending(dialect, On(CALL, silence, n=None)) as (server, run):
        await server.got(CALL)
        run.client.interrupt("SIGINT")


class Telling:
    """A sink that calls back in the very moment in which it is told of the first such item."""

    name = "telling"

    def __init__(self, kind: type[Item]) -> None:
        self.call_back: Callable[[], None] | None = None
        self._kind = kind

    def wants(self, item: Item) -> bool:
        call, is_it = self.call_back, isinstance(item, self._kind)
        if is_it and call is not None:
            self.call_back = None
            call()
        return False

    async def open(self) -> None: ...

    async def emit(self, entries: Sequence[Entry]) -> None: ...

    async def close(self) -> None: ...


@pytest.mark.parametrize("kind", [SessionReady, ToolsChanged, ToolStarted])
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_while_it_is_being_told_something(dialect: Dialect, kind: type[Item]) -> None:
    sink = Telling(kind)
    async with ending(dialect, On(CALL, silence, n=None), sinks=[sink]) as (_, run):
        sink.call_back = lambda: run.client.interrupt("SIGINT")

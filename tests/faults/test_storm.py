"""Many clients that lose one server at the same moment do not come back at the same moment."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

import pytest

from pipeline.core.events import RunEnded, SessionReady, StreamLost, ToolEnded
from tests.faults.dialects import FLAGS, OF_ONE_STREAM, Dialect
from tests.faults.switchboard import switchboard
from tests.support.in_process import Lines, playing

MANY = 50
CEILING = 0.5  # seconds: the longest delay before the first try
CROWD = 20
"""So many of 50 in one tenth of the time would be no chance: about one in 10^8."""


@pytest.mark.parametrize("dialect", OF_ONE_STREAM)
async def test_fifty_clients_come_back_spread_over_the_whole_delay_and_each_is_served(
    dialect: Dialect,
) -> None:
    async with switchboard(dialect) as server, AsyncExitStack() as stack:
        argv = ("--server", server.url, "--dialect", FLAGS[dialect])
        env = {"RXMCP_RETRY_FIRST_DELAY": str(CEILING), "RXMCP_RETRY_MAX_DELAY": str(CEILING)}
        lines = [Lines(is_open=True) for _ in range(MANY)]
        clients = [
            await stack.enter_async_context(playing(*argv, lines=each, env=env)) for each in lines
        ]
        await asyncio.gather(*(each.saw(SessionReady) for each in clients))
        await server.forget()
        lost = await asyncio.gather(*(each.saw(StreamLost) for each in clients))
        for n, each in enumerate(lines):
            each.say(f"act n={n}")
        await asyncio.gather(*(each.saw(ToolEnded, outcome="answered") for each in clients))
        for each in lines:
            each.end()
        ended = [(await each.ended()).ended for each in clients]
    delays = [each.retry_in for each in lost if isinstance(each, StreamLost)]
    tenths = Counter(int((delay or 0) * 10 / CEILING) for delay in delays)
    assert all(delay is not None and 0 <= delay <= CEILING for delay in delays)
    assert max(tenths.values()) < CROWD, sorted(tenths.items())
    assert ended == [RunEnded(code=0)] * MANY
    assert server.ledger.executed == dict.fromkeys(range(MANY), 1)
    assert server.begun == 2 * MANY

"""Signals at random moments of a real run; `python -m bench.interrupts` sends 200 of them."""

import asyncio
from pathlib import Path

from bench.interrupts import interrupt_once

COUNT, AT_ONCE = 30, 4


async def test_a_signal_at_any_moment_ends_the_run_in_order(tmp_path: Path) -> None:
    free, found = asyncio.Semaphore(AT_ONCE), list[str]()

    async def interrupt(number: int) -> None:
        folder = tmp_path / str(number)
        folder.mkdir()
        async with free:
            drawn = await interrupt_once(f"interrupts/{number}", folder)
        found.extend(f"{number}, {drawn}: {why}" for why in drawn.wrong)

    async with asyncio.TaskGroup() as tasks:
        for number in range(COUNT):
            tasks.create_task(interrupt(number))
    assert found == []

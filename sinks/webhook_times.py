"""Time and chance for deliveries, as arguments: a test brings its own."""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import msgspec

Pause: TypeAlias = Callable[[float, asyncio.Event], Awaitable[None]]


async def pause(delay: float, until: asyncio.Event) -> None:
    """Wait so many seconds, or until an event."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(delay):
            await until.wait()


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """`clock` is Unix time, `monotonic` seconds that only grow, `chance` 0 to 1."""

    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    pause: Pause = pause
    chance: Callable[[], float] = random.random

"""How long a server wants to be left alone (`Retry-After`: RFC 9110, 10.2.3)."""

import asyncio
from collections.abc import Callable

import aiohttp

from pipeline.shell.http import retry_after


class Pause:
    """What the last refusal asked for. `now` is the time of day, in seconds since the epoch."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._until: float | None = None

    def note(self, response: aiohttp.ClientResponse) -> None:
        """An answer came: one without a wish takes back the one before."""
        seconds = retry_after(response.headers.get("Retry-After"), self._now())
        is_refusal = not response.ok
        self._until = None
        if is_refusal and seconds is not None:
            self._until = asyncio.get_running_loop().time() + seconds

    def left(self) -> float | None:
        """Seconds that are left of it; None: there is no wish, or its time is over."""
        if self._until is None:
            return None
        left = self._until - asyncio.get_running_loop().time()
        return left if left > 0 else None

"""How long a server wants to be left alone (`Retry-After`: RFC 9110, 10.2.3)."""

import asyncio
from collections.abc import Callable

import aiohttp

from pipeline.shell.http import retry_after

_DAY = 86_400.0  # seconds


class Pause:
    """What the last refusal asked for. `now` is the time of day, in seconds since the epoch."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._until: float | None = None

    def note(self, response: aiohttp.ClientResponse) -> float | None:
        """An answer came: its wish in seconds; one without a wish takes back the one before.

        Nobody means more than a day; and what is too large for a float could not be recorded.
        """
        seconds = retry_after(response.headers.get("Retry-After"), self._now())
        seconds = None if seconds is None else min(seconds, _DAY)
        is_refusal = not response.ok
        self._until = None
        if not is_refusal or seconds is None:
            return None
        self._until = asyncio.get_running_loop().time() + seconds
        return seconds

    def left(self) -> float | None:
        """Seconds that are left of it; None: there is no wish, or its time is over."""
        if self._until is None:
            return None
        left = self._until - asyncio.get_running_loop().time()
        return left if left > 0 else None

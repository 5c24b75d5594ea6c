"""Timers that the core asks for."""

import asyncio
from collections.abc import Callable

from pipeline.core.events import TimerFired


class Timers:
    """Named timers on the loop's monotonic clock: setting the computer's clock changes nothing.

    No tasks: the owner calls `close`, after which nothing fires any more.
    """

    def __init__(self, put: Callable[[TimerFired], None]) -> None:
        self._put = put
        self._handles: dict[str, asyncio.TimerHandle] = {}
        self._is_closed = False

    def start(self, id_: str, seconds: float) -> None:
        """Fire `TimerFired(id_)` once in so many seconds; a timer of that name starts over."""
        self.stop(id_)
        if not self._is_closed:
            loop = asyncio.get_running_loop()
            self._handles[id_] = loop.call_later(seconds, self._fire, id_)

    def stop(self, id_: str) -> None:
        """Forget a timer; one that has fired or never ran is fine."""
        handle = self._handles.pop(id_, None)
        if handle is not None:
            handle.cancel()

    def close(self) -> None:
        """Forget all timers, and any that are started later."""
        self._is_closed = True
        for id_ in tuple(self._handles):
            self.stop(id_)

    def _fire(self, id_: str) -> None:
        del self._handles[id_]
        self._put(TimerFired(id=id_))

"""A sink that keeps what it gets, for tests and for programs that embed rxmcp."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from pipeline.core.codec import Entry
from pipeline.core.commands import Item


class MemorySink:
    """Keeps the newest `limit` entries; `dropped` counts the older ones that it forgot."""

    name = "memory"

    def __init__(self, limit: int = 100_000) -> None:
        self.dropped = 0
        self.is_closed = False
        self._entries: deque[Entry] = deque(maxlen=limit)
        self._changed = asyncio.Condition()

    @property
    def entries(self) -> tuple[Entry, ...]:
        """What is kept, oldest first."""
        return tuple(self._entries)

    @property
    def items(self) -> tuple[Item, ...]:
        """As `entries`, without their places."""
        return tuple(entry.item for entry in self._entries)

    def wants(self, item: Item) -> bool:  # noqa: ARG002  the protocol's
        """Everything."""
        return True

    async def open(self) -> None:
        """Nothing to acquire."""

    async def emit(self, entries: Sequence[Entry]) -> None:
        """Keep the entries."""
        async with self._changed:
            overflow = len(self._entries) + len(entries) - (self._entries.maxlen or 0)
            self.dropped += max(0, overflow)
            self._entries.extend(entries)
            self._changed.notify_all()

    async def close(self) -> None:
        """Keep what is there, and let nobody wait for more."""
        async with self._changed:
            self.is_closed = True
            self._changed.notify_all()

    async def wait_for(self, predicate: Callable[[Item], bool], seconds: float) -> Item:
        """The first kept item, of those here and those to come, that `predicate` accepts.

        Raises:
            TimeoutError: If none came within so many seconds.
            LookupError: If the sink was closed without one.
        """
        try:
            async with asyncio.timeout(seconds), self._changed:
                while (found := next(filter(predicate, self.items), None)) is None:
                    if self.is_closed:
                        raise LookupError(f"the sink was closed without it; {self._seen()}")
                    await self._changed.wait()
                return found
        except TimeoutError as exc:
            raise TimeoutError(f"it did not come within {seconds:g} s; {self._seen()}") from exc

    def _seen(self) -> str:
        kinds = [type(entry.item).__name__ for entry in self._entries]
        return f"seen: {', '.join(kinds[-20:]) or 'nothing'}"

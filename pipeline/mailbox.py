"""A bounded queue with one reader: the mailbox in front of the core and of every sink."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, Literal, TypeVar

from config.options import MailboxOptions

T = TypeVar("T")
Overflow = Literal["wait", "drop_oldest"]


class Mailbox(Generic[T]):
    """Never refuses an item; asks its writers to slow down instead.

    One chunk from a socket may complete many events. They have arrived, so refusing them would
    lose them. Writers put first and wait for `room` *before they read more*, which is what slows
    the peer down. A "drop_oldest" mailbox is always roomy and forgets, counting what it forgot.

    It is full at so many items or, if it is told how to `weigh` them, at so many bytes, whichever
    is first. `peak` and `heaviest` are the most that it ever held of each.
    """

    def __init__(
        self,
        options: MailboxOptions,
        overflow: Overflow = "wait",
        *,
        weigh: Callable[[T], int] | None = None,
    ) -> None:
        self.dropped = 0
        self.peak = 0
        self.heaviest = 0
        self._options = options
        self._low_bytes = options.max_bytes * min(options.low, options.high) // options.high
        self._overflow: Overflow = overflow
        self._weigh = weigh
        self._weight = 0
        self._items: deque[tuple[T, int]] = deque()
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._items)

    @property
    def is_choked(self) -> bool:
        """Writers are being held back."""
        return not self._room.is_set()

    @property
    def is_closed(self) -> bool:
        """Nothing more is accepted."""
        return self._closed

    def put(self, item: T) -> None:
        """Add an item; never blocks, never raises. After `close` it counts as dropped."""
        if self._closed:
            self.dropped += 1
            return
        weight = 0 if self._weigh is None else self._weigh(item)
        self._items.append((item, weight))
        self._weight += weight
        self._wake.set()
        size = len(self._items)
        self.peak = max(self.peak, size)
        self.heaviest = max(self.heaviest, self._weight)
        if size < self._options.high and self._weight < self._options.max_bytes:
            return
        if self._overflow == "wait":
            self._room.clear()
        else:
            self._forget()

    async def room(self) -> None:
        """Wait until it is fine to add more; the reader, or `close`, ends the wait."""
        await self._room.wait()

    async def take(self) -> T | None:
        """Remove the oldest item; None once closed and empty."""
        await self._filled()
        if not self._items:
            return None
        item, weight = self._items.popleft()
        self._weight -= weight
        self._relax()
        return item

    async def take_all(self) -> tuple[T, ...]:
        """Remove everything there is; empty once closed and empty."""
        await self._filled()
        items = tuple([item for item, _ in self._items])
        self._items.clear()
        self._weight = 0
        self._relax()
        return items

    def close(self) -> None:
        """Accept nothing more; what is inside can still be taken."""
        self._closed = True
        self._wake.set()
        self._room.set()

    async def _filled(self) -> None:
        while not self._items and not self._closed:
            self._wake.clear()
            await self._wake.wait()

    def _forget(self) -> None:
        """Drop the oldest until the rest is within both limits; the newest is kept in any case."""
        while len(self._items) > self._options.high or (
            self._weight > self._options.max_bytes and len(self._items) > 1
        ):
            _, weight = self._items.popleft()
            self._weight -= weight
            self.dropped += 1

    def _relax(self) -> None:
        if len(self._items) <= self._options.low and self._weight <= self._low_bytes:
            self._room.set()

"""Keeps what the core wants remembered of tools. Only a live run has it: a replay writes nothing.

A sink, and none of the effects: those are cancelled at the end of a run, a sink writes all it has.
"""

import asyncio
from collections.abc import Callable, Sequence

from pipeline.core.codec import Entry
from pipeline.core.commands import Item, PinTools


class PinsSink:
    """Hands each `PinTools` to `keep`, in a thread: it may block.

    `keep` gives in words why it could not, else nothing; `on_trouble` gets those words.
    """

    name = "tool pins"

    def __init__(
        self, keep: Callable[[PinTools], str], *, on_trouble: Callable[[str], None]
    ) -> None:
        self._keep = keep
        self._on_trouble = on_trouble

    def wants(self, item: Item) -> bool:
        """What is to be kept."""
        return isinstance(item, PinTools)

    async def open(self) -> None:
        """Nothing to acquire."""

    async def emit(self, entries: Sequence[Entry]) -> None:
        """Keep it, one after the other; it is on the disk when this returns."""
        for entry in entries:
            if isinstance(entry.item, PinTools):
                trouble = await asyncio.to_thread(self._keep, entry.item)
                if trouble:
                    self._on_trouble(trouble)

    async def close(self) -> None:
        """Nothing to release."""

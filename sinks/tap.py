"""A sink that hands on what happens to whoever runs the client, item by item."""

from collections.abc import Callable, Sequence

from pipeline.core.codec import Entry
from pipeline.core.commands import Item


class Tap:
    """Calls `hear` with each item, in order; `hear` is quick and does not raise."""

    def __init__(self, name: str, hear: Callable[[Item], None]) -> None:
        self.name = name
        self._hear = hear

    def wants(self, item: Item) -> bool:  # noqa: ARG002  the protocol's
        """Everything."""
        return True

    async def open(self) -> None:
        """Nothing to acquire."""

    async def emit(self, entries: Sequence[Entry]) -> None:
        """Hand on each item."""
        for entry in entries:
            self._hear(entry.item)

    async def close(self) -> None:
        """Nothing to release."""

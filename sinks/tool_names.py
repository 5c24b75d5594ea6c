"""The names of the tools there are now, for whoever completes what a person types."""

from collections.abc import Sequence

from pipeline.core.codec import Entry
from pipeline.core.commands import Item
from pipeline.core.events import ToolsChanged
from sinks.terminal_text import one_line


class ToolNames:
    """Keeps the names of the latest tool list of each server."""

    name = "tool names"

    def __init__(self) -> None:
        self._names: dict[str, tuple[str, ...]] = {}

    def words(self) -> Sequence[str]:
        """All names, each once; but for those that nobody could type, nor tell what they are."""
        found = {name for names in self._names.values() for name in names}
        return sorted(name for name in found if one_line(name) == name)

    def wants(self, item: Item) -> bool:
        """Tool lists."""
        return isinstance(item, ToolsChanged)

    async def open(self) -> None:
        """Nothing to acquire."""

    async def emit(self, entries: Sequence[Entry]) -> None:
        """Keep the names."""
        for entry in entries:
            if isinstance(entry.item, ToolsChanged):
                self._names[entry.item.server] = tuple(tool.name for tool in entry.item.tools)

    async def close(self) -> None:
        """Nothing to release."""

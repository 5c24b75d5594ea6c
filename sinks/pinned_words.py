"""Tools that are pinned, held and approved, in words."""

from collections.abc import Collection, Sequence

from pipeline.core.commands import PinTools
from pipeline.core.events import ToolsApproved, ToolsHeld
from sinks.notice import Notice, short_name, short_names

_HOW = "the command `tools` shows what has changed, `tools --approve NAME` approves it"


def pinned(item: PinTools) -> Sequence[Notice]:
    """How many tools are remembered from now on; what was approved is told as that."""
    if item.is_approval:
        return ()
    count = "1 tool" if len(item.pins) == 1 else f"{len(item.pins)} tools"
    text = f"{short_name(item.server)}: {count} pinned as first seen: {short_names([*item.pins])}"
    return (Notice("=", text),)


def held(item: ToolsHeld, before: Collection[str]) -> Sequence[Notice]:
    """Which tools are not used any more, besides those `before`."""
    names = [tool.name for tool in item.tools if tool.name not in before]
    if not names:
        return ()
    text = f"{short_name(item.server)}: held, not what was approved: {short_names(names)}"
    return (Notice("!", text, _HOW),)


def approved(item: ToolsApproved) -> Notice:
    """Which tools may be used as they are now, and who says so."""
    names = short_names([tool.name for tool in item.tools])
    by = "" if item.by == "person" else " (as the settings say)"
    return Notice("=", f"{short_name(item.server)}: approved as it is now: {names}{by}")

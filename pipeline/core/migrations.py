"""From older formats of recordings to this one, a step for each number.

A step is made anew for each run and is given its lines in their order, decoded, the header first;
so it may remember. It gives back the line as the next format has it. It sees files as they are, and
leaves alone what is not of the shape that it expects: the decoder tells about that.

A change of the format needs the next step in `MIGRATIONS`, a kept recording of the format before
(they are in `tests/recordings`), and a line in `docs/recordings.md`. A kind that is new, or a field
that may be missing, is no change of the format.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

import msgspec

from pipeline.core.events import Json, Tool
from pipeline.core.shapes import is_list, is_object
from pipeline.core.tools import digest

Step: TypeAlias = Callable[[Json], Json]

HEADER_KIND = "recording"
_HAVE_TOOLS = ("tools_changed", "call_model")


class UnknownFormatError(ValueError):
    """There is no way from a format to this version's; the text says what to do."""


def steps_from(found: int, steps: Mapping[int, Callable[[], Step]] | None = None) -> list[Step]:
    """New steps that bring the lines of a run from format `found` to the current one, in order.

    Raises:
        UnknownFormatError: If the format is newer than this version, or never was.
    """
    steps = MIGRATIONS if steps is None else steps
    newest = 1 + max(steps)
    if found > newest:
        raise UnknownFormatError(
            f"found format {found}, expected {newest} or older: a newer rxmcp wrote this, "
            "and only such a one can read it"
        )
    if found < min(steps):
        raise UnknownFormatError(f"found format {found}, expected {min(steps)} to {newest}")
    return [steps[number]() for number in range(found, newest)]


def migrated(line: Json, steps: Sequence[Step]) -> Json:
    """One line, the header or an entry, after all steps."""
    for step in steps:
        line = step(line)
    return line


def _to_2() -> Step:
    """2: each line names its session, each tool has its digest."""
    session: Any = ""

    def step(line: Json) -> Json:
        nonlocal session
        kind = line.get("kind")
        if kind == HEADER_KIND:
            session = line.get("session", "")
            return {**line, "format": 2}
        tools = line.get("tools")
        if kind in _HAVE_TOOLS and is_list(tools):
            line = {**line, "tools": [_with_digest(tool) for tool in tools]}
        place = {key: line[key] for key in ("seq", "at") if key in line}
        return {**place, "session": session, **line} if session else line

    return step


def _with_digest(tool: Any) -> Any:
    if not is_object(tool):
        return tool
    try:
        known = msgspec.convert(tool, Tool)
    except msgspec.ValidationError:
        return tool
    first = {key: tool[key] for key in ("server", "name", "alias") if key in tool}
    return {**first, "digest": digest(known), **tool}


MIGRATIONS: Mapping[int, Callable[[], Step]] = MappingProxyType({1: _to_2})
"""What leads from each format to the next one."""

FORMAT = 1 + max(MIGRATIONS)
"""The format that this version writes."""

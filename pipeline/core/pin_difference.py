"""What a tool says otherwise than was approved, in lines for a person.

A change must not hide: behind a long line, in a long text, or in the part that was not kept. So
each line begins near the first character that differs, and whatever is left out is counted.
"""

import json
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

from pipeline.core.events import Json
from pipeline.core.plan import ToolPin
from pipeline.core.shapes import is_list, is_object

MOST_LINES = 60
_LONGEST = 240  # characters of a line
_BEFORE = 40  # characters that a line shows in front of its first difference
_NOT_KEPT = "  (what was approved was too long to keep; this is what it says now)"
_BEHIND = "  (the part of it that was kept is the same; it differs behind that)"
_NOWHERE = "(all that was kept of it is the same; its digest is another)"


def difference(pin: ToolPin, now: Json) -> tuple[str, ...]:
    """At most `MOST_LINES` lines; `now` is what `tools.said` gives of the tool.

    A member's name with a colon, then `  - ` with what it said and `  + ` with what it says. A
    schema is shown by its leaves: `properties.a.type: "integer"`. The server's text is as it is.
    """
    lines: list[str] = []
    for name in dict.fromkeys((*now, *pin.said, *pin.cut)):
        if name == "name":
            continue  # it is what the pin was found by
        found = list(_member(pin.said.get(name), now.get(name), is_cut=name in pin.cut))
        lines += [f"{name}:", *found] if found else []
    if not lines:
        return (_NOWHERE,)
    left_out = len(lines) - MOST_LINES + 1
    if left_out > 1:
        lines[MOST_LINES - 1 :] = [f"  … and {left_out} lines more"]
    return tuple(lines)


def _member(was: Any, now: Any, *, is_cut: bool) -> Iterator[str]:
    if is_cut and was is None:
        yield _NOT_KEPT
        lines = _split(now) if isinstance(now, str) else _leaves(now)
        yield from (f"  + {_window(line, 0)}" for line in lines)
    elif isinstance(was, str | None) and isinstance(now, str | None):
        if is_cut and was is not None and now is not None and now.startswith(was):
            yield _BEHIND
        else:
            yield from _pairs(_split(was), _split(now))
    else:
        before, after = list(_leaves(was)), list(_leaves(now))
        gone, new = set(before) - set(after), set(after) - set(before)
        yield from _pairs([each for each in before if each in gone], [e for e in after if e in new])


def _split(text: str | None) -> list[str]:
    """The lines of a text; what else may break a line is a character to be seen."""
    return [] if text is None else text.split("\n")


def _pairs(was: Sequence[str], now: Sequence[str]) -> Iterator[str]:
    """The lines between those that are the same at the beginning and at the end."""
    start = _same(was, now)
    was, now = was[start:], now[start:]
    end = _same(was[::-1], now[::-1])
    for old, new in zip_longest(was[: len(was) - end], now[: len(now) - end]):
        if old != new:
            at = 0 if old is None or new is None else _same(old, new)
            yield from () if old is None else (f"  - {_window(old, at)}",)
            yield from () if new is None else (f"  + {_window(new, at)}",)


def _same(one: Sequence[str], other: Sequence[str]) -> int:
    """How many items two sequences begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def _window(line: str, at: int) -> str:
    """As much of a line as a person reads, from a little before `at` on."""
    start = at - _BEFORE if at > _LONGEST // 2 else 0
    shown, rest = line[start : start + _LONGEST], len(line) - start - _LONGEST
    more = f"… ({rest} characters more)" if rest > 0 else ""
    return f"{'… ' if start else ''}{shown}{more}"


def _leaves(value: Any, path: str = "") -> Iterator[str]:
    if is_object(value) and value:
        for name in sorted(value):
            yield from _leaves(value[name], f"{path}.{name}" if path else name)
    elif is_list(value) and value:
        for number, each in enumerate(value):
            yield from _leaves(each, f"{path}[{number}]")
    elif value is not None or path:
        text = json.dumps(value, ensure_ascii=False)
        yield f"{path}: {text}" if path else text

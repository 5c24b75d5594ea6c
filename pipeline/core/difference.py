"""What differs between two items, in words a person can act on."""

from collections.abc import Iterator
from typing import Any

import msgspec

from pipeline.core.codec import to_json
from pipeline.core.commands import Item
from pipeline.core.jsonrpc import shorten
from pipeline.core.shapes import is_list, is_object

_NOTHING = object()
_SHOWN = 5


def is_same(one: Item, other: Item) -> bool:
    """Would a recording hold the same line for both? Of a `CallModel` it keeps what is new."""
    return one == other or (type(one) is type(other) and to_json(one) == to_json(other))


def describe(
    one: Item | None, other: Item | None, names: tuple[str, str] = ("recorded", "now")
) -> str:
    """Where two items differ, a line for each place; None stands for an item that is not there.

    `names` are what the two are called.
    """
    this, that = names
    if one is None or other is None or to_json(one)["kind"] != to_json(other)["kind"]:
        width = max(map(len, names)) + 1
        rows = ((this, one), (that, other))
        return "\n".join(f"{f'{name}:':<{width}} {_line(item)}" for name, item in rows)
    found = list(_differences(to_json(one), to_json(other), ""))
    lines = [f"{path}: {this} {_shown(a)}, {that} {_shown(b)}" for path, a, b in found[:_SHOWN]]
    more = [f"and {len(found) - _SHOWN} more places"] if len(found) > _SHOWN else []
    return "\n".join([*lines, *more])


def _differences(old: Any, new: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if is_object(old) and is_object(new):
        for key in dict.fromkeys((*old, *new)):
            inner = f"{path}.{key}" if path else key
            yield from _differences(old.get(key, _NOTHING), new.get(key, _NOTHING), inner)
    elif is_list(old) and is_list(new):
        for index in range(max(len(old), len(new))):
            one = old[index] if index < len(old) else _NOTHING
            other = new[index] if index < len(new) else _NOTHING
            yield from _differences(one, other, f"{path}[{index}]")
    elif old != new:
        yield path, old, new


def _line(item: Item | None) -> str:
    return "nothing" if item is None else shorten(msgspec.json.encode(to_json(item)).decode(), 300)


def _shown(value: Any) -> str:
    return "nothing" if value is _NOTHING else shorten(msgspec.json.encode(value).decode(), 120)

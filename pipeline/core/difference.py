"""What differs between two items, or two JSON values, in words a person can act on."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from pipeline.core.codec import encode, to_json
from pipeline.core.commands import Item
from pipeline.core.jsonrpc import shorten
from pipeline.core.shapes import is_list, is_object

NOTHING: Final = object()
"""Stands for a value that is not there: no JSON value is like it."""

_SHOWN = 5


def is_same(one: Item, other: Item) -> bool:
    """Would a recording hold the same line for both? Of a `CallModel` it keeps what is new.

    Lines are compared as JSON is: see `differences`. Python's own `==` takes `True` for `1`.
    """
    if encode(one) == encode(other):
        return True
    return next(differences(to_json(one), to_json(other)), None) is None


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
    return "\n".join(places(to_json(one), to_json(other), names))


def places(one: Any, other: Any, names: tuple[str, str] = ("recorded", "now")) -> list[str]:
    """Where two JSON values differ: a line for each of the first places, and how many more."""
    this, that = names
    found = list(differences(one, other))
    lines = [f"{path}: {this} {_shown(a)}, {that} {_shown(b)}" for path, a, b in found[:_SHOWN]]
    more = [f"and {len(found) - _SHOWN} more places"] if len(found) > _SHOWN else []
    return [*lines, *more]


def differences(one: Any, other: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Each place in which two JSON values differ, and what each has there, `NOTHING` for nothing.

    They are equal as JSON is: the order of keys does not count, `2` is `2.0`, `1` is not `true`.
    """
    if is_object(one) and is_object(other):
        for key in dict.fromkeys((*one, *other)):
            inner = f"{path}.{key}" if path else key
            yield from differences(one.get(key, NOTHING), other.get(key, NOTHING), inner)
    elif is_list(one) and is_list(other):
        for index in range(max(len(one), len(other))):
            this = one[index] if index < len(one) else NOTHING
            that = other[index] if index < len(other) else NOTHING
            yield from differences(this, that, f"{path}[{index}]")
    elif one != other or isinstance(one, bool) != isinstance(other, bool):
        yield path, one, other


def _line(item: Item | None) -> str:
    return "nothing" if item is None else shorten(msgspec.json.encode(to_json(item)).decode(), 300)


def _shown(value: Any) -> str:
    return "nothing" if value is NOTHING else shorten(msgspec.json.encode(value).decode(), 120)

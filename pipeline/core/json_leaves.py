r"""The strings of a JSON text, each with its place in the text: to look at, and to change in place.

JSON inside a string is looked into, and so are the `data:` lines of an event stream inside one; how
deep the escapes then are is no matter: `Leaf.lift` tells where in the whole text a piece of a leaf
stands, with `\u0041` and `\\\"` counted for what they are. So a piece can be replaced while nothing
else changes, not even white space. Of a key that stands twice both values are seen.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple, TypeAlias

import msgspec

from pipeline.core.json_text import UNREADABLE, without_halves

Lift: TypeAlias = Callable[[int, int], tuple[int, int]]
Shorten: TypeAlias = Callable[[str], str]

_TOKEN = re.compile(r'"((?:[^"\\]++|\\.)*+)"(\s*+:)?|[{}\[\],]', re.DOTALL)
_ESCAPE = re.compile(r"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|u....|.)", re.DOTALL)
_SHORT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_PAIR = len(r"\ud83d\ude00")
_EVENT_DATA = re.compile(r"^data: ?([\[{].*)$", re.MULTILINE)
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_json = msgspec.json.Decoder(msgspec.Raw)


class Place(NamedTuple):
    """Where a value is: one step down from `above`, which is None at the top.

    A step is a key, an index, or with `is_filter` what jq does to get there.
    """

    above: "Place | None" = None
    step: str | int = ""
    is_filter: bool = False

    def path(self, shorten: Shorten = str) -> str:
        """As jq writes it. Keys are foreign: `shorten` gives what may be shown of one."""
        steps: list[Place] = []
        place = self
        while place.above is not None:
            steps.append(place)
            place = place.above
        path = "."
        for at in reversed(steps):
            if at.is_filter:
                path = f"{path} | {at.step}"
            elif isinstance(at.step, int):
                path = f"{path}[{at.step}]"
            else:
                path = _below(path, shorten(at.step))
        return path


class Leaf(NamedTuple):
    """A string that is no JSON itself. `key` is the one it stands under, also in a list there.

    `lift(start, stop)` is the place of a piece of `text` in the whole.
    """

    place: Place
    key: str
    text: str
    lift: Lift


TOP = Place()


def leaves(text: str) -> Iterator[Leaf]:
    """All of them in the order of the text, keys included; a text that is no JSON is a leaf."""
    yield from _look_into(text, TOP, "", _as_it_is)


def strings(text: str) -> Iterator[Leaf]:
    """The strings of a JSON text, into none of which is looked; one leaf if it is no JSON."""
    text = without_halves(text)
    if _is_json(text):
        yield from _strings(text, TOP, "", _as_it_is)
    else:
        yield Leaf(TOP, "", text, _as_it_is)


def _look_into(text: str, place: Place, key: str, lift: Lift) -> Iterator[Leaf]:
    # JSON in JSON in JSON: each level doubles the backslashes, so this is never deep.
    text = without_halves(text)  # of the same length: what is found has its place in the original
    if _is_json(text):
        inner = place if place.above is None else Place(place, "fromjson | .", is_filter=True)
        for leaf in _strings(text, inner, key, lift):
            yield from _look_into(leaf.text, leaf.place, leaf.key, leaf.lift)
    elif "data:" in text:
        yield from _events(text, place, key, lift)
    else:
        yield Leaf(place, key, text, lift)


def _events(text: str, place: Place, key: str, lift: Lift) -> Iterator[Leaf]:
    """A text that may be an event stream: its `data:` lines as JSON, and what is between them."""
    at = 0
    for found in _EVENT_DATA.finditer(text):
        if _is_json(found[1]):
            start, stop = found.span(1)
            yield Leaf(place, key, text[at:start], _shifted(lift, at))
            line = text.count("\n", 0, start)
            steps = f'split("\\n")[{line}] | ltrimstr("data:")'
            here = Place(place, steps, is_filter=True)
            yield from _look_into(found[1], here, key, _shifted(lift, start))
            at = stop
    yield Leaf(place, key, text[at:], _shifted(lift, at))


def _strings(text: str, place: Place, key: str, lift: Lift) -> Iterator[Leaf]:
    # A stack of our own: how deep a foreign value goes is not our choice.
    stack: list[_Level] = []
    level = _Level(place, key)
    for token in _TOKEN.finditer(text):
        raw, sign = token[1], token[0]
        if raw is not None:
            is_key = token[2] is not None
            string = raw if "\\" not in raw else _ESCAPE.sub(_unescaped, raw)
            here, name = level.of_keys if is_key else level.down()
            if is_key:
                level.step = string
            yield Leaf(here, name, string, _unlifted(lift, token.start(1), raw))
        elif sign in "{[":
            stack.append(level)
            level = _Level(*level.down(), step="" if sign == "{" else 0)
        elif sign == ",":
            level.next()
        else:
            level = stack.pop()


@dataclass(slots=True)
class _Level:
    """An object or array that is being read; at the top the value itself."""

    place: Place
    key: str
    step: str | int | None = None

    @property
    def of_keys(self) -> tuple[Place, str]:
        return Place(self.place, "keys[]", is_filter=True), ""

    def down(self) -> tuple[Place, str]:
        """The place of the value that comes now, and the key that it stands under."""
        match self.step:
            case None:
                return self.place, self.key
            case int() as index:
                return Place(self.place, index), self.key
            case name:
                return Place(self.place, name), name

    def next(self) -> None:
        if isinstance(self.step, int):
            self.step += 1


def _is_json(text: str) -> bool:
    """Is it an object or an array?"""
    if text.lstrip(" \t\r\n")[:1] not in ("{", "["):
        return False
    try:
        _json.decode(text)
    except UNREADABLE:
        return False
    return True


def _as_it_is(start: int, stop: int) -> tuple[int, int]:
    return start, stop


def _shifted(lift: Lift, by: int) -> Lift:
    return lambda start, stop: lift(start + by, stop + by)


def _unlifted(lift: Lift, by: int, raw: str) -> Lift:
    """From a decoded string, whose `raw` form begins at `by`, up to the text around it."""
    if "\\" not in raw:
        return _shifted(lift, by)
    before: list[int] = []
    extra: list[int] = [0]

    def up(start: int, stop: int) -> tuple[int, int]:
        if len(extra) == 1:  # asked for the first time
            shrinks = [(at.start(), at.end() - at.start() - 1) for at in _ESCAPE.finditer(raw)]
            extra.extend(accumulate(more for _, more in shrinks))
            before.extend(at - less for (at, _), less in zip(shrinks, extra, strict=False))
        first, last = (by + index + extra[bisect_left(before, index)] for index in (start, stop))
        return lift(first, last)

    return up


def _unescaped(found: re.Match[str]) -> str:
    escape = found[0]
    if escape[1] != "u":
        return _SHORT.get(escape[1], escape[1])
    if len(escape) == _PAIR:
        high, low = int(escape[2:6], 16), int(escape[8:], 16)
        return chr(0x10000 + ((high & 0x3FF) << 10) + (low & 0x3FF))
    digits = escape[2:]
    return chr(int(digits, 16))


def _below(path: str, key: str) -> str:
    step = f".{key}" if _PLAIN_KEY.fullmatch(key) else f"[{msgspec.json.encode(key).decode()}]"
    return f"{path.removesuffix('.')}{step}" if step[0] == "." else f"{path}{step}"

"""Compares two runs by meaning, up to the first event that differs.

What two good runs never share is left out or made the same: times, timers, ports, session ids, the
model's own ids, token counts, and the pieces in which words came.

Much in a run happens side by side, and in which order is chance. So events are compared in *lanes*,
within which order means something: what is said with the model, what happens to a server outside of
calls, each tool call with its messages, and the run itself. The first difference is that of the
lane that differs first in the first run.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import zip_longest

import msgspec

from pipeline.core.codec import Entry, Header
from pipeline.core.commands import Item
from pipeline.core.difference import describe, is_same
from pipeline.core.meaning import Meaning, Reader

_CONTEXT = 4


class Recorded(msgspec.Struct, frozen=True):
    """A run to compare; `entries` may be called more than once."""

    header: Header
    entries: Callable[[], Iterable[Entry]]


class Divergence(msgspec.Struct, frozen=True, kw_only=True):
    """Where two runs part: the entries as recorded, None where there is none, and what differs.

    `before` are the last entries of the first run that mean the same in both; `text` is as
    `difference.describe` writes it, of the meanings; the first run is A, the other one B.
    """

    lane: str
    one: Entry | None
    other: Entry | None
    text: str
    before: tuple[Entry, ...] = ()


class Comparison(msgspec.Struct, frozen=True):
    """`same` counts the events that mean the same, up to the divergence if there is one."""

    same: int
    divergence: Divergence | None = None


def compare(one: Recorded, other: Recorded) -> Comparison:
    """Two runs, event by event."""
    first, second = list(_meanings(one)), list(_meanings(other))
    lanes, others = _by_lane(first), _by_lane(second)
    found = [
        each
        for lane in dict.fromkeys((*lanes, *others))
        if (each := _parting(lanes.get(lane, []), others.get(lane, []))) is not None
    ]
    if not found:
        return Comparison(len(first))
    mine, theirs = min(found, key=_place)
    at = _place((mine, theirs))
    same = [meaning for meaning in first if meaning.entry.seq < at]
    return Comparison(len(same), _divergence(mine, theirs, same[-_CONTEXT:]))


def _meanings(run: Recorded) -> Iterator[Meaning]:
    reader = Reader(run.header)
    for entry in run.entries():
        reader.learn(entry.item)
    for entry in run.entries():
        meaning = reader.read(entry)
        if meaning is not None:
            yield meaning


def _by_lane(meanings: Iterable[Meaning]) -> dict[str, list[Meaning]]:
    lanes: dict[str, list[Meaning]] = {}
    for meaning in meanings:
        lanes.setdefault(meaning.lane, []).append(meaning)
    return lanes


_Pair = tuple[Meaning | None, Meaning | None]


def _parting(one: list[Meaning], other: list[Meaning]) -> _Pair | None:
    for mine, theirs in zip_longest(one, other):
        if mine is None or theirs is None or not is_same(mine.item, theirs.item):
            return mine, theirs
    return None


def _place(pair: _Pair) -> int:
    """Where it is in the first run; what the first run lacks has its place in the second."""
    mine, theirs = pair
    meaning = theirs if mine is None else mine
    assert meaning is not None, "a pair has at least one"
    return meaning.entry.seq


def _divergence(mine: Meaning | None, theirs: Meaning | None, before: list[Meaning]) -> Divergence:
    meaning = theirs if mine is None else mine
    assert meaning is not None, "a pair has at least one"
    return Divergence(
        lane=meaning.lane,
        one=_entry(mine),
        other=_entry(theirs),
        text=describe(_item(mine), _item(theirs), ("in A", "in B")),
        before=tuple(each.entry for each in before),
    )


def _entry(meaning: Meaning | None) -> Entry | None:
    return None if meaning is None else meaning.entry


def _item(meaning: Meaning | None) -> Item | None:
    return None if meaning is None else meaning.item

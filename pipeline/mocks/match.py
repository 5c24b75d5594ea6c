"""Finds among what was recorded what a request means, and says in words what comes closest.

Two requests mean the same if they are equal as JSON: the order of keys does not count, and `2` is
`2.0`, but `1` is not `true`. A meaning is a JSON object; whoever asks decides what belongs in it.
"""

from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from typing import Any, Generic, TypeVar

import msgspec

from pipeline.core.difference import NOTHING, differences
from pipeline.core.events import Json
from pipeline.core.jsonrpc import shorten
from pipeline.core.shapes import is_list, is_object

T = TypeVar("T")

_SHOWN = 5  # differences in one report
_LINE = 300  # characters of a request in a report
_VALUE = 80
_BEFORE = 15  # equal characters that are shown before the place where two texts part
_COMPARED = 500  # characters in which likeness is looked for: it takes quadratic time


class Miss(msgspec.Struct, frozen=True, kw_only=True):
    """A request that the recording does not answer; `str()` is the report.

    `closest` is the recorded request that is most like it, empty where none was recorded.
    """

    asked: str
    closest: str = ""
    differences: tuple[str, ...] = ()
    note: str = ""

    def __str__(self) -> str:
        found = self.closest or "nothing of the kind is recorded"
        lines = [f"asked:   {self.asked}", f"closest: {found}"]
        lines += [f"differs: {difference}" for difference in self.differences]
        return "\n".join([*lines, f"note:    {self.note}"] if self.note else lines)

    @property
    def line(self) -> str:
        """The report on one line, for an answer over the wire."""
        if not self.closest:
            return f"the recording holds nothing like {self.asked}"
        differs = "; ".join(self.differences)
        return f"not in the recording: {self.asked}; the closest is {self.closest}; {differs}"


class Shelf(Generic[T]):
    """Recorded answers by what was asked.

    Those of one meaning are given in the order they were put here; the last one is given again as
    often as it is asked for. `words` writes a meaning down for reports; `leading` names the keys
    whose difference weighs more than any number of others.
    """

    def __init__(self, words: Callable[[Json], str], *, leading: Sequence[str] = ()) -> None:
        self._words = words
        self._leading = leading
        self._slots: dict[bytes, _Slot[T]] = {}
        self._order: list[tuple[_Slot[T], int]] = []

    def put(self, meaning: Json, answer: T) -> None:
        """Add an answer behind those of the same meaning."""
        slot = self._slots.setdefault(_key(meaning), _Slot(meaning))
        slot.answers.append(answer)
        self._order.append((slot, len(slot.answers)))

    def take(self, meaning: Json) -> T | None:
        """The next answer of that meaning; None if there is none."""
        slot = self._slots.get(_key(meaning))
        if slot is None:
            return None
        slot.given += 1
        return slot.answers[min(slot.given, len(slot.answers)) - 1]

    def miss(self, asked: Json, note: str = "") -> Miss:
        """Why `take` had nothing for this: the closest of what is here, and what differs."""
        if not self._slots:
            return Miss(asked=self._words(asked), note=note)
        closest = min((slot.meaning for slot in self._slots.values()), key=self._distance(asked))
        found = [_words(*place) for place in differences(asked, closest)]
        more = [f"and {len(found) - _SHOWN} more places"] if len(found) > _SHOWN else []
        return Miss(
            asked=self._words(asked),
            closest=self._words(closest),
            differences=(*found[:_SHOWN], *more),
            note=note,
        )

    @property
    def unused(self) -> tuple[str, ...]:
        """What was recorded and never asked for, in words, in the order it was put here."""
        return tuple(self._words(slot.meaning) for slot, nth in self._order if slot.given < nth)

    def _distance(self, asked: Json) -> Callable[[Json], tuple[int, int, float]]:
        text = _text(asked)[:_COMPARED]

        def distance(other: Json) -> tuple[int, int, float]:
            leading = sum(asked.get(key) != other.get(key) for key in self._leading)
            likeness = SequenceMatcher(None, text, _text(other)[:_COMPARED]).ratio()
            return leading, len(list(differences(asked, other))), -likeness

        return distance


def compact(value: Any) -> str:
    """JSON on one line, not too long to read."""
    return shorten(msgspec.json.encode(value).decode(), _LINE)


class _Slot(Generic[T]):
    """The answers to one meaning, and how many were given."""

    def __init__(self, meaning: Json) -> None:
        self.meaning = meaning
        self.answers: list[T] = []
        self.given = 0


def _words(path: str, asked: Any, recorded: Any) -> str:
    if isinstance(asked, str) and isinstance(recorded, str):
        return _of_texts(path, asked, recorded)
    return f"{path}: asked {_shown(asked)}, recorded {_shown(recorded)}"


def _of_texts(path: str, asked: str, recorded: str) -> str:
    """Two texts from where they part."""
    pairs = enumerate(zip(asked, recorded, strict=False))
    at = next((i for i, (a, b) in pairs if a != b), min(len(asked), len(recorded)))
    start = max(0, at - _BEFORE)
    if max(len(asked), len(recorded)) <= _VALUE:
        start = 0
    where = f" from character {start}" if start else ""
    return f"{path}{where}: asked {_shown(asked[start:])}, recorded {_shown(recorded[start:])}"


def _shown(value: Any) -> str:
    return "nothing" if value is NOTHING else shorten(_text(value), _VALUE)


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _key(value: Any) -> bytes:
    return msgspec.json.encode(_plain(value), order="deterministic")


def _plain(value: Any) -> Any:
    if is_object(value):
        return {key: _plain(member) for key, member in value.items()}
    if is_list(value):
        return [_plain(member) for member in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value

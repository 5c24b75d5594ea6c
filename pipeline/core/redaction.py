"""Takes secrets out of the lines of a recording, and changes nothing else.

All lines are read twice (`study`) before the first one is cleaned: a secret may stand in lines
before the one that shows it to be one, and a text in pieces is known only at its end.

A secret is replaced wherever it stands: in inputs and outcomes, and in JSON inside of strings. Only
one that is a plain word, or very short, is replaced just where it shows as a secret:
`{"secret": "production"}` says nothing about the other places of that word.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from pipeline.core.json_leaves import TOP, Leaf, leaves, strings
from pipeline.core.known_values import SHORTEST, KnownValues
from pipeline.core.pieces import Head, Pieces, Streamed, head_of
from pipeline.core.secrets import PLACEHOLDER, is_random, merged, placeholder, secret_spans

_SHORTEST_WITH_DIGITS = 5
_PLAIN_WORDS = re.compile(r"[a-z]+(?:[-_ /][a-z]+)*")
_OURS = ("kind", "at")


class Why(NamedTuple):
    """Why something is a secret: its `kind` stands in the placeholder, `rule` is for people."""

    kind: str
    rule: str


class Finder(NamedTuple):
    """One more way to find secrets in a text: begin and end of each."""

    why: Why
    find: Callable[[str], Iterable[tuple[int, int]]]


class Edit(NamedTuple):
    """What stands in a text from `start` to `stop` becomes `new`."""

    start: int
    stop: int
    new: str


class Taken(NamedTuple):
    """A secret that was taken out, without the secret itself. `length` is in characters.

    `is_weak`: it could be guessed by trying, if there were something to hold a guess against.
    """

    placeholder: str
    why: Why
    length: int
    is_weak: bool


def edited(text: str, edits: Iterable[Edit]) -> str:
    """The text with all edits made; they come in order, and none overlaps."""
    parts: list[str] = []
    at = 0
    for start, stop, new in edits:
        parts += (text[at:start], new)
        at = stop
    return "".join((*parts, text[at:]))


class Redactor:
    """`known` are values that are secret wherever they stand; `finders` add to the usual rules."""

    def __init__(self, known: Mapping[str, Why], finders: Sequence[Finder] = ()) -> None:
        self._given = frozenset(known)
        self._why = dict(known)
        self._finders = finders
        self._known = KnownValues(known)
        self._lines: set[int] = set()
        self._joined: dict[int, list[Edit]] = {}
        self._rests: dict[int, list[str]] = {}
        self._numbers: dict[str, int] = {}
        self._taken: dict[str, Taken] = {}

    @property
    def taken(self) -> list[Taken]:
        """What was taken out so far."""
        return list(self._taken.values())

    def study(self, lines: Callable[[], Iterable[str]]) -> None:
        """Find the secrets. `lines` gives all lines anew each time, the first one is number 1."""
        pieces = Pieces()
        for number, line in enumerate(lines(), 1):
            head = head_of(line)
            if self._learn(_leaves_of(line, head)):
                self._lines.add(number)
            for streamed in pieces.read(number, head):
                self._learn(leaves(streamed.text))
            # Placeholders of an earlier time stay, so ours go on counting.
            for kind, count in PLACEHOLDER.findall(line):
                self._numbers[kind] = max(self._numbers.get(kind, 0), int(count))
        for streamed in pieces.end():
            self._learn(leaves(streamed.text))
        self._known = KnownValues(
            value for value in self._why if value in self._given or _is_distinctive(value)
        )
        for number, line in enumerate(lines(), 1):
            for streamed in pieces.read(number, head_of(line)):
                self._join(streamed)
        for streamed in pieces.end():
            self._join(streamed)

    def rests(self, number: int) -> list[str]:
        """The placeholders of secrets whose rest a line lost: an earlier piece has them."""
        return self._rests.get(number, [])

    def clean(self, line: str, number: int | None = None) -> str:
        """The line without its secrets; one without a number was not there to be studied."""
        edits = []
        if number is None or number in self._lines or self._known.may_be_in(line):
            edits = self._edits(_leaves_of(line, head_of(line)))
        if pieces := self._joined.get(number or 0):
            lift = _piece_of(line).lift
            edits += [Edit(*lift(start, stop), new) for start, stop, new in pieces]
        return edited(line, sorted(edits)) if edits else line

    def _learn(self, found: Iterable[Leaf]) -> bool:
        """Note the secrets that show as such; are there any?"""
        is_any = False
        for leaf in found:
            for start, stop, why in self._spans(leaf):
                self._why.setdefault(leaf.text[start:stop], why)
                is_any = True
        return is_any

    def _spans(self, leaf: Leaf) -> Iterator[tuple[int, int, Why]]:
        for start, stop, rule in secret_spans(leaf.key, leaf.text):
            yield start, stop, Why(rule, rule)
        for why, find in self._finders:
            yield from ((start, stop, why) for start, stop in find(leaf.text) if start < stop)

    def _edits(self, found: Iterable[Leaf]) -> list[Edit]:
        """What becomes of these leaves, in the order and in the places of the whole text."""
        edits: list[Edit] = []
        for leaf in found:
            text = leaf.text
            values = {(start, stop): value for start, stop, value in self._known.find(text)}
            spans = [*self._spans(leaf), *((*at, self._why[it]) for at, it in values.items())]
            for start, stop, why in merged(spans):
                # Where two overlap, the two together are one more secret.
                value = values.get((start, stop), text[start:stop])
                edits.append(Edit(*leaf.lift(start, stop), self._placeholder(value, why)))
        return edits

    def _join(self, streamed: Streamed) -> None:
        for start, stop, new in self._edits(leaves(streamed.text)):
            for count, (line, first, last) in enumerate(streamed.cut(start, stop)):
                edit = Edit(first, last, "" if count else new)
                self._joined.setdefault(line, []).append(edit)
                if count:
                    self._rests.setdefault(line, []).append(new)

    def _placeholder(self, value: str, why: Why) -> str:
        if value not in self._taken:
            why = self._why.get(value, why)
            self._numbers[why.kind] = self._numbers.get(why.kind, 0) + 1
            new = placeholder(why.kind, self._numbers[why.kind])
            self._taken[value] = Taken(new, why, len(value), not is_random(value))
        return self._taken[value].placeholder


def _leaves_of(line: str, head: Head) -> Iterator[Leaf]:
    """What may hold a secret in a line; a piece is looked at with the others of its text."""
    found = strings(line) if head.is_piece else leaves(line)
    for leaf in found:
        place = leaf.place
        is_ours = place.above is TOP and (place.is_filter or place.step in _OURS)
        if not is_ours and not (head.is_piece and place.path() == ".text"):
            yield leaf


def _piece_of(line: str) -> Leaf:
    return next(leaf for leaf in strings(line) if leaf.place.path() == ".text")


def _is_distinctive(value: str) -> bool:
    """Is it so unlike any other word that it is the same secret wherever it stands?"""
    if _PLAIN_WORDS.fullmatch(value):
        return False
    has_digits = re.search(r"\d", value) is not None and re.search(r"[^\W\d]", value) is not None
    return len(value) >= (_SHORTEST_WITH_DIGITS if has_digits else SHORTEST)

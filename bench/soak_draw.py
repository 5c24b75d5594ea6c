"""What the turns of a chat of the soak are: drawn from a seed, the same each time."""

import itertools
import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from bench.soak_checks import Wish
from bench.soak_faults import FAULTS, HINDRANCES
from tests.faults.dialects import DIALECTS, Dialect

TURNS, LONG = 25, 100  # of a chat; and of a long one
HTTP = DIALECTS
_LONG_EACH, _LONG_AT = 10, 2
_MOST_CALLS = 5  # of one turn
_IS_FAULTY, _IS_HINDERED = 0.4, 0.25


class Turn(NamedTuple):
    """What a person asks for, and what goes wrong beside it.

    `hindrance` is a dialect and what befalls the next message there that is no call.
    """

    wishes: Sequence[Wish]
    hindrance: tuple[Dialect, str] | None = None

    @property
    def words(self) -> str:
        """As a person types it."""
        return " ; ".join(wish.words for wish in self.wishes)


def turns_of(chat: int) -> int:
    """How many turns the n-th chat of a seed has: the second is long, and each tenth after it."""
    return LONG if chat % _LONG_EACH == _LONG_AT else TURNS


def draw(seed: int, chat: int, count: int | None = None) -> Iterator[Turn]:
    """The turns of a chat; each call of them has a number of its own."""
    chance = random.Random(f"{seed}/{chat}")
    numbers = itertools.count(1)
    for _ in range(turns_of(chat) if count is None else count):
        wishes = [_wish(chance, next(numbers)) for _ in range(chance.randint(1, _MOST_CALLS))]
        hindrance = None
        if chance.random() < _IS_HINDERED:
            hindrance = chance.choice(HTTP), chance.choice(tuple(HINDRANCES))
        yield Turn(wishes, hindrance)


def _wish(chance: random.Random, n: int) -> Wish:
    server = chance.choice(tuple(FAULTS))
    fault = chance.choice(FAULTS[server]) if chance.random() < _IS_FAULTY else ""
    return Wish(server, chance.choice(("act", "look")), n, fault)

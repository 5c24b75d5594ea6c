"""Words about recordings to checked values: faults, patterns, sizes, paces.

Each reader raises `ValueError` with words that say what was found and what is expected.
"""

import re
from typing import Literal

from config.flags import shown
from config.lists import read_each
from config.options import Options

FaultKind = Literal["drop", "delay", "500", "404", "duplicate", "silence"]

_LONGEST_PATTERN = 1000
_FAULT = re.compile(
    r"(?P<kind>drop|500|404|duplicate|silence|delay(?=:))(?::(?P<seconds>\d{1,6}(?:\.\d{1,3})?))?"
    r"@(?P<at>[1-9]\d{0,11})",
    re.ASCII,
)


class FaultWish(Options):
    """A bend of a recording at event `at`; only `delay` has `seconds`. `str()`: how it is said."""

    kind: FaultKind
    at: int
    seconds: float = 0.0

    def __str__(self) -> str:
        seconds = f":{self.seconds:.9g}" if self.kind == "delay" else ""
        return f"{self.kind}{seconds}@{self.at}"


def read_faults(words: object) -> object:
    """A list of faults, `KIND@N` or `delay:SECONDS@N`, no two the same."""
    return read_each(words, _fault, "the same fault")


def read_patterns(words: object) -> object:
    """A list of regular expressions; none is quoted in an error, for it may hold a secret."""
    return read_each(words, _pattern)


def _fault(word: str) -> FaultWish:
    found = _FAULT.fullmatch(word)
    if found is None or (found["seconds"] is not None) != (found["kind"] == "delay"):
        raise ValueError(
            f"found {shown(word)}, expected drop@N, delay:SECONDS@N, 500@N, 404@N, duplicate@N or "
            "silence@N, N being the number of an event"
        )
    return FaultWish.model_validate(
        {"kind": found["kind"], "at": int(found["at"]), "seconds": float(found["seconds"] or 0)}
    )


def _pattern(word: str) -> str:
    if len(word) > _LONGEST_PATTERN:
        raise ValueError(
            f"found a pattern of {len(word)} characters, expected {_LONGEST_PATTERN} at most"
        )
    try:
        re.compile(word)
    except (re.error, RecursionError, OverflowError) as exc:
        reason = exc.msg if isinstance(exc, re.error) else "it is too large"
        raise ValueError(f"found no regular expression as Python has them: {reason}") from None
    return word


def read_speed(word: object) -> object:
    """A number, or `max` for as fast as it goes (None)."""
    return None if word == "max" else word

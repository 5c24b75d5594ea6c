"""Sizes in bytes, as people write them."""

import re

from config.flags import shown

_SIZE = re.compile(r"(?P<count>\d{1,12}(?:\.\d{1,3})?) ?(?P<unit>[A-Za-z]{0,3})", re.ASCII)
_UNITS = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
}


def read_size(word: object) -> object:
    """A size such as `64MiB` in bytes; a number passes.

    Raises:
        ValueError: For any other text.
    """
    return _bytes(word, "") if isinstance(word, str) else word


def read_size_or_never(word: object) -> object:
    """The same, and `never` as None."""
    if not isinstance(word, str):
        return word
    return None if word.strip().lower() == "never" else _bytes(word, "never, ")


def shown_size(size: int) -> str:
    """A size as `read_size` takes it, in the largest unit that it is a whole number of."""
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size)


def _bytes(word: str, also: str) -> int:
    found = _SIZE.fullmatch(word.strip())
    unit = _UNITS.get(found["unit"].lower()) if found is not None else None
    if found is None or unit is None:
        raise ValueError(
            f"found {shown(word)}, expected {also}a number of bytes, or one with a unit: KiB, "
            "MiB, GiB (1024), kB, MB, GB (1000)"
        )
    return int(float(found["count"]) * unit)

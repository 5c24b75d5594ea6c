"""What the files of a recording are called that has grown too large for one.

`run.jsonl` is the one that is written to. Older parts stand beside it, numbered from 1:
`run.0001.jsonl`, `run.0002.jsonl`, maybe compressed: `run.0001.jsonl.zst`. A shell sorts them, and
`run.jsonl` behind them, as they were written.
"""

import re

COMPRESSED = {".gz": "gzip", ".zst": "zstd"}
"""How a file is compressed, by the end of its name."""

_LONGEST = 9  # digits


def part_name(name: str, number: int) -> str:
    """`run.jsonl` and 3 make `run.0003.jsonl`; a name without an ending gets the number behind."""
    stem, ending = _split(name)
    return f"{stem}.{number:04}{ending}"


def part_number(name: str, other: str) -> int | None:
    """Which part of the recording `name` the file `other` is, compressed or not; None: no part."""
    stem, ending = _split(name)
    pattern = rf"{re.escape(stem)}\.(\d{{4,{_LONGEST}}}){re.escape(ending)}(?:\.gz|\.zst)?"
    found = re.fullmatch(pattern, other, re.ASCII | re.DOTALL)
    return None if found is None or int(found[1]) == 0 else int(found[1])


def recording_name(name: str, number: int) -> str | None:
    """`run.0003.jsonl` and 3 make `run.jsonl`; None for a name that does not have the number."""
    stem, ending = _split(name)
    digits = f".{number:04}"
    wholes = (stem.removesuffix(digits) + ending, name.removesuffix(digits))
    return next((whole for whole in wholes if part_name(whole, number) == name), None)


def uncompressed(name: str) -> str:
    """The name without what compression has put behind it."""
    for ending in COMPRESSED:
        if name.endswith(ending):
            return name.removesuffix(ending)
    return name


def _split(name: str) -> tuple[str, str]:
    """The name and its ending with the dot; a dot in front begins no ending."""
    stem, dot, ending = name.rpartition(".")
    return (stem, dot + ending) if stem else (name, "")

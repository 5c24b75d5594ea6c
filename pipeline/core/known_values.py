r"""Finds values that are known to be secret, however they are written.

A value is found as it is, as it looks in a URL, and as JSON escapes it in a text that is no JSON
as a whole; where a text is JSON, `json_leaves` has undone its escapes. Before any of that, a look
at the raw text tells most texts that hold nothing: it costs a search or two for plain letters.
"""

import json
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

SHORTEST = 8
"""Hiding shorter words would eat into ordinary text, and tell what they were."""

# What every encoder leaves as it is, be it of JSON or of URLs; `<>&'+/` are escaped by some.
_PLAIN_RUN = re.compile(r"[A-Za-z0-9_.~-]+")
_NOTHING = r"(?!)"
# An escaped letter, digit or plain sign. No encoder in use writes one, so it is odd enough to look.
_ODD_ESCAPE = re.compile(r"\\u00(?:2[deDE]|3[0-9]|[46][1-9a-fA-F]|[57][0-9aA]|5[fF]|7[eE])")


class KnownValues:
    """A set of values, as they were given: none is ever told in a text of ours."""

    def __init__(self, values: Iterable[str]) -> None:
        given = [value for value in dict.fromkeys(values) if value]
        self._values = {form: value for value in given for form in _forms(value)}
        self._values |= {value: value for value in given}
        self._needles = tuple(dict.fromkeys(_needle(value) for value in given))
        # Longest first, so that finding a part does not save the rest.
        forms = sorted(self._values, key=lambda form: (-len(form), form))
        self._pattern = re.compile("|".join(_bounded(form) for form in forms) or _NOTHING)
        self._begins = frozenset(form[:size] for form in forms for size in range(1, len(form)))
        self._longest = max(map(len, self._begins), default=0)
        firsts = "".join(re.escape(form[0]) for form in forms)
        self._first = re.compile(f"[{firsts}]" if firsts else _NOTHING)

    def may_be_in(self, raw: str) -> bool:
        """False: none of them is in this text, nor in the JSON that it is, nor in JSON inside."""
        for needle in self._needles:
            if needle in raw:
                return True
        return "\\u00" in raw and bool(self._needles) and _ODD_ESCAPE.search(raw) is not None

    def find(self, text: str) -> list[tuple[int, int, str]]:
        """Begin, end and value of each in a text whose escapes are undone; none overlaps."""
        return [(*found.span(), self._values[found[0]]) for found in self._pattern.finditer(text)]

    def held_back(self, text: str) -> int:
        """How many characters at the end of a text may be the beginning of a value."""
        tail = text[-self._longest :] if self._longest else ""
        for found in self._first.finditer(tail):
            if tail[found.start() :] in self._begins:
                return len(tail) - found.start()
        return 0


def _forms(value: str) -> set[str]:
    escaped = [json.dumps(value, ensure_ascii=is_ascii)[1:-1] for is_ascii in (True, False)]
    octets = value.encode("utf-8", "surrogatepass")
    quoted = [quote(octets, safe=""), quote(octets), quote_plus(octets)]
    lower = [re.sub("%..", lambda found: found[0].lower(), form) for form in quoted]
    return {value, *quoted, *lower, *escaped, *(form.replace("/", r"\/") for form in escaped)}


def _needle(value: str) -> str:
    """The longest run of letters that stand in a text wherever the value does."""
    return max(_PLAIN_RUN.findall(value), key=len, default="")


def _bounded(form: str) -> str:
    """A short value must stand as a word of its own."""
    word = re.escape(form)
    return word if len(form) >= SHORTEST else rf"(?<![A-Za-z0-9]){word}(?![A-Za-z0-9])"

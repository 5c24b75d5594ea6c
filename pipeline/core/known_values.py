r"""Finds values that are known to be secret, however they are written.

A value is found as it is, as it looks in a URL, in Base64 (so in a file that a server sends as a
blob: all but the few bits at its ends that it shares with its neighbours), and as JSON escapes it
in a text that is no JSON as a whole; where a text is JSON, `json_leaves` has undone its escapes.
Before any of that, a look at the raw text tells most texts that hold nothing: it costs a few
searches for plain letters.
"""

import json
import re
from base64 import b64encode
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

SHORTEST = 8
"""Hiding shorter words would eat into ordinary text, and tell what they were."""

# What every encoder leaves as it is, be it of JSON or of URLs; `<>&'+/` are escaped by some.
_PLAIN_RUN = re.compile(r"[A-Za-z0-9_.~-]+")
_BASE64_RUN = re.compile(r"[A-Za-z0-9]+")  # what both alphabets of RFC 4648 have
_TO_URL_SAFE = str.maketrans("+/", "-_")
_NOTHING = r"(?!)"
_HEAD = 24  # characters by which a search finds a form: whole tokens take long to compile
# An escaped letter, digit or plain sign. No encoder in use writes one, so it is odd enough to look.
_ODD_ESCAPE = re.compile(r"\\u00(?:2[deDE]|3[0-9]|[46][1-9a-fA-F]|[57][0-9aA]|5[fF]|7[eE])")


class KnownValues:
    """A set of values, as they were given: none is ever told in a text of ours."""

    def __init__(self, values: Iterable[str]) -> None:
        given = [value for value in dict.fromkeys(values) if value]
        self._values = {form: value for value in given for form in _forms(value)}
        self._values |= {value: value for value in given}
        needles = (needle for value in given for needle in _needles(value))
        self._needles = tuple(dict.fromkeys(needles))
        # Longest first, so that finding a part does not save the rest.
        forms = sorted(self._values, key=lambda form: (-len(form), form))
        self._forms = forms
        heads = dict.fromkeys(re.escape(form[:_HEAD]) for form in forms)
        self._head = re.compile("|".join(heads) or _NOTHING)
        self._sorted = sorted(forms)
        self._longest = max(map(len, forms), default=1) - 1
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
        found: list[tuple[int, int, str]] = []
        at = 0
        while (head := self._head.search(text, at)) is not None:
            start = head.start()
            form = next((form for form in self._forms if _stands(form, text, start)), "")
            at = start + (len(form) or 1)
            if form:
                found.append((start, at, self._values[form]))
        return found

    def held_back(self, text: str) -> int:
        """How many characters at the end of a text may be the beginning of a value."""
        tail = text[-self._longest :] if self._longest else ""
        for found in self._first.finditer(tail):
            if self._is_begin(tail[found.start() :]):
                return len(tail) - found.start()
        return 0

    def _is_begin(self, text: str) -> bool:
        """In order, what begins with a text and goes on comes right behind it."""
        at = bisect_right(self._sorted, text)
        return at < len(self._sorted) and self._sorted[at].startswith(text)


def _forms(value: str) -> set[str]:
    escaped = [json.dumps(value, ensure_ascii=is_ascii)[1:-1] for is_ascii in (True, False)]
    octets = value.encode("utf-8", "surrogatepass")
    quoted = [quote(octets, safe=""), quote(octets), quote_plus(octets)]
    lower = [re.sub("%..", lambda found: found[0].lower(), form) for form in quoted]
    escaped += [form.replace("/", r"\/") for form in escaped]
    coded = [form for each in _base64(octets) for form in (each, each.translate(_TO_URL_SAFE))]
    return {value, *quoted, *lower, *escaped, *coded}


def _base64(octets: bytes) -> Iterator[str]:
    """What stands in Base64 wherever these octets do, by where in three octets they begin."""
    if len(octets) < SHORTEST:
        return
    for ahead in range(3):
        text = b64encode(bytes(ahead) + octets).decode()
        # Six bits a letter; those that hold bits of a neighbour, too, are left out.
        yield text[-(-8 * ahead // 6) : 8 * (ahead + len(octets)) // 6]


def _needles(value: str) -> Iterator[str]:
    """Runs of letters one of which stands in a text wherever the value does, however written."""
    yield max(_PLAIN_RUN.findall(value), key=len, default="")
    for form in _base64(value.encode("utf-8", "surrogatepass")):
        yield max(_BASE64_RUN.findall(form), key=len, default="")


def _stands(form: str, text: str, at: int) -> bool:
    """Is it there? A short value must stand as a word of its own."""
    if not text.startswith(form, at):
        return False
    end = at + len(form)
    neighbours = text[max(0, at - 1) : at], text[end : end + 1]
    return len(form) >= SHORTEST or not any(
        each.isascii() and each.isalnum() for each in neighbours
    )

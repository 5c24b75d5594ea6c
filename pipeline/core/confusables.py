"""Names that look alike: a tool of one server in the guise of another's.

`skeleton` is what is left of a name when nobody looks closely: letters of other scripts become the
Latin ones that they are drawn like, case, accents, separators and unseen characters go. It is made
of Unicode's compatibility forms, and of those pairs of UTS 39 (confusables) that common fonts draw
the same, for the letters and digits that names of tools have.
"""

import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence

from config.unseen import UNSEEN
from pipeline.core.events import Tool

# By the Latin letter: those that are drawn like it, as `casefold` leaves them (Cyrillic, Greek,
# Armenian, and rare Latin ones). Written as numbers, for a reader could not tell them apart.
_ALIKE = {
    "a": "\u0430\u03b1\u0251",
    "b": "\u0432\u03b2\ua7b5",
    "c": "\u0441",
    "d": "\u0501",
    "e": "\u0435\u03b5",
    "g": "\u0581\u0261",
    "h": "\u04bb\u043d\u0570",
    "i": "\u0456\u03b9\u0269\u0131\u026a",
    "j": "\u0458",
    "k": "\u043a\u03ba",
    "l": "\u04cf\u029f\u01c0",
    "m": "\u043c",
    "n": "\u03b7\u0578",
    "o": "\u043e\u03bf\u0585\u1d0f",
    "p": "\u0440\u03c1",
    "q": "\u051b\u0566",
    "r": "\u0433",
    "s": "\u0455",
    "t": "\u0442\u03c4",
    "u": "\u03c5\u03bc\u057d",
    "v": "\u03bd\u0475\u028b",
    "w": "\u051d\u03c9",
    "x": "\u0445\u03c7",
    "y": "\u0443\u03b3",
}
_TO_LATIN = {ord(sign): latin for latin, signs in _ALIKE.items() for sign in signs}
_TO_ONE = str.maketrans("015i", "olsl")  # and these, within Latin
_SIGNS = re.compile(r"[\W_]+")


def skeleton(name: str) -> str:
    """What a name looks like at a glance; two that may be taken for each other have the same."""
    text = unicodedata.normalize("NFKD", UNSEEN.sub("", name)).casefold()
    text = "".join(char for char in text if not unicodedata.combining(char))
    text = text.translate(_TO_LATIN).translate(_TO_ONE).replace("rn", "m").replace("vv", "w")
    return _SIGNS.sub("", text) or name


def confused(
    added: Collection[str], tools: Iterable[Tool], others: Sequence[Tool]
) -> list[tuple[Tool, Tool]]:
    """New tools of a server, each with one that it may be taken for, if there is such a one.

    `added` are their names; `tools` all of that server's, `others` those of all other servers.
    """
    known: dict[str, Tool] = {}
    for tool in others:
        known.setdefault(skeleton(tool.name), tool)
    pairs: list[tuple[Tool, Tool]] = []
    new = frozenset(added)
    own = list(tools)
    # What was there before comes first: it is the new one that is told.
    for tool in (*(t for t in own if t.name not in new), *(t for t in own if t.name in new)):
        like = known.setdefault(skeleton(tool.name), tool)
        if like is not tool and tool.name in new:
            pairs.append((tool, like))
    return pairs

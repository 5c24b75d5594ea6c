r"""Foreign text for the eyes of a person: what could drive a terminal is shown, not obeyed.

Everything that a server, a model or a user wrote passes here before it is displayed. `harmless`
escapes what `config.unseen` lists, so carriage returns, too, but no newlines and tabs. ESC is shown
as the four characters `\x1b`, others as `\u202e` or `\U000e0041`. A backslash is not doubled: this
is for reading, and the recording has the exact text.
"""

import unicodedata

from config.unseen import harmless

_KB, _MB = 1000, 1_000_000
_BREAKS = str.maketrans({"\n": r"\n", "\t": r"\t"})


def one_line(text: str) -> str:
    r"""As `harmless`, and newlines and tabs are shown as `\n` and `\t`: it cannot forge a line."""
    return harmless(text).translate(_BREAKS)


def clip(text: str, limit: int) -> str:
    """At most `limit` characters of `text`; what is left out is counted: `… 3.2 KB more`."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}… {_size(text[limit:])} more"


def cells(text: str) -> int:
    """How wide a terminal shows a text."""
    return len(text) if text.isascii() else sum(map(_cell, text))


def fit(text: str, room: int) -> str:
    """The beginning of a text that takes no more than so many cells."""
    used = 0
    for at, char in enumerate(text):
        used += _cell(char)
        if used > room:
            return text[:at]
    return text


def _size(text: str) -> str:
    size = len(text.encode("utf-8", "surrogatepass"))
    if size < _KB:
        return f"{size} B"
    return f"{size / _KB:.1f} KB" if size < _MB else f"{size / _MB:.1f} MB"


def _cell(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1

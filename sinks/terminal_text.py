r"""Foreign text for the eyes of a person: what could drive a terminal is shown, not obeyed.

Everything that a server, a model or a user wrote passes here before it is displayed. Escaped are:

* controls: C0 except newline and tab (so also carriage return), DEL, C1;
* what changes the order of text: the bidirectional controls;
* what has no width: Unicode's Default_Ignorable_Code_Point (zero-width spaces and joiners, fillers,
  the tag block, …) except the variation selectors FE00 to FE0F, which ordinary emoji need;
* line and paragraph separators, annotation marks, and lone surrogates.

ESC is shown as the four characters `\x1b`, others as `\u202e` or `\U000e0041`. A backslash is not
doubled: this is for reading, and the recording has the exact text.
"""

import re
import unicodedata

_HARMFUL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    "\ud800-\udfff]"
)
_KB, _MB = 1000, 1_000_000
_BREAKS = str.maketrans({"\n": r"\n", "\t": r"\t"})


def harmless(text: str) -> str:
    """`text` with all that could drive or deceive a terminal escaped; newlines and tabs stay."""
    return _HARMFUL.sub(_escape, text)


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


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x100:  # noqa: PLR2004  two hex digits are enough
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"  # noqa: PLR2004  likewise


def _size(text: str) -> str:
    size = len(text.encode("utf-8", "surrogatepass"))
    if size < _KB:
        return f"{size} B"
    return f"{size / _KB:.1f} KB" if size < _MB else f"{size / _MB:.1f} MB"


def _cell(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1

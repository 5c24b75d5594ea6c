r"""Characters of a text that nobody sees, or that drive a terminal: where foreign text has to show.

* controls: C0 except newline and tab (so also carriage return), DEL, C1;
* what changes the order of text: the bidirectional controls;
* what has no width: Unicode's Default_Ignorable_Code_Point (zero-width spaces and joiners, fillers,
  the tag block, …) except the first of a run of variation selectors FE00 to FE0F, which ordinary
  emoji need;
* line and paragraph separators, annotation marks, and lone surrogates.
"""

import re

UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    "\ud800-\udfff]"
    "|(?<=[\ufe00-\ufe0f])[\ufe00-\ufe0f]"
)
_DEL = b"\x7f"


def escaped(character: str) -> str:
    r"""A character in plain letters: ESC is `\x1b`, others are as `\u202e` or `\U000e0041`."""
    code = ord(character)
    if code <= 0xFF:  # noqa: PLR2004  two hex digits are enough
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004  likewise


def harmless(text: str) -> str:
    """`text` with all that could drive or deceive a terminal escaped; newlines and tabs stay."""
    return UNSEEN.sub(lambda found: escaped(found[0]), text)


def harmless_json(line: bytes) -> bytes:
    r"""The same JSON with all of them as `\u009b`: harmless on a terminal, and equal to a program.

    What is JSON already has no C0 in it but for the newlines between its lines.
    """
    if line.isascii() and _DEL not in line:
        return line
    return UNSEEN.sub(lambda found: _as_json(found[0]), line.decode()).encode()


def _as_json(character: str) -> str:
    units = character.encode("utf-16-be")
    return "".join(
        f"\\u{high:02x}{low:02x}" for high, low in zip(units[::2], units[1::2], strict=True)
    )

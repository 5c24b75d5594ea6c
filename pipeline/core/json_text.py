r"""JSON as others write it: what is wrong in a part of it costs that part, and no more.

RFC 8259 leaves open what becomes of half a character (8.2) and of a name that comes twice (4). Here
a lone half of a surrogate pair, as JavaScript writes one for a text that was cut between the two,
becomes U+FFFD: an answer is worth more than one character of it. That holds for what is made of a
text; the text itself is recorded as it came, and `\ud800` in it is plain ASCII.
"""

import re
from collections.abc import Iterator
from typing import Any, Final, TypeVar

import msgspec

T = TypeVar("T")

UNREADABLE: Final = (msgspec.MsgspecError, UnicodeError, RecursionError)
"""What reading a foreign text may raise; all of it means that it is no JSON that we take."""

_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|(?P<lone>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_STRUCTURE = re.compile(r'"(?:[^"\\]++|\\.)*+"|[\[\]{},]', re.DOTALL)
_COLON = re.compile(r"\s*:")
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def without_halves(text: str) -> str:
    r"""The text with `\ufffd` for each lone half of a character, in a place of the same length."""
    return _ESCAPE.sub(_whole, text) if _HALF.search(text) else text


def read(text: str, decoder: "msgspec.json.Decoder[T]") -> T:
    """Decode a text, without lone halves if that is what it takes.

    Raises:
        msgspec.MsgspecError, UnicodeError, RecursionError: If it is no such JSON (`UNREADABLE`).
    """
    try:
        return decoder.decode(text)
    except msgspec.DecodeError:
        mended = without_halves(text)
        if mended == text:
            raise
    return decoder.decode(mended)


def read_any(text: str) -> Any:
    """Decode a text to plain values; raises as `read`."""
    return read(text, _anything)


_anything: "msgspec.json.Decoder[Any]" = msgspec.json.Decoder()


def parts_of(text: str) -> list[str] | None:
    """The members of a text that begins as an array, whatever each is; None if it does not end.

    For arrays that cannot be read as a whole, because one member is no JSON or nested too deep.
    """
    depth, start, found = 0, 0, list[str]()
    for token in _STRUCTURE.finditer(text):
        sign = token[0]
        if sign in ("[", "{"):
            depth += 1
            start = token.end() if depth == 1 else start
        elif sign in ("]", "}"):
            depth -= 1
            if depth <= 0:
                is_end = sign == "]" and not text[token.end() :].strip()
                return [*found, text[start : token.start()]] if is_end else None
        elif sign == "," and depth == 1:
            found.append(text[start : token.start()])
            start = token.end()
    return None


def repeated(text: str, names: tuple[str, ...]) -> str:
    """That of these members of an object which comes more than once; empty if none does.

    `text` can be read. Peers differ in which one counts (RFC 8259, 4), so that whoever looked at a
    message on its way may have seen another one than we would. Below the top the last one counts.
    """
    for name in names:  # a plain loop, and no text is made: each message passes here
        if text.count(name) > 1 and text.count(f'"{name}"') > 1:
            break
    else:
        return ""
    suspects = [name for name in names if text.count(f'"{name}"') > 1]
    values = [bytes(value) for value in read(text, _members).values()]
    for name in suspects:
        quoted = f'"{name}"'
        inside = sum(value.count(quoted.encode()) for value in values)
        # The others stand at the top, or in a value that was given up for a later one: a closer
        # look is slow, and nearly no message needs it.
        if text.count(quoted) - inside > 1:
            found = [key for key in _keys_of(text) if key in names]
            return next((key for key in found if found.count(key) > 1), "")
    return ""


def _keys_of(text: str) -> Iterator[str]:
    depth = 0
    for token in _STRUCTURE.finditer(text):
        sign = token[0]
        if sign in ("[", "{"):
            depth += 1
        elif sign in ("]", "}"):
            depth -= 1
        elif depth == 1 and _COLON.match(text, token.end()):
            yield sign[1:-1]


def is_nested_deeper(line: bytes, levels: int) -> bool:
    """Does a JSON text go deeper? For what is not decoded to plain values."""
    if line.count(b"[") + line.count(b"{") <= levels:
        return False
    depth = 0
    for token in _BRACKET.finditer(line):
        sign = token[0]
        if sign in (b"[", b"{"):
            depth += 1
            if depth > levels:
                return True
        elif sign in (b"]", b"}"):
            depth -= 1
    return False


_BRACKET = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{}]', re.DOTALL)


def _whole(escape: re.Match[str]) -> str:
    return r"\ufffd" if escape["lone"] else escape[0]

r"""Arguments of a tool as a person types them: `key=value …`, or one JSON object.

add a=1 b=2                  values become what the tool's input schema says they are
echo text="two words"        quotes as in a shell, and in double ones `\"` and `\\`
tag names=["a", "b"]         lists and objects are JSON, and may be written without quotes
put value:=null              `:=` takes JSON whatever the schema says, as HTTPie does
add {"a": 1, "b": 2}         all at once
"""

import json
import math
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from pipeline.core.events import Json
from pipeline.core.shapes import MAX_DEPTH, is_nested_too_deep
from pipeline.core.usage import (
    ANY,
    TEXT,
    WORDS,
    Types,
    example,
    properties_of,
    types_in,
    types_of,
    usage_line,
)

__all__ = ["ArgumentsError", "parse_arguments", "split_command", "split_commands", "usage_line"]

_MAX_SHOWN = 60

_PAIR = re.compile(r"""([^\s"'=]+?)(:?=)""")
_QUOTED_PAIR = re.compile(r"([^=]+?)(:?=)(.*)", re.DOTALL)
_PIECE = re.compile(r"""'[^']*'|"(?:\\.|[^"\\])*"|[^\s'";]+|[^'"]""", re.DOTALL)


class ArgumentsError(ValueError):
    """Arguments that cannot be read; the text says what was found, what was expected, and how."""


def split_command(line: str) -> tuple[str, str]:
    """`add a=1 b=2` is `("add", "a=1 b=2")`; a JSON object may follow the name without a space."""
    line = line.strip()
    end = next((at for at, char in enumerate(line) if char.isspace() or char == "{"), len(line))
    return line[:end], line[end:].lstrip()


def split_commands(text: str) -> tuple[str, ...]:
    """Cut at each newline and each `;` with white space around it, but not inside quotes.

    Empty commands are left out. After a quote that is never closed nothing is cut.
    """
    cuts: list[str] = [""]
    at = 0
    while at < len(text):
        match = _PIECE.match(text, at)
        piece = match[0] if match else text[at:]
        alone = text[at - 1 : at].strip() == "" and text[at + 1 : at + 2].strip() == ""
        if piece == "\n" or (piece == ";" and alone):
            cuts.append("")
        else:
            cuts[-1] += piece
        at += len(piece)
    return tuple(cut.strip() for cut in cuts if cut.strip())


def parse_arguments(text: str, schema: Json) -> Json:
    """Read the arguments of one call, guided by the tool's input schema.

    Raises:
        ArgumentsError: If a word is no `key=value`, a key comes twice, a quote is not closed, or
            a value is not of the type that the schema asks for.
    """
    text = text.strip()
    try:
        found = _object(text) if text.startswith("{") else _pairs(text, schema)
        if is_nested_too_deep(text, [found]):
            raise ArgumentsError(f"found values nested deeper than {MAX_DEPTH} levels")
        json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError as exc:
        raise ArgumentsError(
            "found text that is not valid Unicode (a lone surrogate); write it as UTF-8"
        ) from exc
    except ArgumentsError as exc:
        raise ArgumentsError(f"{exc}; for example: {example(schema)}") from exc
    return found


# --- reading --------------------------------------------------------------------------------


def _object(text: str) -> Json:
    try:
        value, end = _json.raw_decode(text)
    except (ValueError, RecursionError) as exc:
        raise ArgumentsError(f"found {_shown(text)}, expected a JSON object ({exc})") from exc
    if text[end:].strip():
        raise ArgumentsError(f"found {_shown(text[end:].strip())} after the JSON object")
    return value


def _pairs(text: str, schema: Json) -> Json:
    properties = properties_of(schema)
    found: Json = {}
    for key, value in _values(text, properties):
        if key in found:
            raise ArgumentsError(f"found {key!r} twice, expected each key once")
        found[key] = value
    return found


def _values(text: str, properties: Json) -> Iterator[tuple[str, Any]]:
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        if pair := _PAIR.match(text, at):
            key, operator = pair.groups()
            types = types_in(properties.get(key))
            raw = _raw_json(text, pair.end(), operator, types)
            word, at = _word(text, pair.end()) if raw is None else raw
        else:  # The whole word may stand in quotes, as a shell hands it on: 'text=two words'.
            start = at
            word, at = _word(text, at)
            quoted = _QUOTED_PAIR.fullmatch(word)
            if quoted is None:
                raise ArgumentsError(f"found {_shown(text[start:at])}, expected key=value")
            key, operator, word = quoted.groups()
            types = types_in(properties.get(key))
        yield key, _forced(key, word) if operator == ":=" else _coerced(key, word, types)


def _raw_json(text: str, at: int, operator: str, types: Types) -> tuple[str, int] | None:
    """The JSON that starts here, written without quotes around it; None if there is none."""
    is_structure = text[at : at + 1] in ("[", "{") and types != TEXT
    if not is_structure and operator != ":=":
        return None
    try:
        _, end = _json.raw_decode(text, at)
    except (ValueError, RecursionError):
        return None  # The word is read on its own then, and told of if it is no JSON either.
    return (text[at:end], end) if text[end : end + 1].strip() == "" else None


def _word(text: str, at: int) -> tuple[str, int]:
    """One word of a shell from `at`, without its quotes, and where it ends."""
    parts: list[str] = []
    while at < len(text) and not text[at].isspace():
        piece = _PIECE.match(text, at)
        if piece is None:
            raise ArgumentsError(f"found {_shown(text[at:])}, expected a closing {text[at]}")
        at = piece.end()
        match piece[0][0]:
            case "'":
                parts.append(piece[0][1:-1])
            case '"':
                parts.append(re.sub(r'\\(["\\])', r"\1", piece[0][1:-1]))
            case _:
                parts.append(piece[0])
    return "".join(parts), at


def _forced(key: str, word: str) -> Any:
    try:
        return _decoded(word)
    except (ValueError, RecursionError) as exc:
        raise ArgumentsError(
            f"{key!r}: found {_shown(word)}, expected JSON after := ({exc})"
        ) from exc


def _coerced(key: str, word: str, types: Types) -> Any:
    if types == TEXT:
        return word
    try:
        value = _decoded(word)
    except (ValueError, RecursionError):
        is_accepted = False
        value = None
    else:
        if "integer" in types and isinstance(value, float) and value.is_integer():
            value = int(value)  # 2.0 is a whole number (JSON Schema validation, 6.1.1)
        is_accepted = types == ANY or bool(types_of(value) & types)
    if is_accepted:
        return value
    if types == ANY or "string" in types:
        return word
    expected = " or ".join(WORDS[name] for name in WORDS if name in types)
    raise ArgumentsError(f"{key!r}: found {_shown(word)}, expected {expected}")


def _decoded(word: str) -> Any:
    word = word.strip()
    value, end = _json.raw_decode(word)
    if end < len(word):
        raise ValueError(f"and then {_shown(word[end:])}")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> Json:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ArgumentsError(f"found {twice!r} twice, expected each key once")
    return found


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{_shown(digits)} is too large for a number")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


_json = json.JSONDecoder(
    object_pairs_hook=_unique, parse_float=_finite, parse_constant=_no_constant
)


def _shown(text: str) -> str:
    return repr(text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…")

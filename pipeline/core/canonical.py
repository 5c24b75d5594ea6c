"""JSON in the one form that everybody writes alike, to compute digests of it.

RFC 8785 (JSON Canonicalization Scheme): no spaces, members in the order of their names' UTF-16 code
units, strings and numbers as ECMAScript's `JSON.stringify` writes them. Values come from a JSON
decoder, so there are no NaN, no infinities and no keys but strings.
"""

import json
from typing import Any

from pipeline.core.shapes import is_list, is_object

_EXACT = 2**53  # from here on a number of ECMAScript is not every integer
_PLAIN_FROM, _PLAIN_TO = -6, 21  # decimal exponents that ECMAScript writes without `e`


def canonical(value: Any) -> bytes:
    """A JSON value in its canonical form, UTF-8.

    An integer is what ECMAScript reads: beyond 2^53 the nearest double. One that is too large for a
    double has no form in RFC 8785; it stands as its digits.
    """
    return _text(value).encode("utf-8", "surrogatepass")


def _text(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int | float):
        return _number(value)
    parts: list[str] = []
    if is_object(value):
        for name in sorted(value, key=_utf16):
            parts.append(f"{json.dumps(name, ensure_ascii=False)}:{_text(value[name])}")  # noqa: PERF401  one call a level
        return f"{{{','.join(parts)}}}"
    assert is_list(value), f"found {type(value).__name__}, expected what a JSON decoder gives"
    for item in value:
        parts.append(_text(item))  # noqa: PERF401  one call a level
    return f"[{','.join(parts)}]"


def _utf16(name: str) -> bytes:
    return name.encode("utf-16-be", "surrogatepass")


def _number(value: float) -> str:
    """ECMA-262, Number::toString: the shortest digits that read back, as Python finds them too."""
    if isinstance(value, int):
        if abs(value) < _EXACT:
            return str(value)
        try:
            value = float(value)
        except OverflowError:
            return str(value)
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, shown_exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    # The number is 0.DIGITS * 10^point.
    point = int(shown_exponent or 0) + len(whole) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    return sign + _placed(digits, point)


def _placed(digits: str, point: int) -> str:
    if len(digits) <= point <= _PLAIN_TO:
        return digits.ljust(point, "0")
    if 0 < point <= _PLAIN_TO:
        return f"{digits[:point]}.{digits[point:]}"
    if _PLAIN_FROM < point <= 0:
        return f"0.{'0' * -point}{digits}"
    exponent = point - 1
    mantissa = digits if len(digits) == 1 else f"{digits[0]}.{digits[1:]}"
    return f"{mantissa}e{'+' if exponent > 0 else '-'}{abs(exponent)}"

"""Forms that a server wants filled in: fields, defaults, and whether an answer fits.

MCP: client/elicitation, "Requested Schema": a flat object of strings, numbers, booleans, and
choices of one or several, as of 2025-06-18 (`enumNames`) and later (`oneOf`, `items`).
"""

import re
from math import isfinite
from typing import Any, Literal, TypeAlias

import msgspec

from pipeline.core.events import Json
from pipeline.core.jsonrpc import shorten
from pipeline.core.shapes import is_list, is_object

Kind: TypeAlias = Literal["string", "integer", "number", "boolean", "choice", "choices"]
MAX_FIELDS = 64
_LONGEST = 80
_MOST_NAMES = 20
_YES, _NO = ("true", "yes", "y", "1"), ("false", "no", "n", "0")
_FORMATS = {
    "email": re.compile(r"[^@\s]{1,64}@[^@\s]{1,255}"),
    "uri": re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+"),
    "date": re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII),
    "date-time": re.compile(
        r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})", re.ASCII
    ),
}


class BadFormError(ValueError):
    """A schema that is no form; the text says what was found and expected."""


class BadAnswerError(ValueError):
    """An answer that does not fit its field; the text says what was expected."""


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One field. `choices` maps what may be answered to its title; a `default` None is none."""

    name: str
    kind: Kind
    title: str = ""
    description: str = ""
    is_required: bool = False
    default: Any = None
    choices: dict[str, str] = {}
    limits: Json = {}


def read_form(schema: Any) -> tuple[Field, ...]:
    """The fields of a form, in the server's order.

    Raises:
        BadFormError: If it is no form, has too many fields, or one that no form may have.
    """
    properties = schema.get("properties") if is_object(schema) else None
    if not is_object(schema) or not is_object(properties):
        raise BadFormError("found no `properties` in the form, expected an object")
    if len(properties) > MAX_FIELDS:
        raise BadFormError(f"found {len(properties)} fields, expected {MAX_FIELDS} or fewer")
    required = schema.get("required")
    names = required if is_list(required) else []
    return tuple(_field(name, raw, name in names) for name, raw in properties.items())


def check(fields: tuple[Field, ...], content: Json) -> Json:
    """The content as it may be sent: defaults stand for what was left out.

    Raises:
        BadAnswerError: At the first value that does not fit.
    """
    whole: Json = {}
    for field in fields:
        value = content.get(field.name, field.default)
        if value is None and field.is_required:
            raise BadAnswerError(f"{field.name}: found nothing, expected {expected(field)}")
        if value is not None:
            whole[field.name] = _checked(field, value)
    return whole


def with_default(field: Field, value: Any) -> Field:
    """The field with this default; one that the form itself would refuse, or None, is none."""
    if value is None:
        return field
    try:
        return msgspec.structs.replace(field, default=_checked(field, value))
    except BadAnswerError:
        return field


def read_answer(field: Field, text: str) -> Any:
    """What a person typed, as a value of the field; None for nothing.

    Raises:
        BadAnswerError: If it does not fit.
    """
    text = text.strip()
    if not text:
        return None
    match field.kind:
        case "boolean" if text.lower() in (*_YES, *_NO):
            return text.lower() in _YES
        case "integer" | "number":
            return _checked(field, _number(field, text))
        case "choices":
            return _checked(field, [_choice(field, each.strip()) for each in text.split(",")])
        case "choice":
            return _checked(field, _choice(field, text))
        case _:
            return _checked(field, text)


def expected(field: Field) -> str:
    """What a field takes, in words."""
    limits = field.limits
    match field.kind:
        case "choice":
            return f"one of {_names(field)}"
        case "choices":
            return f"some of {_names(field)} (with commas)"
        case "boolean":
            return "yes or no"
        case "integer" | "number":
            bounds = [
                f"{words} {_shown(limits[key])}"
                for key, words in (("minimum", "from"), ("maximum", "up to"))
                if key in limits
            ]
            word = "a whole number" if field.kind == "integer" else "a number"
            return " ".join([word, *bounds])
        case "string":
            least, most = limits.get("minLength"), limits.get("maxLength")
            words = f"text in the form of {limits['format']}" if "format" in limits else "text"
            if least is not None:
                words += f", at least {least} characters"
            return words if most is None else f"{words}, at most {most} characters"


def _field(name: str, raw: Any, is_required: bool) -> Field:
    if not is_object(raw):
        raise BadFormError(f"found {type(raw).__name__} as field {name!r}, expected an object")
    kind, choices = _kind(name, raw)
    keys = ("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems")
    limits: Json = {key: raw[key] for key in keys if _is_number(raw.get(key))}
    if isinstance(raw.get("format"), str) and raw["format"] in _FORMATS:
        limits["format"] = raw["format"]
    field = Field(
        name=name,
        kind=kind,
        title=_text(raw, "title"),
        description=_text(raw, "description"),
        is_required=is_required,
        choices=choices,
        limits=limits,
    )
    return with_default(field, raw.get("default"))


def _kind(name: str, raw: Json) -> tuple[Kind, dict[str, str]]:
    if raw.get("type") == "array":
        items: Json = raw["items"] if is_object(raw.get("items")) else {}
        choices = _choices(items, "anyOf") or _choices(items, "oneOf")
        if choices:
            return "choices", choices
    elif choices := _choices(raw, "oneOf"):
        return "choice", choices
    match raw.get("type"):
        case "string" | "integer" | "number" | "boolean" as kind:
            return kind, {}
        case other:
            raise BadFormError(
                f"found type {other!r} for field {name!r}, "
                "expected string, integer, number, boolean or a list of choices"
            )


def _choices(raw: Json, key: str) -> dict[str, str]:
    """What may be chosen, as `oneOf`/`anyOf` or as `enum`; empty if it is no choice of texts."""
    titled, values, names = raw.get(key), raw.get("enum"), raw.get("enumNames")
    pairs: list[tuple[Any, Any]] = []
    if is_list(titled):
        pairs = [(each.get("const"), each.get("title")) for each in titled if is_object(each)]
    elif is_list(values):
        titles = names if is_list(names) and len(names) == len(values) else values
        pairs = [(value, titles[number]) for number, value in enumerate(values)]
    texts = [(value, title) for value, title in pairs if isinstance(value, str)]
    return {value: title if isinstance(title, str) else value for value, title in texts}


def _checked(field: Field, value: Any) -> Any:
    match field.kind:
        case "boolean" if isinstance(value, bool):
            return value
        case "integer" if _is_number(value) and value == int(value) and _is_within(field, value):
            return int(value)
        case "number" if _is_number(value) and _is_within(field, value):
            return value
        case "string" if isinstance(value, str) and _is_fitting(field, value):
            return value
        case "choice" if _is_choice(field, value):
            return value
        case "choices" if is_list(value) and all(_is_choice(field, each) for each in value):
            least, most = field.limits.get("minItems", 0), field.limits.get("maxItems", len(value))
            if least <= len(value) <= most:
                return value
        case _:
            pass
    found = shorten(repr(value), _LONGEST)
    raise BadAnswerError(f"{field.name}: found {found}, expected {expected(field)}")


def _is_choice(field: Field, value: Any) -> bool:
    return isinstance(value, str) and value in field.choices


def _is_number(value: Any) -> bool:
    """A number that JSON has: `true` is none, nor is what is not finite."""
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or (isinstance(value, float) and isfinite(value))


def _is_within(field: Field, value: float) -> bool:
    limits = field.limits
    return limits.get("minimum", value) <= value <= limits.get("maximum", value)


def _is_fitting(field: Field, value: str) -> bool:
    limits, size = field.limits, len(value)
    pattern = _FORMATS.get(limits.get("format", ""))
    is_formed = pattern is None or pattern.fullmatch(value) is not None
    return is_formed and limits.get("minLength", size) <= size <= limits.get("maxLength", size)


def _number(field: Field, text: str) -> float:
    try:
        return int(text) if field.kind == "integer" or text.isdecimal() else float(text)
    except ValueError:
        found = shorten(repr(text), _LONGEST)
        raise BadAnswerError(f"{field.name}: found {found}, expected {expected(field)}") from None


def _choice(field: Field, text: str) -> str:
    """A choice by its value, its title, or its number in the list."""
    if text in field.choices:
        return text
    by_title = [value for value, title in field.choices.items() if title.lower() == text.lower()]
    by_case = [value for value in field.choices if value.lower() == text.lower()]
    if len(found := by_title or by_case) == 1:
        return found[0]
    if text.isascii() and text.isdigit() and 0 < int(text) <= len(field.choices):
        return list(field.choices)[int(text) - 1]
    return text


def _names(field: Field) -> str:
    names = [shorten(value, _LONGEST) for value in list(field.choices)[:_MOST_NAMES]]
    return ", ".join(names if len(field.choices) <= _MOST_NAMES else [*names, "…"])


def _shown(number: float) -> str:
    return f"{number:g}" if isinstance(number, float) else shorten(str(number), _LONGEST)


def _text(raw: Json, key: str) -> str:
    value = raw.get(key)
    return value if isinstance(value, str) else ""

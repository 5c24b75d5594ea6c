"""Checks the arguments of a call against the tool's own schema, so both say the same.

The part of JSON Schema 2020-12 that the tools here use: `type`, `required`, `properties`,
`additionalProperties: false`, `minimum`, `maximum`, `minLength`, `maxLength`. Other keywords are
left to the tool.
"""

from collections.abc import Iterator, Mapping
from typing import Any, cast

Arguments = Mapping[str, Any]
Schema = Mapping[str, Any]

_MAX_PROBLEMS = 5
_MAX_SHOWN = 60
_WORDS = {
    "string": "a string",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}


class ArgumentError(Exception):
    """The arguments are not what the schema asks for; the text says what was found, expected."""


def check_arguments(schema: Schema, arguments: Arguments) -> None:
    """Raises ArgumentError for missing, unknown or mistyped arguments, up to five in one text."""
    problems = list(_problems(schema, arguments))
    if not problems:
        return
    shown = problems[:_MAX_PROBLEMS]
    if len(problems) > _MAX_PROBLEMS:
        shown.append(f"and {len(problems) - _MAX_PROBLEMS} more")
    raise ArgumentError("; ".join(shown))


def shorten(value: object) -> str:
    """A foreign value for an error message: quoted, and never longer than a line."""
    if isinstance(value, list | dict):
        # No repr: it recurses as deep as the sender nests.
        count = len(cast("list[Any] | dict[Any, Any]", value))
        kind = "a list" if isinstance(value, list) else "an object"
        return f"{kind} of {count}"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def _problems(schema: Schema, arguments: Arguments) -> Iterator[str]:
    properties = cast("Mapping[str, Schema]", schema.get("properties", {}))
    for name in cast("list[str]", schema.get("required", [])):
        if name not in arguments:
            yield f"argument {name!r} is missing, expected {_expected(properties.get(name, {}))}"
    for name, value in arguments.items():
        if name in properties:
            yield from _value_problems(name, value, properties[name])
        elif schema.get("additionalProperties") is False:
            takes = ", ".join(repr(known) for known in properties) or "no arguments"
            yield f"argument {shorten(name)} is unknown, expected {takes}"


def _value_problems(name: str, value: object, schema: Schema) -> Iterator[str]:
    if not _has_type(value, schema) or not _in_bounds(value, schema):
        yield f"argument {name!r}: found {shorten(value)}, expected {_expected(schema)}"


def _has_type(value: object, schema: Schema) -> bool:
    types = _types(schema)
    return not types or any(_is_a(value, name) for name in types)


def _types(schema: Schema) -> list[str]:
    found = cast("str | list[str]", schema.get("type", []))
    return [found] if isinstance(found, str) else found


def _is_a(value: object, name: str) -> bool:
    match name:
        case "string":
            return isinstance(value, str)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "integer":  # 2.0 is one too (JSON Schema validation, section 6.1.1)
            whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
            return whole and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case "array":
            return isinstance(value, list)
        case "object":
            return isinstance(value, dict)
        case _:
            return value is None


def _in_bounds(value: object, schema: Schema) -> bool:
    if isinstance(value, str):
        return schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value))
    if _is_a(value, "number"):
        number = cast("float", value)
        return schema.get("minimum", number) <= number <= schema.get("maximum", number)
    return True


def _expected(schema: Schema) -> str:
    words = " or ".join(_WORDS.get(name, name) for name in _types(schema)) or "a value"
    if "minimum" in schema or "maximum" in schema:
        words += _range(schema.get("minimum"), schema.get("maximum"), "")
    if "minLength" in schema or "maxLength" in schema:
        words += _range(schema.get("minLength"), schema.get("maxLength"), " characters")
    return words


def _range(low: object, high: object, unit: str) -> str:
    if low is None:
        return f" of at most {high}{unit}"
    if high is None:
        return f" of at least {low}{unit}"
    return f" from {low} to {high}{unit}"

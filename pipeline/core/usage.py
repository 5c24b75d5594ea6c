"""What a tool's input schema tells a person: its types, a usage line, an example.

Schemas come from servers, so nothing here trusts their shape: what cannot be read is "any type".
"""

import json
import re
from typing import Any, TypeAlias

from pipeline.core.events import Json
from pipeline.core.shapes import is_list, is_object

Types: TypeAlias = frozenset[str]
"""JSON type names; empty stands for "any"."""

ANY: Types = frozenset()
TEXT: Types = frozenset({"string"})
WORDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
    "array": "a list such as [1, 2]",
    "object": 'an object such as {"key": 1}',
}
_METAVARS = {
    "string": "TEXT",
    "integer": "INTEGER",
    "number": "NUMBER",
    "boolean": "true|false",
    "null": "null",
    "array": "[…]",
    "object": "{…}",
}
_SAMPLES: dict[str, Any] = {
    "string": "some text",
    "integer": 1,
    "number": 1.5,
    "boolean": True,
    "null": None,
    "array": [],
    "object": {},
}
_MAX_CHOICES = 6
_PLAIN_KEY = re.compile(r"""[^\s"'={:][^\s"'=]*(?<!:)""")
_PLAIN_VALUE = re.compile(r"""[^\s"'\\;]+""")


def usage_line(tool_name: str, schema: Json) -> str:
    """`add a=NUMBER b=NUMBER [round=true|false]`: the required arguments, then the others."""
    required = _required(schema)
    properties = properties_of(schema)
    keys = [key for key in properties if key in required]
    keys += [key for key in properties if key not in required]
    words = [f"{key}={_metavar(properties[key])}" for key in keys]
    shown = [
        word if key in required else f"[{word}]" for key, word in zip(keys, words, strict=True)
    ]
    return " ".join((tool_name, *shown))


def example(schema: Json) -> str:
    """Arguments that would do: the required ones, else the first; `{}` where none are known."""
    properties = properties_of(schema)
    keys = [key for key in properties if key in _required(schema)] or list(properties)[:1]
    values = {key: _sample(properties[key]) for key in keys}
    if not values or not all(_PLAIN_KEY.fullmatch(key) for key in values):
        return json.dumps(values, ensure_ascii=False)
    return " ".join(
        _written(key, value, types_in(properties[key])) for key, value in values.items()
    )


def properties_of(schema: Json) -> Json:
    """The schemas of the arguments by name; empty where there is nothing of the kind."""
    properties: Any = schema.get("properties")
    return properties if is_object(properties) else {}


def _required(schema: Json) -> list[Any]:
    required: Any = schema.get("required")
    return required if is_list(required) else []


def types_in(schema: Any) -> Types:
    """What a value may be: from `type`, else from `enum` or `const`, else from the alternatives."""
    if not is_object(schema):
        return ANY
    match schema:
        case {"type": str() as name}:
            return _known([name])
        case {"type": [*names]}:
            return _known(names)
        case {"enum": [*values]}:
            return frozenset[str]().union(*map(types_of, values))
        case {"const": value}:
            return types_of(value)
        case {"anyOf": [*choices]} | {"oneOf": [*choices]}:
            found = [types_in(choice) for choice in choices]
            return frozenset[str]().union(*found) if all(found) else ANY
        case _:
            return ANY


def _known(names: list[Any]) -> Types:
    return frozenset(names) if all(isinstance(n, str) and n in WORDS for n in names) else ANY


def types_of(value: Any) -> Types:
    """The types that a JSON value has: a whole number is a number too."""
    match value:
        case None:
            return frozenset({"null"})
        case bool():
            return frozenset({"boolean"})
        case int():
            return frozenset({"integer", "number"})
        case float():
            return frozenset({"number"})
        case str():
            return frozenset({"string"})
        case list():
            return frozenset({"array"})
        case _:
            return frozenset({"object"})


def _metavar(schema: Any) -> str:
    choices: Any = schema.get("enum") if is_object(schema) else None
    if is_list(choices) and 0 < len(choices) <= _MAX_CHOICES:
        return "|".join(c if isinstance(c, str) else json.dumps(c) for c in choices)
    types = types_in(schema)
    return "|".join(_METAVARS[name] for name in _METAVARS if name in types) or "VALUE"


def _sample(schema: Any) -> Any:
    match schema:
        case {"examples": [first, *_]} | {"enum": [first, *_]} | {"const": first}:
            return first
        case {"default": value}:
            return value
        case _:
            types = types_in(schema)
            return next((_SAMPLES[name] for name in _SAMPLES if name in types), "some text")


def _written(key: str, value: Any, types: Types) -> str:
    if isinstance(value, str) and types == TEXT:
        if _PLAIN_VALUE.fullmatch(value):
            return f"{key}={value}"
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'{key}="{escaped}"'
    operator = "=" if types_of(value) & types and not isinstance(value, str) else ":="
    return f"{key}{operator}{json.dumps(value, ensure_ascii=False)}"

"""Parameters that a tool's schema wants in headers too: `x-mcp-header`.

MCP 2026-07-28, basic/transports, "Custom Request Headers": `Mcp-Param-NAME` mirrors an argument, so
that proxies can route without reading bodies. A tool whose marks break the rules must be left out.
"""

import re
from collections.abc import Iterator
from typing import Any

from pipeline.core.events import Headers, Json
from pipeline.core.session.wire import header_value
from pipeline.core.shapes import is_list, is_object

MARK = "x-mcp-header"
PREFIX = "Mcp-Param-"
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_PRIMITIVES = ("string", "integer", "boolean")
_GREATEST = 2**53 - 1
_DEEPEST = 64


def problem_with(schema: Json) -> str | None:
    """Why the marks of an input schema cannot be followed; None if they can."""
    names: set[str] = set()
    for name, kind in _marked(schema):
        if not isinstance(name, str) or _TOKEN.fullmatch(name) is None:
            return f"found {name!r} as {MARK}, expected a token (RFC 9110, 5.6.2)"
        if name.lower() in names:
            return f"found the {MARK} {name!r} twice"
        if kind not in _PRIMITIVES:
            return f"found {MARK} at type {kind!r}, expected string, integer or boolean"
        names.add(name.lower())
    # What is marked anywhere else cannot be found by its name in the arguments.
    if sum(1 for _ in _all_marks(schema, 0)) > len(names):
        return f"found {MARK} outside of `properties`"
    return None


def headers_for(schema: Json, arguments: Json) -> Headers:
    """The `Mcp-Param-…` headers of a call; an argument that is absent or null has none."""
    return dict(_headers(schema, arguments))


def _headers(schema: Json, arguments: Json) -> Iterator[tuple[str, str]]:
    for key, property_ in _properties(schema):
        value = arguments.get(key)
        name = property_.get(MARK)
        if isinstance(name, str) and (text := _text(value)) is not None:
            yield PREFIX + name, header_value(text)
        if is_object(value):
            yield from _headers(property_, value)


def _text(value: Any) -> str | None:
    match value:
        case bool():
            return "true" if value else "false"
        case int() if abs(value) <= _GREATEST:
            return str(value)
        case float() if value.is_integer() and abs(value) <= _GREATEST:
            return str(int(value))  # JSON Schema: 42.0 is an integer, too
        case str():
            return value
        case _:
            return None


def _marked(schema: Json) -> Iterator[tuple[Any, Any]]:
    """Name and type of each mark that a chain of `properties` leads to."""
    for _, property_ in _properties(schema):
        if MARK in property_:
            yield property_[MARK], property_.get("type")
        yield from _marked(property_)


def _properties(schema: Json) -> Iterator[tuple[str, Json]]:
    properties = schema.get("properties")
    for key, property_ in properties.items() if is_object(properties) else ():
        if is_object(property_):
            yield key, property_


def _all_marks(value: Any, depth: int, *, is_schema: bool = True) -> Iterator[None]:
    """Each mark in a schema, wherever it is; the name of a property is none."""
    if depth > _DEEPEST:
        return
    if is_object(value):
        if is_schema and MARK in value:
            yield None
        for key, inner in value.items():
            # The members of `properties` are schemas, whatever their names.
            yield from _all_marks(inner, depth + 1, is_schema=not (is_schema and key in _MAPS))
    elif is_list(value):
        for inner in value:
            yield from _all_marks(inner, depth + 1)


_MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")

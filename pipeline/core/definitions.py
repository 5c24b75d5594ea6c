"""What a model gets to see of a tool: a stranger's words, without those that nobody else can see.

A description is read by the model before any call, so it is where a server would hide orders: in
characters without a width, in text that runs backwards, or far below what a person looks at. So
the model gets what a person sees: unseen characters are taken out, long texts are cut, and that is
told.
The events, and the digest that a person's approval holds for, have the definition as it came.

Parameters must be called what the server calls them, so a tool with unseen characters in such a
name is of no use to anybody, and is left out.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from config.unseen import UNSEEN
from pipeline.core.events import Json, Tool
from pipeline.core.shapes import is_list, is_object

MOST_TEXT = 8_000
"""Characters of one text. Descriptions of known servers have up to some 5,000."""
MOST_DEFINITION = 200_000
"""Bytes of a whole definition, as JSON."""


def for_model(tool: Tool) -> Json:
    """Name, description and schema, as the Messages API calls them; always in the same order."""
    schema = tool.input_schema
    if schema.get("type") is None:
        schema = {**schema, "type": "object"}
    param: Json = {"name": tool.alias}
    if description := _seen(tool.description):
        param["description"] = description
    return {**param, "input_schema": _seen_in(schema)}


def problem_with(tool: Tool) -> str:
    """Why a tool cannot be offered; empty if it can."""
    size = len(msgspec.json.encode((tool.description, tool.input_schema)))
    if size > MOST_DEFINITION:
        return f"found a definition of {size:,} bytes, expected at most {MOST_DEFINITION:,}"
    hidden = next((key for key in _keys(tool.input_schema) if UNSEEN.search(key)), None)
    return "" if hidden is None else f"{hidden!a} in its schema has characters that nobody sees"


def kept_back(tool: Tool) -> str:
    """What of its definition the model does not get, in words; empty if it gets all."""
    texts = [tool.description, *_texts(tool.input_schema)]
    hidden = sum(len(UNSEEN.findall(text)) for text in texts)
    cut = sum(max(0, len(UNSEEN.sub("", text)) - MOST_TEXT) for text in texts)
    words = [f"{hidden:,} characters that nobody sees"] if hidden else []
    words += [f"{cut:,} characters beyond the first {MOST_TEXT:,} of a text"] if cut else []
    return " and ".join(words)


def _seen(text: str) -> str:
    text = UNSEEN.sub("", text)
    if len(text) <= MOST_TEXT:
        return text
    return f"{text[:MOST_TEXT]}… ({len(text) - MOST_TEXT:,} more characters are left out)"


def _seen_in(value: Any) -> Any:
    if isinstance(value, str):
        return _seen(value)
    if is_object(value):
        return {key: _seen_in(child) for key, child in value.items()}
    return [_seen_in(child) for child in value] if is_list(value) else value


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif is_object(value) or is_list(value):
        for child in value.values() if is_object(value) else value:
            yield from _texts(child)


def _keys(value: Any) -> Iterator[str]:
    if is_object(value):
        yield from value
    if is_object(value) or is_list(value):
        for child in value.values() if is_object(value) else value:
            yield from _keys(child)

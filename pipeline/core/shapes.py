"""Looks at untyped JSON, before anything relies on its shape."""

from collections.abc import Sequence
from typing import Any, TypeGuard

from pipeline.core.events import Json

MAX_DEPTH = 100
"""Levels of nesting that are taken in. Decoders and encoders recurse on Python's stack: what was
read with the last of it could not be written, compared or shown any more a few calls further on."""


def is_object(value: Any) -> TypeGuard[Json]:
    """A JSON object (its keys are strings, by the grammar of JSON)."""
    return isinstance(value, dict)


def is_list(value: Any) -> TypeGuard[list[Any]]:
    """A JSON array."""
    return isinstance(value, list)


def is_nested_too_deep(text: str, values: Sequence[Any]) -> bool:
    """Do these values, read from `text`, go deeper than `MAX_DEPTH`?"""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return False
    level = _nested(values)
    for _ in range(MAX_DEPTH):
        level = [
            child
            for value in level
            for child in _nested(list(value.values()) if is_object(value) else value)
        ]
        if not level:
            return False
    return True


def _nested(values: Sequence[Any]) -> list[Any]:
    return [value for value in values if isinstance(value, dict | list)]

"""Typed looks at untyped JSON: the value if it has the shape, else None."""

from typing import Any, TypeGuard

from pipeline.core.events import Json


def is_object(value: Any) -> TypeGuard[Json]:
    """A JSON object (its keys are strings, by the grammar of JSON)."""
    return isinstance(value, dict)


def is_list(value: Any) -> TypeGuard[list[Any]]:
    """A JSON array."""
    return isinstance(value, list)

"""Does a tool's structured content keep what its schema promises?

MCP: server/tools, "Output Schema". JSON Schema 2020-12 unless a schema names another dialect.

Schema and content are a stranger's, so checking must end: after so many steps it is given up, and
what cannot be counted is passed over (patterns, which may keep Python's `re` busy for ever, and
`unevaluated…`). Nothing is ever fetched.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from pipeline.core.events import Json
from pipeline.core.jsonrpc import shorten
from pipeline.core.shapes import is_list

_LIMIT = 200
_MOST_STEPS = 100_000
_MOST_UNIQUE = 1000  # items: each is compared with each
_PASSED_OVER = ("pattern", "patternProperties", "unevaluatedItems", "unevaluatedProperties")

_Check = Callable[[Any, Any, Any, Json], Iterator[Any] | None]


class _TooMuchError(Exception):
    """The check takes too many steps."""


def complaint(schema: Json, value: Any) -> str:
    """What is wrong with `value` in words; empty if it fits, as far as that can be checked."""
    # Half of a start's time, for something that most runs never need.
    from jsonschema import Draft202012Validator, exceptions, validators  # noqa: PLC0415  see above
    from referencing import Registry  # noqa: PLC0415  see above
    from referencing import exceptions as unresolved  # noqa: PLC0415  see above

    dialect = schema.get("$schema", Draft202012Validator.META_SCHEMA["$schema"])
    try:
        kind: Any = validators.validator_for(schema, default=Draft202012Validator)
        if kind.META_SCHEMA["$schema"].rstrip("#") != str(dialect).rstrip("#"):
            return f"its output schema is of an unknown dialect: {shorten(str(dialect), _LIMIT)}"
        kind.check_schema(schema)
        registry: Registry[Any] = Registry()
        extend: Any = cast("Any", validators).extend
        bounded = extend(kind, _bounded(kind.VALIDATORS))
        error = next(bounded(schema, registry=registry).iter_errors(value), None)
    except exceptions.SchemaError as exc:
        return f"its output schema is no JSON Schema: {shorten(exc.message, _LIMIT)}"
    except unresolved.Unresolvable as exc:
        return f"its output schema refers to something outside: {shorten(str(exc), _LIMIT)}"
    except _TooMuchError:
        return f"to check it takes more than {_MOST_STEPS} steps"
    except Exception as exc:  # noqa: BLE001  a library, with what a stranger wrote
        return f"it cannot be checked: {type(exc).__name__}: {shorten(str(exc), _LIMIT)}"
    return "" if error is None else f"at {error.json_path}: {shorten(error.message, _LIMIT)}"


def _bounded(checks: Mapping[str, _Check]) -> dict[str, _Check]:
    """The checks of a dialect, which share one number of steps."""
    left = _MOST_STEPS

    def counted(keyword: str, check: _Check) -> _Check:
        def run(validator: Any, wanted: Any, value: Any, schema: Json) -> Iterator[Any] | None:
            nonlocal left
            left -= 1
            if left < 0:
                raise _TooMuchError
            is_by_pattern = keyword == "additionalProperties" and "patternProperties" in schema
            is_long = keyword == "uniqueItems" and is_list(value) and len(value) > _MOST_UNIQUE
            if keyword in _PASSED_OVER or is_by_pattern or is_long:
                return None
            return check(validator, wanted, value, schema)

        return run

    return {keyword: counted(keyword, check) for keyword, check in checks.items()}

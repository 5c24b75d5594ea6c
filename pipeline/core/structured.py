"""Does a tool's structured content keep what its schema promises?

MCP: server/tools, "Output Schema". JSON Schema 2020-12 unless a schema names another dialect.
Nothing is ever fetched: a `$ref` to somewhere else makes a schema one that cannot be checked, and
that is said.
"""

from typing import Any

from pipeline.core.events import Json
from pipeline.core.jsonrpc import shorten

_LIMIT = 200


def complaint(schema: Json, value: Any) -> str:
    """What is wrong with `value` in words; empty if it fits."""
    # Half of a start's time, for something that most runs never need.
    from jsonschema import Draft202012Validator, exceptions, validators  # noqa: PLC0415
    from referencing import Registry  # noqa: PLC0415
    from referencing import exceptions as unresolved  # noqa: PLC0415

    kind = validators.validator_for(schema, default=Draft202012Validator)
    try:
        kind.check_schema(schema)
        registry: Registry[Any] = Registry()
        error = next(kind(schema, registry=registry).iter_errors(value), None)
    except exceptions.SchemaError as exc:
        return f"its output schema is no JSON Schema: {shorten(exc.message, _LIMIT)}"
    except unresolved.Unresolvable as exc:
        return f"its output schema refers to something outside: {shorten(str(exc), _LIMIT)}"
    except RecursionError:
        return "its output schema is nested too deep to be checked"
    if error is None:
        return ""
    return f"at {error.json_path}: {shorten(error.message, _LIMIT)}"

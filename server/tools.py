"""The tools of the reference server. All of them only read."""

import asyncio
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from server.arguments import Arguments, Schema, shorten
from server.search import search_tool
from server.tool import Progress, Tool, ToolError

READS_ONLY: Mapping[str, bool] = {
    "readOnlyHint": True,
    "destructiveHint": False,
    "idempotentHint": True,
    "openWorldHint": False,
}

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_MAX_WAIT = 60.0
_STEP = 0.5  # seconds between two words of progress, at most
_MAX_DIGITS = 1000  # of a sum; Python itself refuses to print 4,300


def default_tools(
    folder: str, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> dict[str, Tool]:
    """The tools by name. `folder` is all that `search_text` sees; `clock` answers in UTC."""
    tools = (
        Tool(
            name="now",
            description="Tell the current date and time as ISO 8601, with its offset from UTC.",
            input_schema=schema(
                {
                    "tz": {
                        "type": "string",
                        "minLength": 1,
                        "maxLength": 100,
                        "description": "IANA time zone, for example Europe/Berlin. Default: UTC.",
                    }
                }
            ),
            run=partial(_now, clock),
            annotations=READS_ONLY,
        ),
        Tool(
            name="add",
            description="Add two numbers. Two whole numbers give a whole number.",
            input_schema=schema(
                {
                    "a": {"type": "number", "description": "The first number."},
                    "b": {"type": "number", "description": "The second number."},
                },
                required=("a", "b"),
            ),
            run=_add,
            annotations=READS_ONLY,
        ),
        Tool(
            name="echo",
            description="Answer with the message itself.",
            input_schema=schema(
                {"message": {"type": "string", "description": "What to answer with."}},
                required=("message",),
            ),
            run=_echo,
            annotations=READS_ONLY,
        ),
        Tool(
            name="wait",
            description="Wait, and tell progress on the way. It can be cancelled.",
            input_schema=schema(
                {
                    "seconds": {
                        "type": "number",
                        "minimum": 0,
                        "maximum": _MAX_WAIT,
                        "description": "How long to wait, in seconds.",
                    }
                },
                required=("seconds",),
            ),
            run=_wait,
            annotations=READS_ONLY,
        ),
        Tool(
            name="fail",
            description="Fail with the message: an answer that is marked as an error.",
            input_schema=schema(
                {"message": {"type": "string", "description": "The words of the failure."}},
                required=("message",),
            ),
            run=_fail,
            annotations=READS_ONLY,
        ),
        search_tool(folder, schema, READS_ONLY),
    )
    return {tool.name: tool for tool in tools}


def schema(properties: Mapping[str, Schema], *, required: tuple[str, ...] = ()) -> dict[str, Any]:
    """The JSON Schema 2020-12 of a tool that takes these arguments and no others."""
    return {
        "$schema": _DIALECT,
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


async def _now(clock: Callable[[], datetime], arguments: Arguments, _: Progress) -> str:
    name = arguments.get("tz", "UTC")
    try:
        zone = ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        # KeyError: not known; ValueError: not a name; OSError: a folder of names, as "America".
        raise ToolError(
            f"time zone: found {shorten(name)}, expected an IANA name such as 'Europe/Berlin'"
        ) from error
    return clock().astimezone(zone).isoformat(timespec="seconds")


async def _add(arguments: Arguments, _: Progress) -> str:
    try:
        total = arguments["a"] + arguments["b"]
    except OverflowError as error:
        raise ToolError("the sum of a float and so large a whole number has no value") from error
    if isinstance(total, float) and not math.isfinite(total):
        raise ToolError("the sum is larger than a float can hold")
    if abs(total) >= 10**_MAX_DIGITS:
        raise ToolError(f"the sum has more than {_MAX_DIGITS} digits")
    return str(total)


async def _echo(arguments: Arguments, _: Progress) -> str:
    return arguments["message"]


async def _wait(arguments: Arguments, progress: Progress) -> str:
    seconds = float(arguments["seconds"])
    steps = math.ceil(seconds / _STEP)
    for step in range(1, steps + 1):
        await asyncio.sleep(seconds / steps)
        progress(seconds * step / steps, seconds)
    return f"waited {seconds:g} seconds"


async def _fail(arguments: Arguments, _: Progress) -> str:
    raise ToolError(arguments["message"])

"""Sinks for programs that read standard output: a line per event, or one object at the end."""

from collections.abc import Sequence
from typing import Any, TextIO

import msgspec

from config.unseen import harmless_json
from pipeline.core.codec import Entry, encode_entry
from pipeline.core.commands import Item
from pipeline.core.events import (
    AnswerCompleted,
    Json,
    Problem,
    RequestEnded,
    RunEnded,
    Stop,
    ToolEnded,
    Usage,
)
from sinks.writer import OffLoopWriter, Piece, Stream

_SUMMED = (AnswerCompleted, Problem, RequestEnded, RunEnded, ToolEnded, Usage)


class StreamJsonSink:
    """`--output-format stream-json`: every event as a line of JSON, in the recording's form.

    What would drive a terminal is escaped, so that it is the same JSON in other letters.
    Always UTF-8, whatever the locale. Raises and buffers as `ConsoleSink` does.
    """

    name = "stream-json"

    def __init__(self, out: TextIO) -> None:
        self._out = Stream(out, "standard output")
        self._writer = OffLoopWriter()

    def wants(self, item: Item) -> bool:  # noqa: ARG002  the protocol's
        """Everything that a recording holds."""
        return True

    async def open(self) -> None:
        """Nothing to acquire: the stream is the caller's."""

    async def emit(self, entries: Sequence[Entry]) -> None:
        """Write a batch of whole lines."""
        lines = b"".join(encode_entry(entry) + b"\n" for entry in entries)
        await self._writer.write([Piece(self._out, harmless_json(lines))])

    async def close(self) -> None:
        """Nothing to release."""


class JsonSink:
    """`--output-format json`: one object when the run has ended.

    {"result": text, "stop": why, "turns": n, "usage": {…}, "tools": […], "requests": […],
    "problems": […], "session": id, "exit_code": n, "reason": text}

    `result` holds the answers, a blank line between them; `stop` is the last answer's, null without
    one; `usage` sums the tokens, and its `cost_usd` is null where no price is known; `session` is
    there if given, `requests` if there were any, `reason` if the run failed. A run that was cut off
    has `exit_code` null.
    """

    name = "json"

    def __init__(self, out: TextIO, *, session: str = "") -> None:
        self._out = Stream(out, "standard output")
        self._session = session
        self._writer = OffLoopWriter()
        self._answers: list[str] = []
        self._stop: Stop | None = None
        self._turns = 0
        self._usage: list[Usage] = []
        self._tools: list[Json] = []
        self._requests: list[Json] = []
        self._problems: list[Json] = []
        self._is_written = False

    def wants(self, item: Item) -> bool:
        """What the object is made of."""
        return isinstance(item, _SUMMED)

    async def open(self) -> None:
        """Nothing to acquire: the stream is the caller's."""

    async def emit(self, entries: Sequence[Entry]) -> None:
        """Take note; write the object once the run has ended."""
        for entry in entries:
            match entry.item:
                case AnswerCompleted(text=text, stop=stop, turns=turns):
                    self._answers.append(text)
                    self._stop = stop
                    self._turns += turns
                case Usage() as usage:
                    self._usage.append(usage)
                case ToolEnded() as ended:
                    self._tools.append(_tool(ended))
                case RequestEnded() as ended:
                    self._requests.append(_request(ended))
                case Problem(where=where, detail=detail, hint=hint):
                    self._problems.append(_filled(where=where, detail=detail, hint=hint))
                case RunEnded() as ended:
                    await self._write(ended)
                case _:
                    pass

    async def close(self) -> None:
        """Write the object of a run that was cut off."""
        if not self._is_written:
            await self._write(None)

    async def _write(self, ended: RunEnded | None) -> None:
        self._is_written = True
        line = harmless_json(msgspec.json.encode(self._object(ended)) + b"\n")
        await self._writer.write([Piece(self._out, line)])

    def _object(self, ended: RunEnded | None) -> Json:
        return {
            "result": "\n\n".join(self._answers),
            "stop": self._stop,
            "turns": self._turns,
            "usage": _total(self._usage),
            "tools": self._tools,
            **_filled(requests=self._requests),
            "problems": self._problems,
            **_filled(session=self._session),
            "exit_code": None if ended is None else ended.code,
            **_filled(reason="" if ended is None else ended.reason),
        }


def _filled(**fields: Any) -> Json:
    return {name: value for name, value in fields.items() if value}


def _tool(ended: ToolEnded) -> Json:
    return {
        "tool": ended.tool,
        "server": ended.server,
        "outcome": ended.outcome,
        "is_error": ended.is_error,
        **_filled(reason=ended.reason),
    }


def _request(ended: RequestEnded) -> Json:
    return {
        "method": ended.method,
        "server": ended.server,
        "outcome": ended.outcome,
        **({} if ended.result is None else {"result": ended.result}),
        **_filled(error=ended.error, reason=ended.reason),
    }


def _total(usage: Sequence[Usage]) -> Json:
    tokens = [used.tokens for used in usage]
    costs = [used.cost_usd for used in usage if used.cost_usd is not None]
    return {
        "model_calls": len(usage),
        "input": sum(each.input for each in tokens),
        "output": sum(each.output for each in tokens),
        "cache_read": sum(each.cache_read for each in tokens),
        "cache_write": sum(each.cache_write for each in tokens),
        "cost_usd": sum(costs) if usage and len(costs) == len(usage) else None,
    }

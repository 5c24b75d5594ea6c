"""This client meets a fault: `python -m bench.faults_ours TRANSPORT TARGET SECONDS`.

It speaks as `bench/faults_peer.py` does, with whoever started it. The clock of a call runs from its
`tool_started` to its `tool_ended`, that of the connection from the beginning of the run.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from typing import TypeVar
from unittest.mock import patch

from msgspec.structs import replace

from bench.faults_peer import ASTRAY, ERROR, HEADERS, NOTHING, PATIENCE, RESULT, tell
from config.mcp_entry import McpEntry
from config.settings import Settings
from pipeline.core.codec import Entry
from pipeline.core.commands import Item
from pipeline.core.events import RunEnded, SessionReady, StreamLost, ToolEnded, ToolStarted
from pipeline.core.plan import ServerPlan
from pipeline.servers import server_plan
from sinks.memory import MemorySink
from tests.support import in_process
from tests.support.in_process import Lines

T = TypeVar("T")
_WHILE = 1.0  # seconds; to give up sooner than that after a loss is to give up at once


class Watch(MemorySink):
    """Notes when the user is told of what, in seconds.

    `connected` is what became of the connection, `ended` of each call by its number.
    """

    name = "watch"

    def __init__(self) -> None:
        super().__init__()
        self.connected: asyncio.Future[tuple[float, str]] = asyncio.Future()
        self.ended: dict[int, asyncio.Future[tuple[float, str]]] = {}
        self._began = time.monotonic()
        self._is_over = False
        self._lost: float | None = None
        self._starts: dict[str, tuple[float, int]] = {}

    def expect(self, numbers: Sequence[int]) -> None:
        """These calls are made now."""
        for n in numbers:
            self.ended[n] = asyncio.Future()
            if self._is_over:
                self.ended[n].set_result((0.0, ERROR))

    async def emit(self, entries: Sequence[Entry]) -> None:
        now = time.monotonic()
        for entry in entries:
            self._note(now, entry.item)
        await super().emit(entries)

    def _note(self, now: float, item: Item) -> None:
        since = now - self._began
        match item:
            case SessionReady():
                _settle(self.connected, (since, RESULT))
            case StreamLost() if self._lost is None:
                self._lost = since
            case RunEnded():
                self._end(since)
            case ToolStarted():
                self._starts[item.call] = (now, item.arguments["n"])
            case ToolEnded():
                start, n = self._starts[item.call]
                _settle(self.ended[n], (now - start, outcome(item, n)))
            case _:
                pass

    def _end(self, since: float) -> None:
        self._is_over = True
        first = since if self._lost is None else self._lost
        later = f"; gives up after {since:.0f} s" if since - first >= _WHILE else ""
        _settle(self.connected, (first, ERROR + later))
        for each in self.ended.values():  # it has left without them
            _settle(each, (0.0, ERROR))


def outcome(ended: ToolEnded, n: int) -> str:
    """What the user is told, in the words of the table."""
    if ended.outcome != "answered":
        return ended.outcome.replace("_", " ")
    if ended.is_error:
        return ERROR
    text = " ".join(str(block.get("text")) for block in ended.content)
    return RESULT if f"did {n}" in text else ASTRAY


def _settle(future: "asyncio.Future[T]", value: T) -> None:
    if not future.done():
        future.set_result(value)


async def wait(
    futures: Sequence["asyncio.Future[tuple[float, str]]"], bound: float
) -> tuple[float, str]:
    """Wait for all of these: when the last of them came, and what; the first trouble counts."""
    done, open_ = await asyncio.wait(futures, timeout=bound)
    if open_:
        return bound, NOTHING
    found = [each.result() for each in done]
    troubles = [told for _, told in found if told != RESULT]
    return max(seconds for seconds, _ in found), (troubles or [RESULT])[0]


async def main(transport: str, target: str, bound: float) -> None:
    patience = ("--call-timeout", str(PATIENCE), "--connect-timeout", str(PATIENCE))
    keys = [word for name, value in HEADERS.items() for word in ("-H", f"{name}: {value}")]
    lines, watch = Lines(is_open=True), Watch()
    argv = (*_server(transport, target, keys), *patience)
    with patch.object(in_process, "server_plan", _pinned):
        async with in_process.playing(*argv, lines=lines, sinks=[watch]):
            await answer_lines(watch, lines, bound)


async def answer_lines(watch: Watch, lines: Lines, bound: float) -> None:
    """Tell what became of the connection, and make the calls of each line that comes."""
    seconds, told = await wait([watch.connected], bound)
    tell("connect", seconds, told)
    if told != RESULT:
        return
    while line := await asyncio.to_thread(sys.stdin.readline):
        numbers = [int(word) for word in line.split()]
        watch.expect(numbers)
        lines.say(" ; ".join(f"act n={n}" for n in numbers))
        seconds, told = await wait([watch.ended[n] for n in numbers], bound)
        tell(f"call {numbers[0]}", seconds, told)


def _pinned(entry: McpEntry, settings: Settings) -> ServerPlan:
    """What a server offers is remembered, as `main.py` does it; nothing was remembered yet."""
    return replace(server_plan(entry, settings), pins={})


def _server(transport: str, target: str, keys: Sequence[str]) -> Sequence[str]:
    if transport != "stdio":
        return ("--server", target, "--dialect", transport, *keys)
    command, *arguments = json.loads(target)
    entry = {"command": command, "args": arguments, "env": {"PATH": os.environ["PATH"]}}
    return ("--mcp-config", json.dumps({"mcpServers": {"mortal": entry}}))


if __name__ == "__main__":
    way, where, seconds = sys.argv[1:]
    asyncio.run(main(way, where, float(seconds)))

"""The clients that `bench.faults` compares: each meets a switchboard and says what it was told."""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from bench.faults_peer import PATIENCE
from pipeline.core.codec import Entry
from pipeline.core.commands import Item
from pipeline.core.events import RunEnded, SessionReady, StreamLost, ToolEnded, ToolStarted
from sinks.memory import MemorySink
from tests.faults.dialects import FLAGS
from tests.faults.ledger import ERROR
from tests.faults.switchboard import Switchboard
from tests.support.in_process import Lines, playing
from tests.support.real_servers import pypi

Name: TypeAlias = Literal["rxmcp", "mcp", "fastmcp"]
CLIENTS: tuple[Name, ...] = ("rxmcp", "mcp", "fastmcp")
BOUND = 30.0  # seconds for each call
RESULT, NOTHING = "result", "nothing"


@dataclass
class Told:
    """What a user was told: of the connection, of the call that meets the fault, of the next."""

    connect: tuple[float, str] | None = None
    calls: dict[int, tuple[float, str]] = field(default_factory=dict[int, tuple[float, str]])


async def meet(name: Name, server: Switchboard) -> Told:
    """One client connects, and calls twice."""
    return await ours(server) if name == "rxmcp" else await theirs(name, server)


async def ours(server: Switchboard) -> Told:
    """This client, in this process; the clock of a call runs from `tool_started`."""
    watch = _Watch()
    words = ("--call-timeout", str(PATIENCE), "--connect-timeout", str(PATIENCE))
    argv = ("--server", server.url, "--dialect", FLAGS[server.dialect], *words)
    async with playing(*argv, lines=Lines(["act n=1", "act n=2"]), sinks=[watch]) as client:
        with contextlib.suppress(TimeoutError):  # what was told until then counts
            await client.ended()
    return watch.told


class _Watch(MemorySink):
    """Notes when the user is told of what."""

    name = "watch"

    def __init__(self) -> None:
        super().__init__()
        self.told = Told()
        self._began = time.monotonic()
        self._lost: float | None = None
        self._starts: dict[str, tuple[float, int]] = {}

    async def emit(self, entries: Sequence[Entry]) -> None:
        now = time.monotonic()
        for entry in entries:
            self._note(now, now - self._began, entry.item)
        await super().emit(entries)

    def _note(self, now: float, since: float, item: Item) -> None:
        told = self.told
        match item:
            case SessionReady() if told.connect is None:
                told.connect = (since, RESULT)
            case StreamLost() if self._lost is None:
                self._lost = since
            case RunEnded() if told.connect is None:
                first = since if self._lost is None else self._lost
                later = f"; gives up after {since:.0f} s" if since - first >= 1 else ""
                told.connect = (first, ERROR + later)
            case ToolStarted():
                self._starts[item.call] = (now, item.arguments["n"])
            case ToolEnded():
                start, n = self._starts[item.call]
                told.calls[n] = (now - start, _outcome(item))
            case _:
                pass


def _outcome(ended: ToolEnded) -> str:
    if ended.outcome == "answered":
        return ERROR if ended.is_error else RESULT
    return ended.outcome.replace("_", " ")


async def theirs(name: Name, server: Switchboard) -> Told:
    """Another client, in a process of its own environment."""
    python = sys.executable if name == "mcp" else str(pypi("servers") / "python")
    transport = "sse" if server.dialect == "sse" else "http"
    script = str(Path(__file__).with_name("faults_peer.py"))
    process = await asyncio.create_subprocess_exec(
        *(python, script, name, transport, server.url, str(BOUND)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    told = Told()
    try:
        async with asyncio.timeout(4 * BOUND):
            while line := await process.stdout.readline():
                _note(told, json.loads(line))
            await process.wait()
    except BaseException:
        process.kill()
        raise
    return told


def _note(told: Told, line: Mapping[str, Any]) -> None:
    found = (float(line["seconds"]), str(line["told"]))
    if line["what"] == "connect":
        told.connect = found
    else:
        told.calls[int(line["what"].split()[1])] = found

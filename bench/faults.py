"""What a user gets of a fault, from this client, the official `mcp` and `fastmcp`.

    python -m bench.faults            # prints the table, and writes it into docs/reliability.md

Each fault is one of `tests/faults`, made by its switchboard. Each client is told to give a call 5 s
and is as it comes otherwise; each call is watched for 30 s. The switchboard's ledger says what was
really executed.
"""

import asyncio
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

from bench.faults_peer import PATIENCE
from pipeline.core.events import RunEnded, SessionReady, StreamLost, ToolEnded, ToolStarted
from tests.faults import dialects
from tests.faults.dialects import CALL, FLAGS, Dialect
from tests.faults.exchange import Exchange, On
from tests.faults.good import accept, begin, end, hold, run, say
from tests.faults.ledger import ERROR
from tests.faults.rows import ROWS, saying
from tests.faults.steps import close, pings
from tests.faults.switchboard import Switchboard, switchboard
from tests.support.in_process import Lines, playing
from tests.support.real_servers import pypi

Name: TypeAlias = Literal["rxmcp", "mcp", "fastmcp"]
CLIENTS: tuple[Name, ...] = ("rxmcp", "mcp", "fastmcp")
BOUND = 30.0  # seconds for each call
ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- bench.faults: begin -->", "<!-- bench.faults: end -->"
_AT_ONCE = 3
_SHOWN = 0.1  # seconds
_TITLES = {"sse": "HTTP+SSE", "http": "Streamable HTTP", "modern": "2026-07-28"}


class Case(NamedTuple):
    """A fault in a dialect, and how the table calls it."""

    words: str
    dialect: Dialect
    faults: Sequence[On]


@dataclass
class Told:
    """What a user was told: of the connection, of the call that meets the fault, of the next.

    `first` is when it was told that an attempt to connect came to nothing.
    """

    first: float | None = None
    connect: tuple[float, str] | None = None
    calls: dict[int, tuple[float, str]] = field(default_factory=dict[int, tuple[float, str]])


def _elsewhere(x: Exchange) -> bytes:
    return dialects.event(f"http://localhost:{x.server.port}/messages", "endpoint")


def _row(words: str, dialect: Dialect, name: str) -> Case:
    return Case(words, dialect, [On(CALL, *ROWS[name].script)])


CASES = (
    Case("no `endpoint`, only signs of life", "sse", [On("GET", begin, pings, n=None)]),
    Case("closes every connection at once", "sse", [On("GET", close, n=None)]),
    Case("`endpoint` on another origin", "sse", [On("GET", begin, say(_elsewhere), hold, n=None)]),
    _row("the POST is answered with 500", "sse", "500, not executed"),
    _row("taken, no answer, signs of life", "sse", "no answer, signs of life"),
    _row("half an event, then a reset", "sse", "half an event, then a reset"),
    _row("restarts after it executed", "sse", "a restart, executed"),
    Case("a result of 2 MB", "sse", [On(CALL, run, accept, saying(" " * 2_000_000), end)]),
    _row("lines that end with CR", "sse", "lines that end with CR"),
    _row("taken, no answer, signs of life", "http", "no answer, signs of life"),
    _row("half an event, then a reset", "http", "half an event, then a reset"),
    _row("breaks off, can be taken up again", "http", "taken up again where it broke off"),
    _row("the session has expired", "http", "the session has expired"),
    _row("restarts after it executed", "http", "a restart, executed"),
    _row("an HTML page in place of an answer", "http", "HTML"),
    _row("503", "http", "503"),
    _row("taken, no answer, signs of life", "modern", "no answer, signs of life"),
    _row("half an event, then a reset", "modern", "half an event, then a reset"),
)


# --- the clients --------------------------------------------------------------------------------


async def ours(server: Switchboard) -> Told:
    """This client, in this process; the clock of a call runs from `tool_started`."""
    told, lines = Told(), Lines(["act n=1", "act n=2"])
    words = ("--call-timeout", str(PATIENCE), "--connect-timeout", str(PATIENCE))
    began, starts = time.monotonic(), dict[str, tuple[float, int]]()
    argv = ("--server", server.url, "--dialect", FLAGS[server.dialect], *words)
    async with playing(*argv, lines=lines) as client:
        seen = 0
        while told.connect is None or len(told.calls) < 2:
            place = seen
            try:
                await client.memory.wait_for(lambda _: len(client.memory.items) > place, BOUND)  # noqa: B023  awaited here
            except (TimeoutError, LookupError):
                break
            now, items = time.monotonic(), client.memory.items[seen:]
            seen += len(items)
            for item in items:
                match item:
                    case SessionReady() if told.connect is None:
                        told.connect = (now - began, "result")
                    case ToolStarted():
                        starts[item.call] = (now, item.arguments["n"])
                    case ToolEnded():
                        start, n = starts[item.call]
                        told.calls[n] = (now - start, _outcome(item))
                    case StreamLost() if told.connect is None:
                        told.first = told.first or now - began
                    case RunEnded() if told.connect is None:
                        at_first = now - began if told.first is None else told.first
                        told.connect = (at_first, f"error; gives up after {now - began:.0f} s")
                    case _:
                        pass
            if any(isinstance(item, RunEnded) for item in items):
                break
    return told


def _outcome(ended: ToolEnded) -> str:
    if ended.outcome == "answered":
        return ERROR if ended.is_error else "result"
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


# --- the table ----------------------------------------------------------------------------------


async def meet(case: Case, name: Name) -> str:
    """One client meets one fault: a cell of the table."""
    async with switchboard(case.dialect, *case.faults) as server:
        told = await ours(server) if name == "rxmcp" else await theirs(name, server)
        return cell(told, server.ledger.executed[1])


def cell(told: Told, executed: int) -> str:
    """Seconds until the user was told of the fault, what, and what became of the next call."""
    assert told.connect is not None, "a client ended without a word"
    if told.connect[1] != "result":
        return _when(told.connect)
    first = told.calls.get(1, (BOUND, "nothing"))
    words = _when(first)
    if executed > 1:
        words += f", **executed {executed} times**"
    following = told.calls.get(2, (BOUND, "nothing"))[1]
    return words if following == "result" else f"{words}; **next call: {following}**"


def _when(found: tuple[float, str]) -> str:
    seconds, what = found
    if what == "nothing":
        return f"**nothing in {BOUND:g} s**"
    return f"{seconds:.1f} s: {what}" if seconds >= _SHOWN else f"at once: {what}"


async def measure(cases: Sequence[Case]) -> list[list[str]]:
    """All cells, a few at a time."""
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(case: Case, name: Name) -> str:
        async with room:
            found = await meet(case, name)
            print(f"{case.dialect:6} {case.words:36} {name:8} {found}", file=sys.stderr)
            return found

    cells = await asyncio.gather(*(one(case, name) for case in cases for name in CLIENTS))
    width = len(CLIENTS)
    return [list(cells[at : at + width]) for at in range(0, len(cells), width)]


def table(cases: Sequence[Case], rows: Sequence[Sequence[str]], names: Sequence[str]) -> str:
    lines = [f"| Server | What it does | {' | '.join(names)} |", "| --- " * (2 + len(names)) + "|"]
    lines += [
        f"| {_TITLES[case.dialect]} | {case.words} | {' | '.join(row)} |"
        for case, row in zip(cases, rows, strict=True)
    ]
    return "\n".join(lines)


def write(text: str) -> None:
    """Put the table in its place."""
    page = PAGE.read_text("utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", "utf-8")


def versions() -> tuple[str, ...]:
    """The clients as the table's head names them."""
    import importlib.metadata  # noqa: PLC0415  for this alone
    import subprocess  # noqa: PLC0415

    ask = "import importlib.metadata as m; print(m.version('fastmcp'))"
    python = str(pypi("servers") / "python")
    done = subprocess.run((python, "-c", ask), capture_output=True, text=True, check=True)
    mcp = importlib.metadata.version("mcp")
    return "rxmcp", f"`mcp` {mcp}", f"`fastmcp` {done.stdout.strip()}"


def main() -> None:
    rows = asyncio.run(measure(CASES))
    text = table(CASES, rows, versions())
    print(text)
    write(text)


if __name__ == "__main__":
    main()

"""What a user gets of a fault, from this client, the official `mcp` and `fastmcp`.

    python -m bench.faults            # prints the table, and writes it into docs/reliability.md

Each fault is one of `tests/faults`, made by its switchboard. Each client is told to give a call 5 s
and is as it comes otherwise; each call is watched for 30 s. The switchboard's ledger says what was
really executed.
"""

import asyncio
import importlib.metadata
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bench.faults_clients import BOUND, CLIENTS, NOTHING, RESULT, Name, Told
from bench.faults_clients import meet as meet_as
from tests.faults import dialects
from tests.faults.dialects import CALL, Dialect
from tests.faults.exchange import Exchange, On
from tests.faults.good import accept, begin, end, hold, run, say
from tests.faults.ledger import ERROR
from tests.faults.rows import ROWS, saying
from tests.faults.steps import close, pings
from tests.faults.switchboard import switchboard
from tests.support.real_servers import pypi

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


# --- the table ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cell:
    """One client, one fault. `executed` is how often the call was, `told` and `after` what came of
    it and of the next one.
    """

    seconds: float
    told: str
    executed: int = 0
    after: str = RESULT

    @property
    def is_mute(self) -> bool:
        return self.told == NOTHING

    @property
    def is_wrong(self) -> bool:
        """Told as a failure, although the tool ran: whoever believes that does it twice."""
        return self.told == ERROR and self.executed > 0

    @property
    def is_dead(self) -> bool:
        return self.after != RESULT

    def __str__(self) -> str:
        when = f"{self.seconds:.1f} s" if self.seconds >= _SHOWN else "at once"
        words = f"**nothing in {BOUND:g} s**" if self.is_mute else f"{when}: {self.told}"
        words += ", **though it ran**" if self.is_wrong else ""
        words += f", **executed {self.executed} times**" if self.executed > 1 else ""
        return words + (f"; **next call: {self.after}**" if self.is_dead else "")


async def meet(case: Case, name: Name) -> Cell:
    """One client meets one fault."""
    async with switchboard(case.dialect, *case.faults) as server:
        return cell(await meet_as(name, server), server.ledger.executed[1])


def cell(told: Told, executed: int) -> Cell:
    """Seconds until the user was told of the fault, what, and what became of the next call."""
    assert told.connect is not None, "a client ended without a word"
    if told.connect[1] != RESULT:
        return Cell(*told.connect)
    first, after = told.calls.get(1, (BOUND, NOTHING)), told.calls.get(2, (BOUND, NOTHING))
    return Cell(*first, executed, after[1])


async def measure(cases: Sequence[Case]) -> list[list[Cell]]:
    """All cells, a few at a time."""
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(case: Case, name: Name) -> Cell:
        async with room:
            found = await meet(case, name)
            print(f"{case.dialect:6} {case.words:36} {name:8} {found}", file=sys.stderr)
            return found

    cells = await asyncio.gather(*(one(case, name) for case in cases for name in CLIENTS))
    width = len(CLIENTS)
    return [cells[at : at + width] for at in range(0, len(cells), width)]


def total(cells: Sequence[Cell]) -> str:
    """One client's troubles, counted."""
    counts = {
        "never told": sum(each.is_mute for each in cells),
        "told as an error though it ran": sum(each.is_wrong for each in cells),
        "executed twice": sum(each.executed > 1 for each in cells),
        "dead for the next call": sum(each.is_dead for each in cells),
    }
    return ", ".join(f"{count} {words}" for words, count in counts.items())


def table(cases: Sequence[Case], rows: Sequence[Sequence[Cell]], names: Sequence[str]) -> str:
    """The page's table, with a last row that counts."""
    lines = [f"| Server | What it does | {' | '.join(names)} |", "| --- " * (2 + len(names)) + "|"]
    for case, row in zip(cases, rows, strict=True):
        cells = " | ".join(map(str, row))
        lines.append(f"| {_TITLES[case.dialect]} | {case.words} | {cells} |")
    totals = " | ".join(total(column) for column in zip(*rows, strict=True))
    lines.append(f"| | **in all** | {totals} |")
    return "\n".join(lines)


def write(text: str) -> None:
    """Put the table in its place."""
    page = PAGE.read_text("utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", "utf-8")


def versions() -> tuple[str, ...]:
    """The clients as the table's head names them."""
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

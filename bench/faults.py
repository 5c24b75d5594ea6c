"""What a user gets of a fault, from this client, the official `mcp` and `fastmcp`.

    python -m bench.faults            # prints the table, and writes it into docs/reliability.md
    python -m bench.faults frozen     # the rows with this word in them; writes nothing

Each fault is one of `tests/faults`, made by its switchboard, in a process of its own where that is
to freeze, or in a network of its own where packets are to vanish. Each client is a process, is told
to give a call 5 s and is as it comes otherwise; each step is watched for 30 s. The server's ledger
says what was really executed.
"""

import asyncio
import importlib.metadata
import subprocess
import sys
from collections.abc import Sequence

from bench.faults_cases import CASES, Case
from bench.faults_clients import BOUND, CLIENTS, Name
from bench.faults_peer import RESULT
from bench.faults_places import Cell
from bench.faults_places import measure as measure_one
from bench.page import PAGE, write_block
from tests.support.real_servers import pypi

BLOCK = "bench.faults"
_AT_ONCE = 3
_SHOWN = 0.1  # seconds
_MUCH = 64  # MiB: what a client may take for a message that it refuses
_TITLES = {
    "sse": "HTTP+SSE",
    "http": "Streamable HTTP",
    "modern": "2026-07-28",
    "stdio": "a process",
}


def words_of(case: Case, cell: Cell) -> str:
    """A cell, as the table has it; what a user would be sorry about is in bold."""
    if cell.why_not:
        return "not measured"
    when = f"{cell.seconds:.1f} s" if cell.seconds >= _SHOWN else "at once"
    what = f"**{cell.told}**" if cell.is_astray else cell.told
    words = [f"**nothing in {BOUND:g} s**" if cell.is_mute else f"{when}: {what}"]
    if cell.is_wrong:
        words.append(", **though it ran**")
    if cell.executed > 1:
        words.append(f", **executed {cell.executed} times**")
    if case.shows == "held":
        words.append("; **next call: made**" if cell.after == RESULT else "; next call: held")
    elif cell.is_dead:
        words.append(f"; **next call: {cell.after}**")
    if case.shows == "memory":
        words.append(f"; **{cell.grown} MiB**" if cell.grown > _MUCH else f"; {cell.grown} MiB")
    if case.shows == "elsewhere":
        words.append("; **the key went there**" if cell.strays else "; nothing went there")
    return "".join(words)


async def measure(cases: Sequence[Case]) -> list[list[Cell]]:
    """All cells, a few at a time."""
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(case: Case, name: Name) -> Cell:
        async with room:
            found = await measure_one(case, name)
            line = f"{case.dialect:6} {case.words:36} {name:8} {words_of(case, found)}"
            print(line + found.why_not, file=sys.stderr)
            return found

    cells = await asyncio.gather(*(one(case, name) for case in cases for name in CLIENTS))
    width = len(CLIENTS)
    return [cells[at : at + width] for at in range(0, len(cells), width)]


def total(cases: Sequence[Case], cells: Sequence[Cell]) -> str:
    """One client's troubles, counted."""
    usual = [cell for case, cell in zip(cases, cells, strict=True) if case.shows != "held"]
    counts = {
        "never told": sum(each.is_mute for each in cells),
        "told as an error though it ran": sum(each.is_wrong for each in cells),
        "told another call's result": sum(each.is_astray for each in cells),
        "executed twice": sum(each.executed > 1 for each in cells),
        "dead for the next call": sum(each.is_dead for each in usual),
        "with the key elsewhere": sum(each.strays > 0 for each in cells),
        f"above {_MUCH} MiB": sum(each.grown > _MUCH for each in cells),
    }
    return ", ".join(f"{count} {words}" for words, count in counts.items())


def table(cases: Sequence[Case], rows: Sequence[Sequence[Cell]], names: Sequence[str]) -> str:
    """The page's table, with a last row that counts."""
    lines = [f"| Server | What it does | {' | '.join(names)} |", "| --- " * (2 + len(names)) + "|"]
    for case, row in zip(cases, rows, strict=True):
        cells = " | ".join(words_of(case, cell) for cell in row)
        lines.append(f"| {_TITLES[case.dialect]} | {case.words} | {cells} |")
    totals = " | ".join(total(cases, column) for column in zip(*rows, strict=True))
    lines.append(f"| | **in all, of {len(cases)}** | {totals} |")
    return "\n".join(lines)


def versions() -> tuple[str, ...]:
    """The clients as the table's head names them."""
    ask = "import importlib.metadata as m; print(m.version('fastmcp'))"
    python = str(pypi("servers") / "python")
    done = subprocess.run((python, "-c", ask), capture_output=True, text=True, check=True)
    mcp = importlib.metadata.version("mcp")
    return "rxmcp", f"`mcp` {mcp}", f"`fastmcp` {done.stdout.strip()}"


def main(*words: str) -> None:
    cases = [case for case in CASES if all(word in case.words for word in words)]
    names = versions()
    text = table(cases, asyncio.run(measure(cases)), names)
    print(text)
    if not words:
        write_block(BLOCK, text)
        print(f"written to {PAGE.name}", file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])

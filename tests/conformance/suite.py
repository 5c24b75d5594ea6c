"""Runs the client scenarios of the MCP conformance suite, one at a time, and writes the table.

    python -m tests.conformance.suite [--only SCENARIO] [--sdk COMMAND] [--write]

One scenario at a time, because the suite's own way to run all of them ignores how the client ended.
A scenario without a single check that succeeded counts as empty, and not as passed.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
NODE = ROOT / "tests" / "node" / "node_modules"
SUITE = NODE / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
TABLE = ROOT / "docs" / "conformance.md"
EXPECTED = HERE / "expected.json"
OURS = f"{sys.executable} {HERE / 'driver.py'}"
BARE = ""
DEADLINE = 90.0  # seconds for one scenario

_LINE = re.compile(r"^\s*- (\S+) \[(.*)\]$")
_REVISION = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True)
class Cell:
    """One scenario at one revision; `BARE` is the suite's own choice."""

    scenario: str
    revision: str

    def __str__(self) -> str:
        return f"{self.scenario}@{self.revision}" if self.revision else self.scenario


@dataclass(frozen=True)
class Outcome:
    """How a cell ended: `passed` of `scored` checks, and why if not all is well."""

    verdict: Literal["pass", "empty", "fail"]
    passed: int
    scored: int
    words: str = ""

    def __str__(self) -> str:
        return f"{self.verdict} {self.passed}/{self.scored}"


@cache
def node() -> str | None:
    """A Node that runs the suite (22 or newer): npm's own `node`, or the one on the path."""
    packaged = NODE / "node" / "bin" / "node"
    for found in (str(packaged) if packaged.is_file() else None, shutil.which("node")):
        if found is None:
            continue
        told = subprocess.run([found, "--version"], capture_output=True, text=True, check=False)
        version = re.match(r"v(\d+)", told.stdout)
        if version is not None and int(version[1]) >= 22:
            return found
    return None


def cells() -> list[Cell]:
    """Every scenario at each revision that it is for, and without one."""
    told = _run(["list", "--client"], {})
    found: list[Cell] = []
    for line in told.stdout.splitlines():
        if match := _LINE.match(line):
            found.append(Cell(match[1], BARE))
            found += [Cell(match[1], revision) for revision in _REVISION.findall(match[2])]
    return found


def run(cell: Cell, command: str = OURS) -> Outcome:
    """Run one cell with a client."""
    words = ["client", "--command", command, "--scenario", cell.scenario, "--timeout", "60000"]
    if cell.revision:
        words += ["--spec-version", cell.revision]
    with tempfile.TemporaryDirectory() as folder:
        done = _run([*words, "--output-dir", folder], {})
        checks = [check for check in _checks(Path(folder)) if check["status"] != "INFO"]
        passed = sum(check["status"] == "SUCCESS" for check in checks)
        scored = sum(check["status"] in ("SUCCESS", "FAILURE", "WARNING") for check in checks)
        bad = [f"{c['id']}: {c.get('errorMessage', c['status'])}" for c in checks if _is_bad(c)]
        said = (done.stdout + done.stderr)[-4000:] + _client_words(Path(folder))
    if done.returncode or bad:
        return Outcome("fail", passed, scored, "; ".join(bad) or said)
    return Outcome("pass" if passed else "empty", passed, scored, said)


def _is_bad(check: dict[str, Any]) -> bool:
    return check["status"] in ("FAILURE", "WARNING")


def _checks(folder: Path) -> list[dict[str, Any]]:
    return [check for file in folder.rglob("checks.json") for check in json.loads(file.read_text())]


def _client_words(folder: Path) -> str:
    texts = [file.read_text()[-3000:] for file in sorted(folder.rglob("std*.txt"))]
    return "\n".join(texts)


def _run(words: Sequence[str], env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    found = node()
    assert found is not None, "the suite needs Node 22 or newer"
    return subprocess.run(
        [found, str(SUITE), *words],
        env={**os.environ, "NO_COLOR": "1", **env},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


def table(ours: dict[Cell, Outcome], theirs: dict[Cell, Outcome]) -> str:
    """The page for the docs."""
    revisions = sorted({cell.revision for cell in ours if cell.revision})
    columns = [*revisions, BARE]
    lines = [_INTRODUCTION, "", f"| scenario | {' | '.join(r or 'bare' for r in columns)} |"]
    lines.append("| --- " * (len(columns) + 1) + "|")
    for scenario in dict.fromkeys(cell.scenario for cell in ours):
        row = [_cell(Cell(scenario, revision), ours, theirs) for revision in columns]
        lines.append(f"| `{scenario}` | {' | '.join(row)} |")
    lines += ["", *(_sum(revision, ours, theirs) for revision in columns), ""]
    return "\n".join(lines)


def _cell(cell: Cell, ours: dict[Cell, Outcome], theirs: dict[Cell, Outcome]) -> str:
    if cell not in ours:
        return ""
    return str(ours[cell]) + (f" (SDK: {theirs[cell]})" if cell in theirs else "")


def _sum(revision: str, ours: dict[Cell, Outcome], theirs: dict[Cell, Outcome]) -> str:
    def passed(outcomes: dict[Cell, Outcome]) -> str:
        mine = [o for cell, o in outcomes.items() if cell.revision == revision]
        return f"{sum(o.verdict == 'pass' for o in mine)} of {len(mine)}"

    name = revision or "without `--spec-version`"
    other = f"; the SDK's client: {passed(theirs)}" if theirs else ""
    return f"- {name}: {passed(ours)}{other}"


_INTRODUCTION = """\
# Conformance

What `main.py` makes of the client scenarios of
[the MCP conformance suite](https://www.npmjs.com/package/@modelcontextprotocol/conformance)
(0.2.0-alpha.12), run one at a time, always with auto-detection. A cell says how the scenario ended
and how many of its checks succeeded; `empty` is a pass without a check. "SDK" is the client that
the official Python SDK ships for this suite. The page is written by
`python -m tests.conformance.suite --sdk 'COMMAND' --write`."""


def _told(outcomes: dict[Cell, Outcome], wanted: Sequence[Cell], command: str) -> Iterator[str]:
    for cell in wanted:
        outcomes[cell] = run(cell, command)
        bad = "" if outcomes[cell].verdict == "pass" else f"  {outcomes[cell].words[-1500:]}"
        yield f"{cell}: {outcomes[cell]}{bad}"


def main(argv: Sequence[str]) -> int:
    """Run what the words say; 1 if a scenario does not pass."""
    parser = argparse.ArgumentParser(prog="tests.conformance.suite")
    parser.add_argument("--only", help="scenarios with this in their name")
    parser.add_argument("--bare", action="store_true", help="without the revisions")
    parser.add_argument("--sdk", help="another client's command, run as well")
    parser.add_argument("--write", action="store_true", help=f"write {TABLE.name}")
    told = parser.parse_args(argv)
    wanted = [cell for cell in cells() if not told.only or told.only in cell.scenario]
    wanted = [cell for cell in wanted if not (told.bare and cell.revision)]
    ours: dict[Cell, Outcome] = {}
    theirs: dict[Cell, Outcome] = {}
    for line in _told(ours, wanted, OURS):
        print(line, flush=True)  # noqa: T201  a command
    if told.sdk:
        for line in _told(theirs, wanted, told.sdk):
            print(f"SDK {line[:200]}", flush=True)  # noqa: T201  a command
    if told.write:
        TABLE.write_text(table(ours, theirs), "utf-8")
    return 0 if all(outcome.verdict == "pass" for outcome in ours.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

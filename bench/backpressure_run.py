"""The run that `bench.backpressure` measures: a server, the client with its slow disk, and samples.

The disk is made slow from outside: `strace` keeps each write to the recording waiting for a second
before the system does it. The client is `main.py` as it is, with the recording as its only sink;
it writes what its mailbox holds in one write, so a batch is a write.
"""

import asyncio
import contextlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import NamedTuple

from tests.support.program import MAIN, Program, running

SLOWNESS = 1.0  # seconds for each batch
_TICK = 0.1
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PATIENCE = (
    600.0  # seconds for a call that has a million events before its result: with no progress
)
_TEXT = re.compile(rb'"kind":"server_logged".*?"text":"event (\d+)')
_DELAYED = re.compile(r"= (\d+) \(DELAYED\)")
_FILLER = " of a server that has much to say"


class NotMeasuredError(Exception):
    """Something is missing or went otherwise than it must; the text says what."""


class Sample(NamedTuple):
    """`at` in seconds from the first event on; bytes in memory; events through the sink."""

    at: float
    client: int
    server: int
    through: int


class Sent(NamedTuple):
    """What the server reports: see `bench.backpressure_server`."""

    at: float
    sent: int
    bytes: int
    waits: int
    waited: float


@dataclass
class Measured:
    """A whole run. `batches` are the bytes of each write; `high` items fill the sink's mailbox."""

    events: int
    high: int
    samples: list[Sample] = field(default_factory=list[Sample])
    sent: list[Sent] = field(default_factory=list[Sent])
    batches: list[int] = field(default_factory=list[int])

    def lines_of_a_batch(self) -> float:
        """The median: each event makes two lines, and there are a few others."""
        return 2 * self.events * median(self.batches) / sum(self.batches)

    def at_share(self, share: float) -> Sample:
        """The first sample with that share of the events through the sink."""
        return next(s for s in self.samples if s.through >= share * self.events)

    def ahead(self) -> list[tuple[float, int]]:
        """At each sample: how many events the socket had taken that were not yet through."""
        found: list[tuple[float, int]] = []
        reports = iter(self.sent)
        report = next(reports)
        for sample in self.samples:
            while report.at < sample.at and (later := next(reports, None)) is not None:
                report = later
            found.append((sample.at, max(0, report.sent - sample.through)))
        return found


class Through:
    """What has come through the sink: a recording that grows, and whose events are in order."""

    def __init__(self, path: Path) -> None:
        self.count = 0
        self._path = path
        self._place = 0

    def look(self) -> int:
        """How many events are there by now.

        Raises:
            NotMeasuredError: If one is missing, doubled, or not where it belongs.
        """
        if not self._path.exists():
            return 0
        with self._path.open("rb") as file:
            file.seek(self._place)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._place += len(whole) + len(newline)
        for number in _TEXT.findall(whole):
            if int(number) != self.count + 1:
                raise NotMeasuredError(f"found event {int(number)} after event {self.count}")
            self.count += 1
        return self.count


def require_strace() -> str:
    """Its path.

    Raises:
        NotMeasuredError: If there is none.
    """
    if (found := shutil.which("strace")) is None:
        raise NotMeasuredError("found no strace, expected one: it makes the disk slow; install it")
    return found


async def measure(events: int, high: int, folder: Path) -> Measured:
    """Run to the end, in an empty folder.

    Raises:
        NotMeasuredError: If an event was lost, doubled or out of order, or a process failed.
    """
    measured = Measured(events, high)
    path, writes = folder / "run.jsonl", folder / "writes.txt"
    path.touch(0o600)  # strace follows a path that is there
    async with _server(events, measured.sent) as (url, server_pid):
        argv = (
            "--server",
            url,
            "--dialect",
            "sse",
            "--sink",
            "jsonl=run.jsonl",
            "--sink",
            "console",
        )
        patience = str(_PATIENCE + events)
        argv += ("--call-timeout", patience, "--call-timeout-max", patience)
        env = {"RXMCP_MAILBOX_HIGH": str(high), "RXMCP_MAILBOX_LOW": str(high // 4)}
        command = (*_slow_disk(path, writes), sys.executable, str(MAIN))
        async with running(*argv, cwd=folder, env=env, command=command) as program:
            await program.say("act n=1\n")
            program.end_input()
            await _watch(program, server_pid, measured, Through(path))
    measured.batches = [int(size) for size in _DELAYED.findall(writes.read_text("utf-8"))]
    began = measured.sent[0].at
    measured.samples = [s._replace(at=s.at - began) for s in measured.samples]
    measured.sent = [s._replace(at=s.at - began) for s in measured.sent]
    return measured


def _slow_disk(path: Path, log: Path) -> Sequence[str]:
    how = f"inject=write:delay_enter={SLOWNESS * 1e6:.0f}"
    only = ("-f", "--seccomp-bpf", "-qq", "-s", "0", "-P", str(path), "-e", "trace=write")
    return (require_strace(), *only, "-e", how, "-o", str(log))


@asynccontextmanager
async def _server(events: int, reports: list[Sent]) -> AsyncGenerator[tuple[str, int]]:
    pipe = asyncio.subprocess.PIPE
    argv = ("-m", "bench.backpressure_server", str(events), _FILLER)
    process = await asyncio.create_subprocess_exec(
        sys.executable, *argv, stdin=pipe, stdout=pipe, cwd=MAIN.parent
    )
    assert process.stdin is not None
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().strip()
    reader = asyncio.create_task(_read_reports(process.stdout, reports))
    try:
        yield url, process.pid
    finally:
        process.stdin.close()
        await process.wait()
        await reader


async def _read_reports(stream: asyncio.StreamReader, reports: list[Sent]) -> None:
    while line := await stream.readline():
        report = Sent(**json.loads(line))
        if report.sent:
            reports.append(report)


async def _watch(program: Program, server: int, measured: Measured, through: Through) -> None:
    deadline = _PATIENCE + SLOWNESS * 3 * measured.events / measured.high
    over = asyncio.create_task(program.ended(deadline))
    while not over.done():
        await asyncio.wait([over], timeout=_TICK)
        client = _child_of(program.pid)
        if client is not None and measured.sent:
            found = _rss(client), _rss(server), through.look()
            measured.samples.append(Sample(time.monotonic(), *found))
    ended = await over
    if ended.code != 0 or "did 1" not in ended.out or through.look() != measured.events:
        raise NotMeasuredError(
            f"the client ended with {ended.code}, {through.count} of {measured.events} events "
            f"recorded; it said {ended.out[-500:]!r}, {ended.err[-500:]!r}"
        )


def _child_of(pid: int) -> int | None:
    with contextlib.suppress(OSError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
        return int(children[0]) if children else None
    return None


def _rss(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * _PAGE
    return 0

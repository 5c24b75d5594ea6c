"""Chat turns against servers that fail at random, for a given time: `python -m bench.soak`.

    python -m bench.soak --seconds 600 --seeds 1,2,3,4,5     writes docs/reliability.md, too
    python -m bench.soak --seconds 600 --seeds 1,2,3,4,5 --jobs 5    the same, side by side
    python -m bench.soak --seeds 7 --chat 12     the twelfth chat of that seed once more

Each chat is a whole run of the client in this process, with five servers, one of each kind. What
goes wrong is drawn from the seed, call by call; what it meets there is up to the machine. After
each turn and each chat the checks of `soak_checks.py` and `soak_watch.py` are made: every call has
ended, in order, once, and the ledgers of the servers agree; no connection, file, task or process
is left, and memory stays flat. What is wrong is printed with the command that runs it once more,
and the exit status is 1.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median

from bench.page import write_block
from bench.soak_chat import Chat, Totals, WrongError
from bench.soak_draw import HTTP, draw
from bench.soak_watch import (
    MOST_GROWTH,
    Ear,
    Point,
    Sample,
    check_memory,
    check_samples,
    growth,
    look_for_left,
    peak_rss,
    sample,
    settled,
)

_SERVERS = len(HTTP) + 1


@dataclass
class Soaked:
    """What a seed came to."""

    seed: int
    totals: Totals = field(default_factory=Totals)
    samples: list[Sample] = field(default_factory=list[Sample])
    seconds: float = 0.0
    peak: int = 0  # bytes: the most that its process ever had in memory

    @property
    def sizes(self) -> list[Point]:
        """Bytes in use after each chat."""
        return [(each.turns, each.held) for each in self.samples]

    @property
    def begun_anew(self) -> int:
        """Sessions, but for the first of each server in each chat."""
        return self.totals.seen["SessionReady"] - _SERVERS * len(self.samples)


async def soak(seed: int, seconds: float, *, chat: int = 0, turns: int | None = None) -> Soaked:
    """Chat for so long, at least once; or only that one chat.

    Raises:
        WrongError: At the first thing that is not as it must be.
    """
    soaked, ear, began = Soaked(seed), Ear(), time.monotonic()
    number = chat or 1
    while True:
        try:
            with tempfile.TemporaryDirectory(prefix="soak-") as folder:
                await Chat(draw(seed, number, turns), Path(folder), soaked.totals).run()
            await _check_between(soaked, ear)
        except WrongError as exc:
            again = f"python -m bench.soak --seeds {seed} --chat {number}"
            raise WrongError(f"chat {number} of seed {seed}:\n  {exc}\nagain: {again}") from None
        soaked.seconds, soaked.peak = time.monotonic() - began, peak_rss()
        if chat or soaked.seconds >= seconds:
            return soaked
        number += 1


async def _check_between(soaked: Soaked, ear: Ear) -> None:
    """Nothing is under way: nothing may be left, and nothing may have grown."""

    def look() -> list[str]:
        now = sample(soaked.totals.turns)
        first = soaked.samples[0] if soaked.samples else now
        return [*look_for_left(), *check_samples(first.files, now.files)]

    wrong = await settled(look)
    soaked.samples.append(sample(soaked.totals.turns))
    wrong += [*check_memory(soaked.sizes, MOST_GROWTH), *ear.heard]
    if wrong:
        raise WrongError("\n  ".join(wrong))


# --- telling ------------------------------------------------------------------------------------


def told(soaked: Soaked) -> str:
    """What a seed came to, on a few lines."""
    totals, samples = soaked.totals, soaked.samples
    seen, first, last = totals.seen, samples[0], samples[-1]
    rise = growth(soaked.sizes)
    grown = "too few chats to say how it grows" if rise is None else f"{rise:+.0f} bytes a turn"
    grown += f", {median(soaked.totals.growths):+.0f} within a chat"
    lines = (
        f"seed {soaked.seed}: {totals.turns} turns in {len(samples)} chats, "
        f"{soaked.seconds:.0f} s, nothing wrong",
        f"{totals.calls.total()} calls: {_words(totals.calls)}; sent again {seen['ToolRepeated']}",
        f"{totals.faults.total()} faults: {_words(_kinds([soaked]))}",
        f"{seen['StreamLost']} connections lost, {soaked.begun_anew} sessions begun anew",
        f"memory {_mib(first.rss)} after the first chat, {_mib(last.rss)} after the last, "
        f"{_mib(soaked.peak)} at most, {grown}",
        f"open files: {len(first.files)} after the first chat, {len(last.files)} after the last",
    )
    return "\n  ".join(lines)


def table(seeds: Sequence[Soaked]) -> str:
    """The same of all seeds, for the page."""
    lines = [
        "| Seed | Seconds | Turns | Calls | Answered, error, unknown, not sent | Sent again "
        "| Faults | Connections lost | Sessions begun anew | Memory, first and last chat "
        "| Open files |",
        "| --- " * 11 + "|",
    ]
    for soaked in seeds:
        totals, samples = soaked.totals, soaked.samples
        calls, seen = totals.calls, totals.seen
        ends = ", ".join(f"{calls[end]:,}" for end in ("answered", "error", "unknown", "not_sent"))
        memory = f"{_mib(samples[0].rss)}, {_mib(samples[-1].rss)}"
        files = f"{len(samples[0].files)}, {len(samples[-1].files)}"
        numbers = (
            *(soaked.seed, f"{soaked.seconds:.0f}", f"{totals.turns:,}", f"{calls.total():,}"),
            *(ends, seen["ToolRepeated"], f"{totals.faults.total():,}", f"{seen['StreamLost']:,}"),
            *(f"{soaked.begun_anew:,}", memory, files),
        )
        lines.append(f"| {' | '.join(map(str, numbers))} |")
    return "\n".join([*lines, "", f"Faults by kind: {_words(_kinds(seeds))}. Violations: 0."])


def _kinds(seeds: Sequence[Soaked]) -> Counter[str]:
    """The faults, whichever server made them."""
    kinds = Counter[str]()
    for soaked in seeds:
        for name, count in soaked.totals.faults.items():
            kinds[name.partition(" ")[2]] += count
    return kinds


def _words(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))


def _mib(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(description="chat turns against servers that fail at random")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each seed [60]")
    parser.add_argument("--seeds", type=_numbers, default=[1], help="several with commas [1]")
    parser.add_argument("--chat", type=int, default=0, help="only this chat of each seed")
    parser.add_argument("--no-docs", action="store_true", help="print only")
    parser.add_argument("--jobs", type=int, default=1, help="seeds at a time, each a process [1]")
    given = parser.parse_args()
    done: list[Soaked] = []
    is_wrong = False
    with ExitStack() as stack:
        for run in _runs(given, stack):
            try:
                done.append(run())
            except WrongError as exc:
                print(f"WRONG in {exc}", flush=True)
                is_wrong = True
            else:
                print(told(done[-1]), flush=True)
    if not (given.chat or given.no_docs or is_wrong):
        write_block("bench.soak", table(done))
    return int(is_wrong)


def _runs(given: argparse.Namespace, stack: ExitStack) -> list[Callable[[], Soaked]]:
    """What gives the result of each seed: here, one by one, or in processes of their own."""
    words = [(seed, given.seconds, given.chat) for seed in given.seeds]
    if given.jobs == 1:
        return [partial(_soaked, *each) for each in words]
    pool = ProcessPoolExecutor(given.jobs, get_context("spawn"), max_tasks_per_child=1)
    stack.enter_context(pool)
    return [pool.submit(_soaked, *each).result for each in words]


def _soaked(seed: int, seconds: float, chat: int) -> Soaked:
    return asyncio.run(soak(seed, seconds, chat=chat))


if __name__ == "__main__":
    sys.exit(main())

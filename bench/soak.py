"""Chat turns against servers that fail at random, for a given time: `python -m bench.soak`.

    python -m bench.soak --minutes 10 --seeds 5
    python -m bench.soak --seed 7 --chat 12     the twelfth chat of that seed once more

Each chat is a whole run of the client in this process, with four servers, one of each kind. What
goes wrong is drawn from the seed, call by call; what it meets there is up to the machine. After
each turn and each chat the checks of `soak_checks.py` are made, and after each chat nothing may be
left: no task, no connection, no process, no open file; memory stays flat. What is wrong is printed
with the seed, and the exit status is 1.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from bench.soak_chat import TURNS, Chat, Totals, WrongError, draw
from bench.soak_watch import Ear, Sample, check_left, check_samples, peak_rss, sample, slope


async def soak(seed: int, seconds: float, *, chat: int | None = None, turns: int = TURNS) -> Totals:
    """Chat for so long, at least once; or only that one chat.

    Raises:
        WrongError: At the first thing that is not as it must be.
    """
    totals, samples, ear = Totals(), list[Sample](), Ear()
    number, until = chat or 1, time.monotonic() + seconds
    while True:
        try:
            drawn = draw(f"{seed}/{number}", turns)
            with tempfile.TemporaryDirectory(prefix="soak-") as folder:
                await Chat(drawn, Path(folder), totals).run()
            left = await check_left()
            samples.append(sample(totals.turns))
            wrong = [*left, *check_samples(samples), *ear.heard]
            if wrong:
                raise WrongError("\n  ".join(wrong))
        except WrongError as exc:
            again = f"python -m bench.soak --seed {seed} --chat {number}"
            raise WrongError(f"chat {number} of seed {seed}:\n  {exc}\nagain: {again}") from None
        if chat is not None or time.monotonic() >= until:
            _tell(seed, totals, samples)
            return totals
        number += 1


def _tell(seed: int, totals: Totals, samples: list[Sample]) -> None:
    def words(counts: Counter[str]) -> str:
        return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))

    rise = slope(samples)
    grown = "too few chats to say how it grows" if rise is None else f"{rise:+.0f} bytes a turn"
    fds = sorted({len(each.files) for each in samples})
    seen, calls = totals.seen, totals.calls.total()
    reconnects = seen["SessionReady"] - 4 * len(samples)
    print(f"seed {seed}: {totals.turns} turns in {len(samples)} chats, nothing wrong")
    print(f"  {calls} calls: {words(totals.calls)}; sent again {seen['ToolRepeated']}")
    print(f"  {totals.faults.total()} faults: {words(totals.faults)}")
    print(f"  {seen['StreamLost']} connections lost, {reconnects} sessions begun anew")
    print(f"  memory {peak_rss() / 2**20:.0f} MiB at most, {grown}; open files {fds}")


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(description="chat turns against servers that fail at random")
    parser.add_argument("--minutes", type=float, default=1.0, help="for each seed [1]")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--seeds", type=int, default=1, help="so many, from --seed on [1]")
    parser.add_argument("--chat", type=int, help="only this chat of the seed")
    given = parser.parse_args()
    for seed in range(given.seed, given.seed + given.seeds):
        print(f"seed {seed}", flush=True)
        try:
            asyncio.run(soak(seed, given.minutes * 60, chat=given.chat))
        except WrongError as exc:
            print(f"WRONG in {exc}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

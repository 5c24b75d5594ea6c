"""Signals at random moments of a recording run, again and again: `python -m bench.interrupts`.

Each time the whole program records calls at a server that keeps a ledger, and gets SIGINT, SIGTERM
or SIGHUP some milliseconds after a request that was drawn, now and then twice. Then must hold:

* it ends in seconds, without a traceback, with 128 and the number of the signal;
* the recording loads to its last whole line, and what the server executed stands there as started;
* after one signal: it ends with `run_ended`, each call that was started has ended once, what was
  told of it agrees with the ledger, and the server was left: no connection, no session.

    python -m bench.interrupts                          200 times
    python -m bench.interrupts --seed 7 --first 12      from the twelfth of that seed on
"""

import argparse
import asyncio
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.kills_checks import check_killed, check_resumed
from pipeline.core.codec import Entry
from pipeline.core.events import RunEnded
from pipeline.shell.recordings import RecordingError, last_run
from tests.faults.dialects import DIALECTS, FLAGS, Dialect
from tests.faults.switchboard import Switchboard, switchboard
from tests.support.program import Ended, running

_TURNS, _CALLS = 6, 3
_HANDSHAKE = {"seed": 0, "sse": 2, "http": 2, "modern": 2}  # requests before the first call
_JITTER = 0.02  # seconds within which the signal comes after the request that was drawn
_TWICE = 0.2  # of all runs get a second one, within the same time
_DEADLINE = 60.0
_SIGNALS = (signal.SIGINT, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass
class Interrupt:
    """What was drawn, and what it came to; `wrong` is empty if all was as it must be."""

    dialect: Dialect
    number: signal.Signals
    at_request: int
    is_twice: bool
    entries: int = 0
    executed: int = 0
    wrong: list[str] = field(default_factory=list[str])

    @classmethod
    def draw(cls, chance: random.Random) -> "Interrupt":
        dialect = chance.choice(DIALECTS)
        at = chance.randrange(1, _HANDSHAKE[dialect] + _TURNS * _CALLS)
        return cls(dialect, chance.choice(_SIGNALS), at, chance.random() < _TWICE)


async def interrupt_once(seed: str, folder: Path) -> Interrupt:
    """Record, interrupt, and look, all in an empty `folder`.

    Raises:
        AssertionError: If the run goes on.
        RecordingError: If the recording cannot be read.
    """
    chance = random.Random(seed)
    drawn = Interrupt.draw(chance)
    async with switchboard(drawn.dialect) as server:
        ended = await _interrupted(server, folder, drawn, chance)
        await server.is_alone()
    entries = list(last_run(folder / "run.jsonl").entries())
    drawn.entries, drawn.executed = len(entries), server.ledger.executed.total()
    drawn.wrong += _check_end(ended, drawn) + check_killed(entries, server.ledger.executed)
    if not drawn.is_twice:
        drawn.wrong += _check_order(entries, server, drawn)
    return drawn


async def _interrupted(
    server: Switchboard, folder: Path, drawn: Interrupt, chance: random.Random
) -> Ended:
    numbers = iter(range(1, _TURNS * _CALLS + 1))
    turn = " ; ".join(("act n={}", "look n={}", "act n={}")) + "\n"
    prompts = [turn.format(*(next(numbers) for _ in range(_CALLS))) for _ in range(_TURNS)]
    words = ("--server", server.url, "--dialect", FLAGS[server.dialect], "--sink", "console")
    async with running(*words, "--sink", "jsonl=run.jsonl", cwd=folder) as program:
        await program.say("".join(prompts))
        async with asyncio.timeout(_DEADLINE):
            await server.reached(drawn.at_request)
        for _ in range(1 + drawn.is_twice):
            await asyncio.sleep(chance.uniform(0, _JITTER))
            program.signal(drawn.number)
        return await program.ended()


def _check_end(ended: Ended, drawn: Interrupt) -> list[str]:
    wrong: list[str] = []
    # The second one may come when all is done, and end the process as it ends any other.
    fitting = {128 + drawn.number, -drawn.number} if drawn.is_twice else {128 + drawn.number}
    if ended.code not in fitting:
        wrong.append(f"found exit status {ended.code}, expected {128 + drawn.number}: {ended.err}")
    if "Traceback" in ended.err or "Exception ignored" in ended.err:
        wrong.append(f"it told of a fault: {ended.err}")
    return wrong


def _check_order(entries: Sequence[Entry], server: Switchboard, drawn: Interrupt) -> list[str]:
    wrong = check_resumed(entries, entries, server.ledger.executed)
    last = entries[-1].item if entries else None
    if last != RunEnded(code=128 + drawn.number, reason="interrupted"):
        wrong.append(f"found {last} at the end of the recording")
    if server.sessions:
        wrong.append(f"no leave was taken of {sorted(server.sessions)}")
    return wrong


async def main(count: int, seed: int, first: int = 1) -> int:
    """The exit status: 1 if anything was wrong."""
    totals: Counter[str] = Counter()
    began = time.monotonic()
    for number in range(first, count + 1):
        folder = Path(tempfile.mkdtemp(prefix="interrupts-"))
        try:
            drawn = await interrupt_once(f"{seed}/{number}", folder)
            wrong = drawn.wrong
        except (RecordingError, AssertionError, TimeoutError) as exc:
            drawn, wrong = None, [repr(exc)]
        if drawn is None or wrong:
            print(f"\rinterrupt {number} of seed {seed}: {drawn}", *wrong, sep="\n  ")
            print(f"  its files: {folder}")
            print(f"  again: python -m bench.interrupts --seed {seed} --first {number}")
            return 1
        shutil.rmtree(folder)
        totals.update({drawn.number.name: 1, "twice": drawn.is_twice, "executed": drawn.executed})
        if sys.stderr.isatty():
            print(f"\r{number} of {count}", end="", file=sys.stderr, flush=True)
    words = ", ".join(f"{count} {name}" for name, count in sorted(totals.items()))
    print(f"\rseed {seed}, {time.monotonic() - began:.0f} s: {words}; nothing wrong")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="signals at random moments of a recording run")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--first", type=int, default=1, help="go on with this one of the seed")
    given = parser.parse_args()
    sys.exit(asyncio.run(main(given.count, given.seed, given.first)))

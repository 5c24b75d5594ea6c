"""`kill -9` of a recording run at random moments, again and again: `python -m bench.kills`.

Each time the whole program records calls at a server that keeps a ledger, and dies some
milliseconds after a request that was drawn. Then must hold:

* the recording loads up to its last whole line, and `seq` has no gap;
* what the server executed stands there as started: it was written before it was sent;
* `resume` ends well, each call that was started has ended once, and one that may do harm was
  executed once at most, and exactly once if it was answered;
* the recording, with what the resumed run added, replays without a difference.

    python -m bench.kills                          200 times; writes docs/reliability.md, too
    python -m bench.kills --seed 7 --first 12      the twelfth of that seed once more, and so on
"""

import argparse
import asyncio
import contextlib
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from bench.kills_checks import check_killed, check_resumed
from bench.page import write_block
from pipeline.core.events import ToolEnded, ToolRepeated, ToolStarted
from pipeline.replay import ReplayOptions, replay
from pipeline.shell.recordings import RecordingError, last_run
from tests.faults.dialects import DIALECTS, FLAGS
from tests.faults.switchboard import Switchboard, switchboard
from tests.support.program import Program, run, running

_TURNS, _CALLS = 12, 3
_HANDSHAKE = {"seed": 0, "sse": 2, "http": 2, "modern": 2}  # requests before the first call
_JITTER = 0.02  # seconds within which it dies after the request that was drawn
_DEADLINE = 60.0
_AT_SERVER = ("--call-timeout", "5")


@dataclass
class Kill:
    """What one of them came to; `wrong` is empty if all was as it must be."""

    dialect: str
    at_request: int
    entries: int = 0
    is_torn: bool = False
    started: int = 0
    outcomes: Counter[str] = field(default_factory=Counter[str])
    repeated: int = 0
    wrong: list[str] = field(default_factory=list[str])


class StuckError(Exception):
    """A run did not even come to the request at which it was to be killed."""


async def kill_once(seed: str, folder: Path) -> Kill:
    """Record, kill, look, resume, and look again, all in an empty `folder`.

    Raises:
        StuckError: If the run hangs before it can be killed.
        RecordingError: If the recording cannot be read.
    """
    chance = random.Random(seed)
    dialect = chance.choice(DIALECTS)
    at = chance.randrange(1, _HANDSHAKE[dialect] + _TURNS * _CALLS)
    kill = Kill(dialect, at)
    path = folder / "run.jsonl"
    async with switchboard(dialect) as server:
        await _die(server, folder, at=at, delay=chance.uniform(0, _JITTER))
        kill.is_torn = not path.read_bytes().endswith(b"\n")
        before = list(last_run(path).entries())
        kill.entries = len(before)
        kill.wrong += check_killed(before, server.ledger.executed)
        resumed = await run("resume", "run.jsonl", *_AT_SERVER, cwd=folder, seconds=_DEADLINE)
        if resumed.code != 0:
            kill.wrong.append(f"resume ended with {resumed.code}: {resumed.err[-500:]}")
    after = last_run(path)
    entries = list(after.entries())
    kill.wrong += check_resumed(before, entries, server.ledger.executed)
    replayed = await replay(after, [], ReplayOptions(check=True))
    if replayed.difference is not None:
        kill.wrong.append(f"the replay differs: {replayed.difference}")
    kill.started = sum(isinstance(entry.item, ToolStarted) for entry in entries)
    kill.repeated = sum(isinstance(entry.item, ToolRepeated) for entry in entries)
    kill.outcomes.update(e.item.outcome for e in entries if isinstance(e.item, ToolEnded))
    return kill


async def _die(server: Switchboard, folder: Path, *, at: int, delay: float) -> None:
    numbers = iter(range(1, _TURNS * _CALLS + 1))
    turn = ("act n={}", "look n={}", "act n={}")
    prompts = "".join(
        " ; ".join(call.format(next(numbers)) for call in turn) + "\n" for _ in range(_TURNS)
    )
    words = ("--server", server.url, "--dialect", FLAGS[server.dialect], *_AT_SERVER)
    sinks = ("--sink", "console", "--sink", "jsonl=run.jsonl")
    env = {"PYTHONFAULTHANDLER": "1"}
    async with running(*words, *sinks, cwd=folder, env=env) as program:
        await program.say(prompts)
        reaching = asyncio.create_task(server.reached(at))
        await asyncio.wait([reaching], timeout=_DEADLINE)
        if not reaching.done():
            reaching.cancel()
            raise StuckError(await _why_stuck(program, server, at))
        await asyncio.sleep(delay)
        program.signal(signal.SIGKILL)
        await program.ended()


async def _why_stuck(program: Program, server: Switchboard, at: int) -> str:
    """All that can be known of it: SIGABRT has Python tell where each thread is."""
    with contextlib.suppress(ProcessLookupError):
        program.signal(signal.SIGABRT)
    ended = await program.ended()
    seen = [each.method for each in server.seen]
    return (
        f"the run came to {server.asked.total()} requests of {at} in {_DEADLINE:g} s, the last "
        f"were {seen[-5:]}; it said {ended.out[-500:]!r} and {ended.err[-3000:]!r}"
    )


# --- telling ------------------------------------------------------------------------------------


def table(totals: Counter[str]) -> str:
    """What the kills came to, for the page."""
    rows = {
        "kills": totals["kills"],
        "of them in the middle of a line": totals["torn"],
        "events recorded before the kills, all of them there afterwards": totals["entries"],
        "calls started, before or after": totals["started"],
        "of them answered": totals["answered"],
        "of them with an unknown outcome, and told so": totals["unknown"],
        "of them not sent": totals["not_sent"],
        "made again, because they only read": totals["repeated"],
        "violations": 0,
    }
    return "\n".join(
        ["| | |", "| --- | --- |", *(f"| {what} | {count:,} |" for what, count in rows.items())]
    )


async def kill_often(kills: int, seed: int, first: int, totals: Counter[str]) -> int:
    """The exit status: 1 if anything was wrong."""
    began = time.monotonic()
    for number in range(first, kills + 1):
        folder = Path(tempfile.mkdtemp(prefix="kills-"))
        try:
            kill = await kill_once(f"{seed}/{number}", folder)
            wrong = kill.wrong
        except (StuckError, RecordingError, AssertionError) as exc:
            kill, wrong = None, [str(exc)]
        if kill is None or wrong:
            print(f"\rkill {number} of seed {seed}: {kill}", *wrong, sep="\n  ")
            print(f"  its files: {folder}")
            print(f"  again: python -m bench.kills --seed {seed} --first {number}")
            return 1
        shutil.rmtree(folder)
        totals.update(kill.outcomes)
        totals.update(
            kills=1, torn=kill.is_torn, entries=kill.entries, started=kill.started,
            repeated=kill.repeated,
        )  # fmt: skip
        if sys.stderr.isatty():
            print(f"\r{number} of {kills}", end="", file=sys.stderr, flush=True)
    words = ", ".join(f"{count} {name}" for name, count in sorted(totals.items()))
    print(f"\rseed {seed}, {time.monotonic() - began:.0f} s: {words}; nothing wrong")
    return 0


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(description="kill -9 at random moments of a recording run")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--first", type=int, default=1, help="go on with this one of the seed")
    parser.add_argument("--no-docs", action="store_true", help="print only")
    given = parser.parse_args()
    totals = Counter[str]()
    status = asyncio.run(kill_often(given.kills, given.seed, given.first, totals))
    if status == 0 and given.first == 1 and not given.no_docs:
        write_block("bench.kills", table(totals))
    return status


if __name__ == "__main__":
    sys.exit(main())

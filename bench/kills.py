"""`kill -9` of a recording run at random moments, again and again: `python -m bench.kills`.

Each time the whole program records calls at a server that keeps a ledger, and dies some
milliseconds after a request that was drawn. Then must hold:

* the recording loads up to its last whole line, and `seq` has no gap;
* what the server executed stands there as started: it was written before it was sent;
* `resume` ends well, each call that was started has ended once, and one that may do harm was
  executed once at most, and exactly once if it was answered;
* the recording, with what the resumed run added, replays without a difference.
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

from bench.soak_server import FaultyServer, serving
from pipeline.core.codec import Entry
from pipeline.core.events import RunEnded, ToolEnded, ToolRepeated, ToolStarted
from pipeline.replay import ReplayOptions, replay
from pipeline.shell.recordings import RecordingError, last_run
from tests.support.program import run, running

DIALECTS = ("sse", "http", "modern")
_TURNS, _CALLS = 12, 3
_HANDSHAKE = 2  # requests before the first call, at least
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
    at = chance.randrange(1, _HANDSHAKE + _TURNS * _CALLS)
    kill = Kill(dialect, at)
    path = folder / "run.jsonl"
    async with serving(dialect) as server:
        await _die(server, folder, at=at, delay=chance.uniform(0, _JITTER))
        kill.is_torn = not path.read_bytes().endswith(b"\n")
        before = list(last_run(path).entries())
        kill.entries = len(before)
        kill.wrong += check_killed(before, server.executed)
        resumed = await run("resume", "run.jsonl", *_AT_SERVER, cwd=folder, seconds=_DEADLINE)
        if resumed.code != 0:
            kill.wrong.append(f"resume ended with {resumed.code}: {resumed.err[-500:]}")
    after = last_run(path)
    entries = list(after.entries())
    kill.wrong += check_resumed(before, entries, server.executed)
    replayed = await replay(after, [], ReplayOptions(check=True))
    if replayed.difference is not None:
        kill.wrong.append(f"the replay differs: {replayed.difference}")
    kill.started = sum(isinstance(entry.item, ToolStarted) for entry in entries)
    kill.repeated = sum(isinstance(entry.item, ToolRepeated) for entry in entries)
    kill.outcomes.update(e.item.outcome for e in entries if isinstance(e.item, ToolEnded))
    return kill


async def _die(server: FaultyServer, folder: Path, *, at: int, delay: float) -> None:
    numbers = iter(range(1, _TURNS * _CALLS + 1))
    turn = ("act n={}", "look n={}", "act n={}")
    prompts = "".join(
        " ; ".join(call.format(next(numbers)) for call in turn) + "\n" for _ in range(_TURNS)
    )
    words = ("--server", server.url, "--sink", "console", "--sink", "jsonl=run.jsonl")
    async with running(*words, *_AT_SERVER, cwd=folder) as program:
        await program.say(prompts)
        try:
            async with asyncio.timeout(_DEADLINE):
                await server.reached(at)
        except TimeoutError:
            told = bytes(program.err[-500:]).decode("utf-8", "replace")
            found = f"{server.asked.total()} requests of {at} in {_DEADLINE:g} s"
            raise StuckError(f"the run came to {found}; it said {told!r}") from None
        await asyncio.sleep(delay)
        program.signal(signal.SIGKILL)
        await program.ended()


def check_killed(entries: Sequence[Entry], executed: Counter[int]) -> list[str]:
    """What is wrong with a recording whose run was killed while a server executed these calls."""
    wrong: list[str] = []
    if [entry.seq for entry in entries] != [*range(1, len(entries) + 1)]:
        wrong.append(f"seq has gaps: {[entry.seq for entry in entries]}")
    written = {_number(e.item) for e in entries if isinstance(e.item, ToolStarted)}
    if unwritten := sorted(set(executed) - written):
        wrong.append(f"executed, but not written down as started: {unwritten}")
    return wrong


def check_resumed(
    before: Sequence[Entry], entries: Sequence[Entry], executed: Counter[int]
) -> list[str]:
    """What is wrong with the recording after its run went on to its end."""
    wrong: list[str] = []
    if list(entries[: len(before)]) != list(before):
        wrong.append("what was recorded before the kill is not what it was")
    if [entry.seq for entry in entries] != [*range(1, len(entries) + 1)]:
        wrong.append("seq has gaps after the resumed run")
    items = [entry.item for entry in entries]
    if not items or not isinstance(items[-1], RunEnded):
        wrong.append("it does not end with run_ended")
    ended: dict[str, list[str]] = {}
    for item in items:
        if isinstance(item, ToolEnded):
            ended.setdefault(item.call, []).append("error" if item.is_error else item.outcome)
    for item in items:
        if not isinstance(item, ToolStarted):
            continue
        ends, n, count = ended.pop(item.call, []), _number(item), executed[_number(item)]
        if len(ends) != 1:
            wrong.append(f"{item.call} was started and ended {len(ends)} times: {ends}")
        if item.tool == "act" and count > 1:
            wrong.append(f"{item.call} (n={n}) may do harm, and was executed {count} times")
        if ends == ["answered"] and count < 1:
            wrong.append(f"{item.call} (n={n}) was answered, and never executed")
        if ends == ["not_sent"] and count:
            wrong.append(f"{item.call} (n={n}) was not sent, and executed {count} times")
    if ended:
        wrong.append(f"ended, but never started: {sorted(ended)}")
    return wrong


def _number(started: ToolStarted) -> int:
    return int(started.arguments["n"])


async def main(kills: int, seed: int, first: int = 1) -> int:
    """The exit status: 1 if anything was wrong."""
    totals: Counter[str] = Counter()
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


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="kill -9 at random moments of a recording run")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--first", type=int, default=1, help="go on with this one of the seed")
    given = parser.parse_args()
    sys.exit(asyncio.run(main(given.kills, given.seed, given.first)))

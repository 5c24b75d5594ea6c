"""How fast a recording is replayed, and what recording costs a run.

    python bench/replay.py

Replay: one session with many progress events, items per second of CPU, with and without `--check`.
Recording: the same chat turns on the embedded server without and with `--sink jsonl`, in turn, for
each way to flush; CPU seconds of the whole process (the server is in it), and what one event costs.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from pipeline.core.codec import Entry, Header, encode_entry, encode_header  # noqa: E402  needs the path above
from pipeline.core.events import PromptSubmitted, RunStarted  # noqa: E402  needs the path above
from pipeline.core.plan import Plan, ServerPlan  # noqa: E402  needs the path above
from pipeline.replay import ReplayOptions, replay  # noqa: E402  needs the path above
from pipeline.shell.recordings import last_run  # noqa: E402  needs the path above
from tests.support.play import Core, finished, sse_start, told, use  # noqa: E402  needs the path above

EVENTS = 100_000
RUNS = 7
WAYS = {
    "--fsync none": ("--fsync", "none"),
    "--fsync interval (default)": (),
    "rotated and compressed": ("--rotate-size", "512KiB", "--compress", "zstd"),
    "--fsync always": ("--fsync", "always"),
}


def write_session(path: Path) -> int:
    """One call that reports progress again and again; the number of items in the recording."""
    plan = Plan(servers=(ServerPlan(name="s", url="http://s.test/sse"),))
    core = Core(plan)
    tool = {"name": "add", "inputSchema": {"type": "object"}}
    ask = PromptSubmitted(text="go")
    inputs = [RunStarted(), *sse_start(tool), ask, finished(1, use("t1", "mcp__s__add"))]
    report = "notifications/progress"
    inputs += [told(report, progressToken="call:c1", progress=n) for n in range(EVENTS // 3)]
    items = core.feed(*inputs)
    lines = [encode_header(Header(plan=plan))]
    at = "2026-11-24T06:28:23.000001Z"
    lines += [encode_entry(Entry(seq, at, item)) for seq, item in enumerate(items, 1)]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return len(items)


def replay_speed(path: Path, options: ReplayOptions) -> float:
    """Items per second of CPU, the best of several runs."""
    best = 0.0
    for _ in range(RUNS):
        began = time.process_time()
        done = asyncio.run(replay(last_run(path), [], options))
        assert done.difference is None
        best = max(best, done.events / (time.process_time() - began))
    return best


def chat_cpu(folder: Path, *words: str) -> float:
    """CPU seconds of a chat of many turns."""
    prompts = "add a=2 b=3 ; echo message=hello\n" * 400
    command = [sys.executable, str(ROOT / "main.py"), "-q", *words]
    before = os.times()
    subprocess.run(command, input=prompts.encode(), cwd=folder, check=True, capture_output=True)
    after = os.times()
    spent = after.children_user + after.children_system
    return spent - before.children_user - before.children_system


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "many.jsonl"
        count = write_session(path)
        plain = replay_speed(path, ReplayOptions())
        checked = replay_speed(path, ReplayOptions(check=True))
        speeds = f"{plain:,.0f} items/s of CPU, {checked:,.0f} with --check"
        print(f"replay of {count:,} items: {speeds}")
        without: list[float] = []
        recorded: dict[str, list[float]] = {way: [] for way in WAYS}
        for run in range(RUNS):
            without.append(chat_cpu(folder, "--sink", "console"))
            for place, (way, words) in enumerate(WAYS.items()):
                sinks = ("--sink", "console", "--sink", f"jsonl=r{place}-{run}.jsonl")
                recorded[way].append(chat_cpu(folder, *sinks, *words))
        events = sum(1 for _ in last_run(folder / "r0-0.jsonl").entries())
        base = statistics.median(without)
        print(f"400 turns of 2 calls, {events:,} events, {base:.2f} s of CPU without a recording")
        for way, times in recorded.items():
            # Of neighbours, for what else the machine does changes from minute to minute.
            ratios = [one / other for one, other in zip(times, without, strict=True)]
            ratio = statistics.median(ratios)
            each = (ratio - 1) * base / events * 1e6
            print(f"  {way}: {ratio:.2f} ({min(ratios):.2f} to {max(ratios):.2f}), ", end="")
            print(f"{each:.1f} µs an event")


if __name__ == "__main__":
    main()

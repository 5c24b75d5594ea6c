"""What a process holds, and what it is told of in passing: for the soak, which wants no leak.

Numbers come from `/proc`, so this is for Linux.
"""

import asyncio
import contextlib
import gc
import resource
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from loguru import logger

MOST_SLOPE = 4096.0  # bytes of memory for each turn, once the process is warm
_WARM = 0.4  # of the samples are not judged: caches fill, and arenas are got
_ENOUGH = 20  # samples, without which a slope says nothing
_PATIENCE = 5.0  # seconds for tasks that were cancelled to end
_PAGE = resource.getpagesize()


class Sample(NamedTuple):
    """The process after so many turns: bytes in memory, and open files by what they are."""

    turns: int
    rss: int
    files: Sequence[str]


def sample(turns: int) -> Sample:
    gc.collect()
    rss = int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
    return Sample(turns, rss, _files())


def _files() -> list[str]:
    found: list[str] = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # that of the listing itself
            found.append(str(link.readlink()))
    return sorted(found)


def peak_rss() -> int:
    """The most bytes that the process ever had in memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def slope(samples: Sequence[Sample]) -> float | None:
    """Bytes for each turn, by least squares over the warm part; None: too few samples to say."""
    if len(samples) < _ENOUGH:
        return None
    warm = samples[int(len(samples) * _WARM) :]
    turns, rss = [s.turns for s in warm], [s.rss for s in warm]
    middle, level = sum(turns) / len(warm), sum(rss) / len(warm)
    spread = sum((at - middle) ** 2 for at in turns)
    return sum((at - middle) * (r - level) for at, r in zip(turns, rss, strict=True)) / spread


def check_samples(samples: Sequence[Sample]) -> list[str]:
    """What is not flat."""
    wrong: list[str] = []
    first, last = samples[0], samples[-1]
    if len(last.files) > len(first.files):
        new = ", ".join((Counter(last.files) - Counter(first.files)).elements())
        were = f"{len(first.files)} were after the first chat"
        wrong.append(f"{len(last.files)} files are open, {were}; new are {new}")
    rise = slope(samples)
    if rise is not None and rise > MOST_SLOPE:
        wrong.append(f"memory grows by {rise:.0f} bytes a turn, expected {MOST_SLOPE:.0f} at most")
    return wrong


async def check_left() -> list[str]:
    """What is left of a chat that is over: tasks, and processes."""
    wrong: list[str] = []
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    if tasks:
        _, tasks = await asyncio.wait(tasks, timeout=_PATIENCE)
    if tasks:
        wrong.append(f"tasks are left: {sorted(map(repr, tasks))}")
    if pids := _children():
        wrong.append(f"processes are left: {', '.join(pids)}")
    return wrong


def _children() -> list[str]:
    files = Path("/proc/self/task").glob("*/children")
    return [pid for file in files for pid in file.read_text().split()]


class Ear:
    """Hears what nobody waits for: exceptions of the loop, and errors in the log."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        asyncio.get_running_loop().set_exception_handler(self._on_exception)
        logger.remove()
        logger.add(lambda message: self.heard.append(f"logged: {message}"), level="ERROR")

    def _on_exception(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.heard.append(f"{context['message']}: {context.get('exception')!r}")

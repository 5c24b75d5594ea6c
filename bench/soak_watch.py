"""What a process holds, and what it is told of in passing: for the soak, which wants no leak.

Numbers come from `/proc` and the GNU C library, so this is for Linux.
"""

import asyncio
import ctypes
import gc
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median, median_low
from typing import Any, NamedTuple, TypeAlias

from loguru import logger

from bench.soak_files import OpenFile, open_files

MOST_GROWTH = 2048.0  # bytes in use for each turn, from chat to chat
ENOUGH = 20  # samples, without which a growth says nothing
MOST_CONNECTIONS = 12  # of a client to one server between two turns: all but one are idle
PIPES = 4  # of a server that is a process: three are its own, one is its guard's
_PATIENCE = 10.0  # seconds for what was told to end, or found that its other end has gone
_TICK = 0.02
_PAGE = resource.getpagesize()
_BLOCK = 64  # bytes: that of `getallocatedblocks` is of up to 512 of them, and most are small

Point: TypeAlias = tuple[float, float]
"""Turns, and bytes that are in use after so many."""


class Sample(NamedTuple):
    """The process after so many turns: bytes in memory, bytes that are in use, open files."""

    turns: int
    rss: int
    held: int
    files: Sequence[OpenFile]


def sample(turns: int) -> Sample:
    """Now."""
    return Sample(turns, rss(), held(), open_files())


def rss() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * _PAGE


def peak_rss() -> int:
    """The most bytes that the process ever had in memory: the kernel's count lags behind."""
    return max(rss(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


class _MallInfo(ctypes.Structure):
    """`struct mallinfo2` of the GNU C library: mallinfo(3)."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    )


def held() -> int:
    """Bytes that are in use, about: those of the C library, and Python's small blocks.

    Unlike the memory that the process has, this does not depend on what was free, and where: a
    leak of some kilobytes a turn shows after a few turns.
    """
    gc.collect()
    return _allocated() + sys.getallocatedblocks() * _BLOCK


def _allocated() -> int:
    """What `malloc` has given away; 0 where the C library does not tell."""
    tell = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if tell is None:
        return 0
    tell.restype = _MallInfo
    info: _MallInfo = tell()
    return int(info.uordblks) + int(info.hblkhd)


# --- memory -----------------------------------------------------------------------------------


def growth(points: Sequence[Point], enough: int = ENOUGH) -> float | None:
    """Bytes for each turn, the lesser of two rises; None: too few points to say.

    In the first quarter caches fill, and arenas are got. The others are compared by their medians,
    for a peak is no growth; and what grows does so from the second to the third, and from that to
    the last. A single step is none: a table of Python's own (that of interned strings) doubles once
    in a while, by a megabyte at a time.
    """
    if len(points) < max(enough, 4):
        return None
    size = len(points) // 4
    quarters = [points[at * size : (at + 1) * size] for at in (1, 2)] + [points[-size:]]
    middles = [
        (median(at for at, _ in each), median_low(held for _, held in each)) for each in quarters
    ]
    return min((late[1] - early[1]) / (late[0] - early[0]) for early, late in pairwise(middles))


def check_memory(points: Sequence[Point], most: float, enough: int = ENOUGH) -> list[str]:
    """What is not flat: it may grow by `most` bytes a turn."""
    rise = growth(points, enough)
    if rise is None or rise <= most:
        return []
    return [f"what is in use grows by {rise:.0f} bytes a turn, expected {most:.0f} at most"]


# --- files ------------------------------------------------------------------------------------


def check_samples(first: Sequence[OpenFile], last: Sequence[OpenFile]) -> list[str]:
    """What was not closed between two moments at which nothing is under way."""
    if len(last) <= len(first):
        return []
    new = Counter(each.words for each in last) - Counter(each.words for each in first)
    return [
        f"{len(last)} files are open, {len(first)} were after the first chat; "
        f"new are {', '.join(new.elements())}"
    ]


def check_files(
    files: Sequence[OpenFile], before: Sequence[OpenFile], ports: Sequence[int]
) -> list[str]:
    """What is open between two turns of a chat and must not be.

    `before` were open when the chat began, its servers included, which listen at `ports`.
    """
    wrong = [f"a socket is left: {each.words}" for each in files if each.is_dead]
    per_server = Counter(each.peer for each in files if each.peer in ports)
    wrong += [
        f"{count} connections to :{port}, expected {MOST_CONNECTIONS} at most"
        for port, count in per_server.items()
        if count > MOST_CONNECTIONS
    ]
    others, were = ([f.words for f in those if not _is_tcp(f)] for those in (files, before))
    if len(others) > len(were) + PIPES:
        new = ", ".join((Counter(others) - Counter(were)).elements())
        wrong.append(f"expected {PIPES} files beside the connections, found {new}")
    return wrong


def _is_tcp(file: OpenFile) -> bool:
    return file.words.startswith("tcp")


# --- waiting for what ends ----------------------------------------------------------------------


async def settled(look: Callable[[], list[str]]) -> list[str]:
    """What is wrong; things that are about to end get a while for it."""
    until = time.monotonic() + _PATIENCE
    while (wrong := look()) and time.monotonic() < until:  # noqa: ASYNC110  of `/proc`
        await asyncio.sleep(_TICK)
    return wrong


def look_for_left() -> list[str]:
    """What is left of a chat that is over: tasks, and processes."""
    wrong: list[str] = []
    if tasks := asyncio.all_tasks() - {asyncio.current_task()}:
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

"""What a test must not leave behind: tasks, threads, descriptors, processes, temporary files.

    before = now()
    …
    assert not left_since(before)

The words for each thing say what it is and, where that can be known, where it waits: enough to find
who forgot it. `now` takes some 0.1 ms, so that every test can afford two.

Things of the system are looked up below /proc. Where there is none, only threads, tasks and files
are seen. Processes are those that this one started and, where the system can make it their
`subreaper`, those that they in turn left to nobody.
"""

import asyncio
import ctypes
import gc
import os
import socket
import sys
import tempfile
import threading
import time
from asyncio import runners
from collections.abc import Callable, Generator, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

GRACE = 2.0  # seconds for what was cancelled, or told to close, to end
_STEP = 0.005
_FILES, _THREADS = "/proc/self/fd", "/proc/self/task"
_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
_runners: Any = runners
_cancel_all = _runners._cancel_all_tasks  # nobody else gets to see what a loop has forgotten


@dataclass(frozen=True, slots=True)
class Present:
    """What there was at one moment."""

    threads: frozenset[threading.Thread]
    files: dict[int, str]  # what each descriptor leads to; a socket's name is never used twice
    processes: frozenset[int]
    temporary: frozenset[str]


def now() -> Present:
    """What this process holds at this moment."""
    return Present(
        frozenset(threading.enumerate()), _files(), _processes(), frozenset(_temporary())
    )


def left_since(before: Present, *, is_in_loop: bool = False) -> list[str]:
    """What has come since then and is there, in words; a process that has ended is none."""
    present = now()
    threads = working(before.threads) if is_in_loop else present.threads - before.threads
    files = [
        f"descriptor {fd}: {_target(fd, target)}"
        for fd, target in present.files.items()
        if before.files.get(fd) != target
    ]
    processes = [pid for pid in present.processes - before.processes if not _reap(pid)]
    return [
        *(f"thread {_thread(each)}" for each in threads),
        *files,
        *(f"process {pid}: {_command(pid)}" for pid in processes),
        *(f"file {name}" for name in sorted(present.temporary - before.temporary)),
    ]


def left_behind(before: Present) -> list[str]:
    """The same, once what is about to end had its `GRACE`; for when no loop runs."""
    words = left_since(before)
    if words:
        gc.collect()  # what nobody can reach any more is closed, and Python warns of it
    # Threads, processes and sockets tell nobody of their end who is not their owner.
    deadline = time.monotonic() + GRACE
    while (words := left_since(before)) and time.monotonic() < deadline:
        time.sleep(_STEP)
    return words


async def left_behind_in_loop(before: Present, tasks: set["asyncio.Task[Any]"]) -> list[str]:
    """The same in a running loop, with the tasks that are no longer of the set."""

    def words() -> list[str]:
        running = asyncio.all_tasks() - tasks
        return [task_words(each) for each in running] + left_since(before, is_in_loop=True)

    await until(lambda: not words())
    return words()


async def until(is_so: Callable[[], bool]) -> None:
    """Let others go on until it is so, or `GRACE` is over."""
    deadline = time.monotonic() + GRACE
    while not is_so() and time.monotonic() < deadline:  # noqa: ASYNC110  nobody tells of it
        await asyncio.sleep(_STEP)


def working(before: Set[threading.Thread]) -> set[threading.Thread]:
    """Threads that have come since, but for a loop's own pool, which stays until that is closed."""
    return {
        t for t in threading.enumerate() if t not in before and not t.name.startswith("asyncio_")
    }


# --- tasks ------------------------------------------------------------------------------------


@contextmanager
def tasks_are_told(tell: Callable[[str], None]) -> Generator[None]:
    """Tell of each task that is still there when its loop is closed; the innermost `tell` hears.

    Python cancels those in silence, at the end of `asyncio.run` as of a `Runner`, which every async
    test is in: whoever forgot a task does not hear of it.
    """

    def watched(loop: asyncio.AbstractEventLoop) -> None:
        if tasks := asyncio.all_tasks(loop):
            _, tasks = loop.run_until_complete(asyncio.wait(tasks, timeout=GRACE))
            for task in tasks:
                tell(task_words(task))
        _cancel_all(loop)

    before = _runners._cancel_all_tasks
    _runners._cancel_all_tasks = watched
    try:
        yield
    finally:
        _runners._cancel_all_tasks = before


def task_words(task: "asyncio.Task[Any]") -> str:
    """A task's name, what it does, and the line at which it waits."""
    coroutine: Any = task.get_coro()
    what = getattr(coroutine, "__qualname__", repr(coroutine))
    return f"task {task.get_name()!r}: {what}, waits at {place_of(coroutine)}"


def place_of(coroutine: Any) -> str:
    """The line at which a coroutine waits, in the innermost that it awaits."""
    frame = None
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", frame)
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)
    return "?" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"


# --- the system -------------------------------------------------------------------------------


@contextmanager
def orphans_are_ours() -> Generator[None]:
    """Processes whose parent has ended become children of this one, where there is such a thing."""
    prctl: Any = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        if prctl is not None:
            prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def _files() -> dict[int, str]:
    found: dict[int, str] = {}
    with suppress(FileNotFoundError):  # no /proc
        for name in os.listdir(_FILES):  # noqa: PTH208  quicker than paths, in every test
            with suppress(FileNotFoundError):  # the one that `listdir` itself had open
                found[int(name)] = os.readlink(f"{_FILES}/{name}")  # noqa: PTH115
    return found


def _target(fd: int, target: str) -> str:
    if not target.startswith("socket:"):
        return target
    try:
        with socket.socket(fileno=os.dup(fd)) as sock:
            kind = f"{sock.family.name} {sock.type.name}, from {sock.getsockname()!r}"
            with suppress(OSError):  # it is not connected
                kind += f" to {sock.getpeername()!r}"
            return f"socket, {kind}"
    except OSError:
        return f"{target}, closed meanwhile"


def _processes() -> frozenset[int]:
    found: set[int] = set()
    with suppress(FileNotFoundError):  # no /proc
        for thread in os.listdir(_THREADS):  # noqa: PTH208  as above
            with (
                suppress(FileNotFoundError),  # a thread that has ended meanwhile
                open(f"{_THREADS}/{thread}/children", "rb", 0) as file,  # noqa: PTH123
            ):
                found.update(map(int, file.read().split()))
    return frozenset(found)


def _reap(pid: int) -> bool:
    """Has it ended? If it has, then the system may forget it: nobody else may be waiting for it."""
    try:
        with open(f"/proc/{pid}/stat", "rb", 0) as file:  # noqa: PTH123
            is_over = file.read().rpartition(b") ")[2].startswith(b"Z")
        if is_over:
            os.waitpid(pid, os.WNOHANG)
    except (FileNotFoundError, ChildProcessError):
        return True
    return is_over


def _command(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb", 0) as file:  # noqa: PTH123
            return file.read().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except FileNotFoundError:
        return "has ended meanwhile"


def _temporary() -> list[str]:
    folder = tempfile.gettempdir()
    return os.listdir(folder)  # noqa: PTH208


def _thread(thread: threading.Thread) -> str:
    frames = sys._current_frames()  # pyright: ignore[reportPrivateUsage]  documented, for this
    frame = None if thread.ident is None else frames.get(thread.ident)
    where = "" if frame is None else f", at {frame.f_code.co_filename}:{frame.f_lineno}"
    return f"{thread.name!r}{where}"

"""A recording whose disk fails, or whose process dies, at the n-th system call: made by `strace`.

Where `strace` is missing, or must not trace, the tests are skipped and say why. The same with
`os.write` replaced, without `strace`: `tests/sinks/test_jsonl.py`.
"""

import asyncio
import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.core.codec import Entry, Header
from pipeline.core.commands import Item
from pipeline.core.events import AnswerDelta, RunEnded, RunStarted, ToolEnded, ToolStarted
from sinks.base import SinkError
from sinks.jsonl import JsonlSink
from tests.support.program import environment
from tests.support.recordings import read_run

ROOT = Path(__file__).parents[2]
AT = "2026-01-01T00:00:00.000000Z"
ITEMS: Sequence[Item] = (
    RunStarted(),
    *(AnswerDelta(text="x" * 50) for _ in range(3)),
    ToolStarted(call="c1", tool="act", server="s", arguments={}),
    ToolEnded(call="c1", tool="act", server="s", outcome="answered"),
    RunEnded(code=0),
)
_WRITE, _FLUSH = "write", "fsync,fdatasync"


async def write_all(path: Path) -> None:
    """Record `ITEMS`, one at a time, and say on standard output which of them are written."""
    sink = JsonlSink(path, Header(), on_notice=_complain)
    try:
        await sink.open()
        for seq, item in enumerate(ITEMS, 1):
            await sink.emit([Entry(seq, AT, item)])
            os.write(1, f"{seq}\n".encode())
    except SinkError as exc:
        _complain(str(exc))
    try:
        await sink.close()
    except SinkError as exc:
        _complain(str(exc))


def record(folder: Path, calls: str, fault: str) -> "subprocess.CompletedProcess[str]":
    """`write_all` in a process of its own, in which these calls on the file fail so.

    `strace` counts them for each thread: the sink's own writes the header, the loop's the rest.
    """
    if why := _why_not():
        pytest.skip(why)
    tracer = ("strace", "-f", "-o", "/dev/null", "-P", str(folder / "run.jsonl"))
    return run(folder, *tracer, "-e", f"trace={calls}", "-e", f"inject={calls}:{fault}")


def run(folder: Path, *tracer: str) -> "subprocess.CompletedProcess[str]":
    """`write_all` in a process of its own."""
    return subprocess.run(
        (*tracer, sys.executable, "-m", "tests.faults.test_disk", str(folder / "run.jsonl")),
        cwd=ROOT,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def check(path: Path, told: Sequence[int]) -> None:
    """The file is whole lines from the first on, and has all that was said to be written."""
    content = path.read_bytes() if path.exists() else b""
    assert content.endswith(b"\n") or not content
    if content:
        items = [entry.item for entry in read_run(path).entries]
        assert items == list(ITEMS[: len(items)])
        assert len(items) >= len(told)
    else:
        assert told == []


@pytest.mark.parametrize(("error", "is_for_good"), [("ENOSPC", True), ("EIO", False)])
def test_whichever_write_to_the_disk_fails_the_file_is_whole_lines_and_it_is_told(
    tmp_path: Path, error: str, is_for_good: bool
) -> None:
    """The n-th write fails, and all behind it or none, for n = 1, 2, 3 … until none did."""
    for n in range(1, 30):
        folder = tmp_path / str(n)
        folder.mkdir()
        when = f"{n}+" if is_for_good else str(n)
        done = record(folder, _WRITE, f"error={error}:when={when}")
        told = [int(word) for word in done.stdout.split()]
        check(folder / "run.jsonl", told)
        assert "Traceback" not in done.stderr, done.stderr
        if len(told) == len(ITEMS):
            assert n > len(ITEMS)
            return
        assert done.stderr != "", "nothing was told"
    pytest.fail("no run was without a fault")


def test_a_write_that_a_signal_interrupts_is_made_again(tmp_path: Path) -> None:
    done = record(tmp_path, _WRITE, "error=EINTR:when=1+3")
    assert (done.stderr, done.stdout.split()) == ("", [str(n) for n in range(1, len(ITEMS) + 1)])
    assert [entry.item for entry in read_run(tmp_path / "run.jsonl").entries] == list(ITEMS)


def test_whichever_flush_fails_it_is_told_and_the_lines_are_there(tmp_path: Path) -> None:
    for n in range(1, 30):
        folder = tmp_path / str(n)
        folder.mkdir()
        done = record(folder, _FLUSH, f"error=EIO:when={n}")
        check(folder / "run.jsonl", [int(word) for word in done.stdout.split()])
        assert "Traceback" not in done.stderr, done.stderr
        if done.stderr == "":
            assert n > 2
            return
        assert "flush" in done.stderr or "sync" in done.stderr
    pytest.fail("no run was without a fault")


def test_killed_at_any_write_what_was_acknowledged_is_there_and_the_file_goes_on(
    tmp_path: Path,
) -> None:
    """Killed in the n-th write, for n = 1, 2, 3 … until it came to its end."""
    for n in range(1, 30):
        folder = tmp_path / str(n)
        folder.mkdir()
        done = record(folder, _WRITE, f"signal=SIGKILL:when={n}")
        told = [int(word) for word in done.stdout.split()]
        check(folder / "run.jsonl", told)
        again = run(folder)
        assert again.returncode == 0, again.stderr
        if len(told) == len(ITEMS):
            assert n > len(ITEMS)
            return
    pytest.fail("no run was without a kill")


def _complain(text: str) -> None:
    sys.stderr.write(f"{text}\n")


@functools.cache
def _why_not() -> str:
    """Why nothing can be traced here; empty if it can."""
    if shutil.which("strace") is None:
        return "strace is not installed, and no system call can be made to fail without it"
    words = ("strace", "-f", "-o", "/dev/null", "-e", "trace=write", "true")
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return f"strace may trace nothing here: {done.stderr.strip()}" if done.returncode else ""


if __name__ == "__main__":
    asyncio.run(write_all(Path(sys.argv[1])))

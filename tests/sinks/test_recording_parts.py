"""A recording in several files: none is ever missing, whenever the run is killed."""

import errno
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from config.options import RecordingOptions
from pipeline.core.codec import Entry, Header, decode_header, encode_header
from pipeline.core.events import AnswerDelta
from pipeline.core.plan import Plan
from pipeline.shell.recordings import last_run, read_runs
from sinks.base import SinkError
from sinks.jsonl import JsonlSink
from sinks.recording_file import RecordingFile
from sinks.recording_parts import CannotRotateError, begin_part, tidy

AT = "2026-11-24T06:28:23.000001Z"
HEADER = Header(session="s1", plan=Plan(model="m"))
ROTATED = RecordingOptions(rotate_size=64 * 1024, fsync="none")
STEPS = ("open", "write", "fsync", "link", "replace", "unlink", "ftruncate")


def entry(seq: int) -> Entry:
    return Entry(seq, AT, AnswerDelta(text="x" * 10_000), "s1")


def make(path: Path, header: Header | None, notices: list[str] | None = None) -> JsonlSink:
    on_notice = pytest.fail if notices is None else notices.append
    return JsonlSink(path, header, on_notice=on_notice, options=ROTATED)


async def record(path: Path, seqs: range, header: Header | None = HEADER) -> None:
    sink = make(path, header)
    await sink.open()
    for seq in seqs:
        await sink.emit([entry(seq)])
    await sink.close()


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def seqs(path: Path) -> list[int]:
    return [each.seq for each in last_run(path).entries()]


async def test_a_file_that_is_full_goes_on_in_a_new_one_that_says_what_it_is(
    tmp_path: Path,
) -> None:
    path = tmp_path / "run.jsonl"
    await record(path, range(1, 21))
    assert names(tmp_path) == ["run.0001.jsonl", "run.0002.jsonl", "run.jsonl"]
    first, second, third = (
        decode_header(file.read_bytes().splitlines()[0]) for file in sorted(tmp_path.iterdir())
    )
    assert first == HEADER
    assert (second.part, second.after, third.part, third.after) == (2, 7, 3, 14)
    assert second.session == "s1"
    assert second.plan == HEADER.plan
    for file in tmp_path.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert file.read_bytes().endswith(b"\n")
    assert seqs(path) == [*range(1, 21)]
    assert last_run(path).header == HEADER


async def test_a_run_that_goes_on_goes_on_in_the_last_part(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    await record(path, range(1, 11))
    await record(path, range(11, 21), None)
    assert names(tmp_path) == ["run.0001.jsonl", "run.0002.jsonl", "run.jsonl"]
    assert seqs(path) == [*range(1, 21)]
    third = decode_header(path.read_bytes().splitlines()[0])
    assert (third.session, third.part, third.after) == ("s1", 3, 14)


async def test_a_new_run_begins_behind_the_old_one_and_numbers_go_on(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    await record(path, range(1, 11))
    await record(path, range(1, 9), Header(session="s2"))
    assert names(tmp_path) == ["run.0001.jsonl", "run.0002.jsonl", "run.jsonl"]
    old, new = read_runs(path)
    assert [each.seq for each in old.entries()] == [*range(1, 11)]
    assert [each.seq for each in new.entries()] == [*range(1, 9)]
    assert (new.header.session, new.header.part, new.header.after) == ("s2", 2, 0)


async def test_a_file_that_begins_anew_takes_the_number_after_the_parts_beside_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "run.jsonl"
    await record(path, range(1, 11))
    path.unlink()
    await record(path, range(1, 11), Header(session="s2"))
    assert names(tmp_path) == ["run.0001.jsonl", "run.0002.jsonl", "run.jsonl"]
    assert [run.header.session for run in read_runs(path)] == ["s1", "s2"]
    assert seqs(path) == [*range(1, 11)]


@pytest.fixture
def full(tmp_path: Path) -> Iterator[RecordingFile]:
    file = RecordingFile(tmp_path / "run.jsonl", HEADER)
    yield file
    file.close()


def in_the_way(path: Path) -> None:
    path.with_name("run.0007.jsonl.gz").touch()


def moved(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.touch()


def gone(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize(
    ("disturb", "words"),
    [
        (in_the_way, "run.0007.jsonl is in the way"),
        (moved, "that name leads to another file now"),
        (gone, "that name leads to another file now"),
    ],
)
def test_where_a_new_part_cannot_begin_nothing_is_changed(
    tmp_path: Path, full: RecordingFile, disturb: Callable[[Path], None], words: str
) -> None:
    disturb(tmp_path / "run.jsonl")
    before = names(tmp_path)
    with pytest.raises(CannotRotateError, match=f"run.jsonl cannot go on in a new part: {words}"):
        begin_part(full, 0)
    assert names(tmp_path) == before
    full.sync()  # it is still open


async def test_a_recording_that_cannot_be_rotated_is_written_on_and_that_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_arguments: object, **_options: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", link)
    notices: list[str] = []
    sink = make(tmp_path / "run.jsonl", HEADER, notices)
    await sink.open()
    for seq in range(1, 11):
        await sink.emit([entry(seq)])
    await sink.close()
    assert notices == [
        "run.jsonl cannot go on in a new part: Operation not permitted; it is written on as it is"
    ]
    assert names(tmp_path) == ["run.jsonl"]
    assert seqs(tmp_path / "run.jsonl") == [*range(1, 11)]


def test_a_file_that_just_became_an_old_part_is_not_taken_for_the_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run opened `run.jsonl`, and got its lock only when it had another name."""
    path, real_open = tmp_path / "run.jsonl", os.open
    full = RecordingFile(path, HEADER)

    def slow(name: Any, *arguments: Any) -> int:
        fd = real_open(name, *arguments)
        if name == path:
            monkeypatch.undo()
            begin_part(full, 0).close()
        return fd

    full.append(b"{}\n")
    monkeypatch.setattr(os, "open", slow)
    with pytest.raises(SinkError, match="another run is writing"):
        RecordingFile(path, HEADER)
    assert (tmp_path / "run.0001.jsonl").read_bytes() == encode_header(HEADER) + b"\n{}\n"


def test_what_a_killed_run_left_is_taken_away_and_told(tmp_path: Path, full: RecordingFile) -> None:
    path = tmp_path / "run.jsonl"
    os.link(path, tmp_path / "run.0001.jsonl")
    for name in ("run.jsonl.next", "run.0007.jsonl.zst.unfinished", "other.0001.jsonl.unfinished"):
        (tmp_path / name).touch()
    assert tidy(full) == [
        "run.jsonl had a second name, run.0001.jsonl, as after a crash while a new part was begun; "
        "that name is gone, and nothing else",
        "run.0007.jsonl.zst.unfinished, which a run had not finished before it died, is gone",
    ]
    assert names(tmp_path) == ["other.0001.jsonl.unfinished", "run.jsonl"]
    for name in ("run.0003.jsonl", "run.0003.jsonl.gz"):
        (tmp_path / name).touch()
    assert tidy(full) == [
        "run.0003.jsonl and run.0003.jsonl.gz hold the same, as after a crash while one was made "
        "of the other; either may go"
    ]


async def test_whichever_step_fails_the_recording_is_whole_and_goes_on_or_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The n-th call of the system while a part begins fails, for n = 1, 2, 3 … until none does."""
    failed: list[str] = []
    for n in range(1, 30):
        folder = tmp_path / str(n)
        folder.mkdir()
        path, notices, written = folder / "run.jsonl", list[str](), 0
        faults = Faults(n)
        sink, failure = make(path, HEADER, notices), ""
        with monkeypatch.context() as patched:
            faults.install(patched)
            await sink.open()
            try:
                for seq in range(1, 11):
                    await sink.emit([entry(seq)])
                    written = seq
            except SinkError as exc:
                failure = str(exc)
            await sink.close()
        assert seqs(path)[:written] == [*range(1, written + 1)]
        assert "run.jsonl.next" not in names(folder) or faults.what == "unlink"
        if not faults.what:
            assert n > 6
            assert {"open", "write", "fsync", "link", "replace"} <= set(failed)
            return
        failed.append(faults.what)
        assert notices or failure
        assert (written == 10) != bool(failure)
        await record(path, range(len(seqs(path)) + 1, 14), None)
        assert seqs(path) == [*range(1, 14)]
        assert "run.jsonl.next" not in names(folder)
    pytest.fail("no run was without a fault")


class Faults:
    """Lets the n-th call of the system in `begin_part` fail; `what` is which that was."""

    def __init__(self, n: int) -> None:
        self.what = ""
        self._left = n
        self._is_on = False

    def install(self, patched: pytest.MonkeyPatch) -> None:
        def counted(full: RecordingFile, after: int) -> RecordingFile:
            self._is_on = True
            try:
                return begin_part(full, after)
            finally:
                self._is_on = False

        patched.setattr("sinks.jsonl.begin_part", counted)
        for name in STEPS:
            patched.setattr(os, name, self._step(name, getattr(os, name)))

    def _step(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **options: Any) -> Any:
            if self._is_on:
                self._left -= 1
                if self._left == 0:
                    self.what = name
                    raise OSError(errno.EIO, os.strerror(errno.EIO))
            return real(*arguments, **options)

        return step


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
import sinks.jsonl
from config.options import RecordingOptions
from tests.sinks import test_recording_parts as parts

left, is_on, begin_part = int(sys.argv[1]), False, sinks.jsonl.begin_part

def counted(full, after):
    global is_on
    is_on = True
    try:
        return begin_part(full, after)
    finally:
        is_on = False

def step(real):
    def call(*arguments, **options):
        global left
        left -= is_on
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)
    return call

async def run():
    sink = parts.make(Path("run.jsonl"), parts.HEADER)
    await sink.open()
    for seq in range(1, 11):
        await sink.emit([parts.entry(seq)])
        print(seq, flush=True)
    await sink.close()

sinks.jsonl.begin_part = counted
for name in parts.STEPS:
    setattr(os, name, step(getattr(os, name)))
asyncio.run(run())
"""


def run_until_killed(folder: Path, n: int) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [sys.executable, "-c", KILLED, str(n)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        check=False,
    )


async def test_whenever_it_is_killed_the_recording_is_whole_and_can_go_on(tmp_path: Path) -> None:
    """Killed before the n-th call of the system while a part begins, for n = 1, 2, 3 …"""
    for n in range(1, 30):
        folder = tmp_path / str(n)
        folder.mkdir()
        path, notices = folder / "run.jsonl", list[str]()
        killed = run_until_killed(folder, n)
        told = [int(word) for word in killed.stdout.split()]
        found = seqs(path)
        assert found[: len(told)] == told, killed.stderr.decode()
        sink = make(path, None, notices)
        await sink.open()
        await sink.emit([entry(len(found) + 1)])
        await sink.close()
        assert seqs(path) == [*range(1, len(found) + 2)]
        assert set(names(folder)) <= {"run.0001.jsonl", "run.jsonl"}
        if killed.returncode == 0:
            assert n > 6
            return
        assert killed.returncode == -signal.SIGKILL
    pytest.fail("no run was without a kill")

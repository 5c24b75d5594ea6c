"""The recording, on real files."""

import asyncio
import errno
import os
import resource
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from config.options import RecordingOptions
from pipeline.core.codec import Entry, Header, decode_entry, decode_header, encode_header
from pipeline.core.commands import Item
from pipeline.core.events import (
    AnswerCompleted,
    AnswerDelta,
    PromptSubmitted,
    RunEnded,
    RunStarted,
    ToolEnded,
    ToolStarted,
)
from sinks.base import SinkError
from sinks.jsonl import JsonlSink

AT = "2026-11-24T06:28:23.000001Z"
HEADER = Header(rxmcp="0.1.0", session="s1", at=AT)
HEADER_LINE = encode_header(HEADER) + b"\n"
STARTED = Entry(1, AT, RunStarted())
ASKED = Entry(2, AT, PromptSubmitted(text="grüße\n\u2028\x1b[0m"))
LARGE = Entry(1, AT, PromptSubmitted(text="x" * 1_000_000))
ALWAYS = RecordingOptions(fsync="always")
DEADLINE = 10.0


def make(
    path: Path,
    header: Header = HEADER,
    notices: list[str] | None = None,
    options: RecordingOptions = RecordingOptions(),  # noqa: B008  it is frozen
) -> JsonlSink:
    on_notice = pytest.fail if notices is None else notices.append
    return JsonlSink(path, header, on_notice=on_notice, options=options)


async def record(path: Path, *entries: Entry, notices: list[str] | None = None) -> None:
    sink = make(path, notices=notices)
    await sink.open()
    await sink.emit(entries)
    await sink.close()


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def refusal(path: Path) -> str:
    """The words of an `open` that fails, and leaves no descriptor behind."""
    sink = make(path)
    before = open_descriptors()
    with pytest.raises(SinkError) as caught:
        await sink.open()
    await sink.close()
    assert open_descriptors() == before
    return str(caught.value)


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of what is flushed to the disk, as it is."""
    names: list[str] = []
    fsync = os.fsync

    def spy(fd: int) -> None:
        names.append(Path(f"/proc/self/fd/{fd}").readlink().name)
        fsync(fd)

    monkeypatch.setattr(os, "fsync", spy)
    return names


@contextmanager
def no_file_above(size: int) -> Generator[None]:
    """Like a full disk: the write that reaches `size` is short, the next one fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_recording_is_a_header_and_a_line_per_event(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    await record(path, STARTED, ASKED)
    header, *lines = path.read_bytes().splitlines()
    assert decode_header(header) == HEADER
    assert [decode_entry(line) for line in lines] == [STARTED, ASKED]
    assert path.read_bytes().endswith(b"\n")


async def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        await record(tmp_path / "run.jsonl", STARTED)
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "run.jsonl").stat().st_mode) == 0o600


async def test_a_second_run_is_appended_with_a_header_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    await record(path, STARTED, ASKED)
    first = path.read_bytes()
    await record(path, STARTED)
    assert path.read_bytes() == first + HEADER_LINE + first.splitlines(keepends=True)[1]


async def test_everything_is_wanted_and_the_name_is_the_file(tmp_path: Path) -> None:
    sink = make(tmp_path / "run.jsonl")
    assert sink.wants(AnswerDelta(text="x"))
    assert sink.name == f"jsonl={tmp_path}/run.jsonl"
    await sink.close()


@pytest.mark.parametrize("tail", [b'{"seq":2,"at', b"\x00" * 100_000, b"x"])
async def test_a_torn_last_line_is_moved_out_of_the_way_and_told(
    tmp_path: Path, tail: bytes
) -> None:
    path = tmp_path / "run.jsonl"
    await record(path, STARTED)
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    notices: list[str] = []
    await record(path, STARTED, notices=notices)
    torn = tmp_path / f"run.jsonl.torn-{len(whole)}"
    assert torn.read_bytes() == tail
    assert stat.S_IMODE(torn.stat().st_mode) == 0o600
    assert path.read_bytes().startswith(whole + HEADER_LINE)
    assert notices == [
        "run.jsonl ended in the middle of a line, as after a crash; its last "
        f"{len(tail)} bytes, from offset {len(whole)}, are now in {torn.name}"
    ]


@pytest.mark.parametrize("length", [1, 10, 25, len(HEADER_LINE) - 1])
async def test_a_header_that_was_torn_starts_the_file_anew(tmp_path: Path, length: int) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(HEADER_LINE[:length])
    notices: list[str] = []
    await record(path, STARTED, notices=notices)
    assert path.read_bytes().startswith(HEADER_LINE)
    assert (tmp_path / "run.jsonl.torn-0").read_bytes() == HEADER_LINE[:length]
    assert len(notices) == 1


async def test_torn_pieces_at_the_same_offset_do_not_overwrite_each_other(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    for piece in (b'{"kind', b'{"kind":"rec', b'{"'):
        path.write_bytes(piece)
        await record(path, notices=[])
    pieces = [tmp_path / f"run.jsonl.torn-0{end}" for end in ("", "-2", "-3")]
    assert [piece.read_bytes() for piece in pieces] == [b'{"kind', b'{"kind":"rec', b'{"']


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            b"PK\x03\x04 precious",
            r"begins with b'PK\x03\x04 precious' (it is one line without an end)",
        ),
        (b'{"a":1}\n{"b":2}\n', 'begins with b\'{"a":1}\' (expected {"kind":"recording"…)'),
        (b"\nx", "begins with b'' (expected"),
        (b'{"kind":"recording",}\n', "(not the first line of a recording: "),
        (HEADER_LINE.replace(b'"format":2', b'"format":9'), "found format 9, expected 2 or older"),
        (b"x" * 200_000, "begins with b'" + "x" * 40 + "'"),
    ],
)
async def test_a_file_that_is_something_else_is_refused_and_untouched(
    tmp_path: Path, content: bytes, words: str
) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    text = await refusal(path)
    assert words in text
    assert "give another name" in text
    assert path.read_bytes() == content


async def test_what_is_no_file_is_refused_in_words(tmp_path: Path) -> None:
    fifo, link, plain = tmp_path / "fifo", tmp_path / "link", tmp_path / "plain"
    os.mkfifo(fifo)
    link.symlink_to(plain)
    (tmp_path / "file").touch()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "socket"))
    listener.close()
    assert "found a named pipe" in await refusal(fifo)
    assert "is a symbolic link" in await refusal(link)
    assert not plain.exists()
    assert "found a directory" in await refusal(tmp_path)
    assert "found a device" in await refusal(Path("/dev/null"))
    assert "there is no directory" in await refusal(tmp_path / "missing" / "run.jsonl")
    assert "cannot open" in await refusal(tmp_path / "socket")
    for name in ("/dev/stdout", "-", "/dev/fd/2"):
        assert "--output-format stream-json" in await refusal(Path(name))


async def test_a_second_writer_is_refused_until_the_first_is_done(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    script = (
        "import fcntl, sys\n"
        f"file = open({str(path)!r}, 'ab')\n"
        "fcntl.flock(file, fcntl.LOCK_EX)\n"
        "print('locked', flush=True)\n"
        "sys.stdin.read()\n"
    )
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdin is not None
    assert other.stdout is not None
    assert await other.stdout.readline() == b"locked\n"
    assert "another run is writing to" in await refusal(path)
    assert path.read_bytes() == b""
    other.stdin.close()
    await other.wait()
    await record(path, STARTED)
    assert path.read_bytes().startswith(HEADER_LINE)


async def test_two_sinks_of_one_process_cannot_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    first = make(path)
    await first.open()
    assert "another run is writing to" in await refusal(path)
    await first.close()


@pytest.mark.parametrize(
    ("fsync", "while_it_runs", "at_the_end"),
    [("none", 0, 0), ("interval", 0, 1), ("always", 2, 3)],
)
async def test_how_often_a_recording_is_flushed_is_a_setting(
    tmp_path: Path, synced: list[str], fsync: str, while_it_runs: int, at_the_end: int
) -> None:
    options = RecordingOptions.model_validate({"fsync": fsync, "fsync_interval": 3600})
    sink = make(tmp_path / "run.jsonl", options=options)
    await sink.open()
    assert synced == ["run.jsonl", tmp_path.name]
    await sink.emit([STARTED, ASKED])
    await sink.emit([Entry(3, AT, AnswerDelta(text="y"))])
    assert synced[2:] == ["run.jsonl"] * while_it_runs
    await sink.close()
    assert synced[2:] == ["run.jsonl"] * at_the_end


@pytest.mark.parametrize(
    "item",
    [
        AnswerCompleted(text="x", turns=1),
        ToolStarted(call="c", server="s", tool="t"),
        ToolEnded(call="c", server="s", tool="t", outcome="answered"),
        RunEnded(code=0),
    ],
)
async def test_what_would_be_missed_most_is_flushed_at_once_and_nobody_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, item: Item
) -> None:
    sink = make(tmp_path / "run.jsonl", options=RecordingOptions(fsync_interval=3600))
    await sink.open()
    fsync, is_flushing, may_end = os.fsync, threading.Event(), threading.Event()

    def slow(fd: int) -> None:
        is_flushing.set()
        assert may_end.wait(DEADLINE)
        fsync(fd)

    monkeypatch.setattr(os, "fsync", slow)
    await sink.emit([STARTED])
    await asyncio.sleep(0)
    assert not is_flushing.is_set()
    await sink.emit([Entry(2, AT, item)])
    assert await asyncio.to_thread(is_flushing.wait, DEADLINE)
    may_end.set()
    await sink.close()


async def test_a_full_disk_leaves_whole_lines_and_says_how_many_are_missing(
    tmp_path: Path,
) -> None:
    path = tmp_path / "run.jsonl"
    sink = make(path)
    await sink.open()
    await sink.emit([STARTED])
    size = path.stat().st_size
    batch = [Entry(seq, AT, AnswerDelta(text="x" * 100)) for seq in range(2, 12)]
    with no_file_above(size + 500), pytest.raises(SinkError) as caught:
        await sink.emit(batch)
    await sink.close()
    lines = path.read_bytes().splitlines(keepends=True)
    assert all(line.endswith(b"\n") for line in lines)
    entries = [decode_entry(line) for line in lines[1:]]
    assert entries == [STARTED, *batch[: len(entries) - 1]]
    assert 1 < len(entries) < 10
    assert os.strerror(errno.EFBIG) in str(caught.value)
    assert f"{11 - len(entries)} of the last 10 lines are not recorded" in str(caught.value)
    assert str(caught.value).endswith("the file ends with a whole line")


async def test_a_disk_that_is_full_from_the_start_fails_the_opening(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with no_file_above(20):
        assert "1 of the last 1 lines are not recorded" in await refusal(path)
    assert path.read_bytes() == b""


async def test_a_file_that_is_deleted_meanwhile_is_told_with_the_next_line(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    sink = make(path)
    await sink.open()
    await sink.emit([STARTED])
    path.unlink()
    with pytest.raises(SinkError, match="was deleted while it was being written"):
        await sink.emit([ASKED])
    await sink.close()


async def test_a_file_that_is_moved_meanwhile_has_every_line_where_it_is_now(
    tmp_path: Path,
) -> None:
    path, moved = tmp_path / "run.jsonl", tmp_path / "moved.jsonl"
    sink = make(path)
    await sink.open()
    await sink.emit([STARTED])
    path.rename(moved)
    await sink.emit([ASKED])
    await sink.close()
    assert [decode_entry(line) for line in moved.read_bytes().splitlines()[1:]] == [STARTED, ASKED]


async def test_half_a_line_that_cannot_be_cut_off_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ftruncate(fd: int, length: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    path = tmp_path / "run.jsonl"
    sink = make(path)
    await sink.open()
    monkeypatch.setattr(os, "ftruncate", ftruncate)
    with no_file_above(path.stat().st_size + 10), pytest.raises(SinkError) as caught:
        await sink.emit([ASKED])
    await sink.close()
    assert "half a line could not be cut off" in str(caught.value)


async def test_a_flush_that_failed_is_told_and_never_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failed fsync the system may have dropped the data, and a second one reports success.

    (Known from PostgreSQL as fsyncgate.)
    """
    flushed: list[int] = []

    def fsync(fd: int) -> None:
        flushed.append(fd)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    path = tmp_path / "run.jsonl"
    sink = make(path, options=ALWAYS)
    await sink.open()
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(SinkError, match=r"cannot flush .* to the disk: Input/output error"):
        await sink.emit([Entry(1, AT, RunEnded(code=0))])
    with pytest.raises(SinkError, match=r"cannot flush .* to the disk: Input/output error"):
        await sink.emit([Entry(2, AT, RunEnded(code=0))])
    await sink.close()
    assert len(flushed) == 1
    assert len(path.read_bytes().splitlines()) == 2


async def test_a_flush_that_fails_behind_the_last_line_is_told_at_the_end_and_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_flushing, may_fail, flushed = threading.Event(), threading.Event(), list[int]()

    def fsync(fd: int) -> None:
        flushed.append(fd)
        is_flushing.set()
        assert may_fail.wait(DEADLINE)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    sink = make(tmp_path / "run.jsonl")
    await sink.open()
    monkeypatch.setattr(os, "fsync", fsync)
    await sink.emit([Entry(1, AT, RunEnded(code=0))])
    assert await asyncio.to_thread(is_flushing.wait, DEADLINE)
    closing = asyncio.create_task(sink.close())
    await asyncio.sleep(0)
    may_fail.set()
    with pytest.raises(SinkError, match=r"cannot flush .* to the disk: Input/output error"):
        await closing
    assert len(flushed) == 1


async def test_no_new_part_is_begun_behind_a_flush_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_flushing, may_fail, flushed = threading.Event(), threading.Event(), list[int]()

    def fsync(fd: int) -> None:
        flushed.append(fd)
        is_flushing.set()
        assert may_fail.wait(DEADLINE)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    sink = make(tmp_path / "run.jsonl", options=RecordingOptions(rotate_size=64 * 1024))
    await sink.open()
    monkeypatch.setattr(os, "fsync", fsync)
    await sink.emit([Entry(1, AT, RunEnded(code=0))])
    assert await asyncio.to_thread(is_flushing.wait, DEADLINE)
    emitting = asyncio.create_task(sink.emit([Entry(2, AT, AnswerDelta(text="x" * 70_000))]))
    await asyncio.sleep(0)
    may_fail.set()
    with pytest.raises(SinkError, match=r"cannot flush .* to the disk: Input/output error"):
        await emitting
    await sink.close()
    assert len(flushed) == 1
    assert [each.name for each in tmp_path.iterdir()] == ["run.jsonl"]


async def test_a_full_part_that_cannot_be_flushed_is_not_flushed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[int] = []

    def fsync(fd: int) -> None:
        flushed.append(fd)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    sink = make(tmp_path / "run.jsonl", options=RecordingOptions(rotate_size=64 * 1024))
    await sink.open()
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(SinkError, match=r"cannot flush .* to the disk: Input/output error"):
        await sink.emit([Entry(1, AT, AnswerDelta(text="x" * 70_000))])
    await sink.close()
    assert len(flushed) == 1


async def test_a_directory_that_cannot_be_flushed_fails_the_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def only_files(fd: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", only_files)
    text = await refusal(tmp_path / "run.jsonl")
    assert text.startswith("cannot prepare")


async def test_a_file_closes_only_after_a_write_whose_caller_was_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.jsonl"
    sink = make(path)
    await sink.open()
    write, is_writing, may_go_on = os.write, threading.Event(), threading.Event()

    def slow(fd: int, data: bytes) -> int:
        if threading.current_thread().name.startswith("rxmcp-jsonl"):
            is_writing.set()
            assert may_go_on.wait(10)
        return write(fd, data)

    monkeypatch.setattr(os, "write", slow)
    emitting = asyncio.create_task(sink.emit([LARGE]))
    assert await asyncio.to_thread(is_writing.wait, 10)
    emitting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await emitting
    closing = asyncio.create_task(sink.close())
    done, _ = await asyncio.wait([closing], timeout=0.1)
    assert not done
    may_go_on.set()
    await closing
    assert decode_entry(path.read_bytes().splitlines()[1]) == LARGE


async def test_the_loop_runs_on_while_the_disk_is_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = make(tmp_path / "run.jsonl", options=ALWAYS)
    await sink.open()
    loop_ran = threading.Event()
    fsync = os.fsync

    def slow(fd: int) -> None:
        assert loop_ran.wait(10), "the loop stood still"
        fsync(fd)

    monkeypatch.setattr(os, "fsync", slow)
    emitting = asyncio.create_task(sink.emit([Entry(1, AT, RunEnded(code=0))]))
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_soon(loop_ran.set)
    await emitting
    await sink.close()


async def test_what_cannot_be_tidied_up_beside_it_fails_the_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink = os.unlink

    def failing(path: Path) -> None:
        if path.name.endswith(".next"):
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        unlink(path)

    monkeypatch.setattr(os, "unlink", failing)
    assert "cannot tidy up beside" in await refusal(tmp_path / "run.jsonl")


async def test_after_a_write_that_took_long_the_loop_makes_no_more_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, now, writers = tmp_path / "run.jsonl", 0.0, list[str]()
    sink = make(path)
    await sink.open()
    write = os.write

    def slow(fd: int, data: bytes) -> int:
        nonlocal now
        now += 0.04 if len(writers) == 0 else 0.06
        writers.append(threading.current_thread().name.split("_")[0])
        return write(fd, data)

    monkeypatch.setattr(os, "write", slow)
    monkeypatch.setattr("sinks.jsonl.time.monotonic", lambda: now)
    for seq in range(1, 5):
        await sink.emit([Entry(seq, AT, RunStarted())])
    monkeypatch.undo()
    await sink.close()
    assert writers == ["MainThread", "MainThread", "rxmcp-jsonl", "rxmcp-jsonl"]
    seqs = [decode_entry(line).seq for line in path.read_bytes().splitlines()[1:]]
    assert seqs == [1, 2, 3, 4]


async def test_whichever_write_fails_what_was_said_to_be_written_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The n-th write is short and the one after it fails, for n = 1, 2, 3 … until none does."""
    write = os.write
    entries = [Entry(seq, AT, AnswerDelta(text="x" * 50)) for seq in range(1, 9)]
    for n in range(1, 20):
        path, count, written = tmp_path / f"{n}.jsonl", 0, list[Entry]()

        def failing(fd: int, data: bytes, n: int = n) -> int:
            nonlocal count
            count += 1
            if count > n:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return write(fd, data[: 100 if count == n else None])

        sink, failure = make(path), None
        with monkeypatch.context() as patched:
            patched.setattr(os, "write", failing)
            try:
                await sink.open()
                for begin in range(0, len(entries), 2):
                    await sink.emit(entries[begin : begin + 2])
                    written += entries[begin : begin + 2]
            except SinkError as exc:
                failure = str(exc)
            await sink.close()
        content = path.read_bytes()
        lines = content.splitlines()[1:]
        found = [decode_entry(line) for line in lines]
        assert content.endswith(b"\n") or not content
        assert found[: len(written)] == written
        assert found == entries[: len(found)]
        if failure is None:
            assert n > 4
            return
        assert os.strerror(errno.ENOSPC) in failure
    pytest.fail("no run was without a fault")


async def test_emit_before_open_is_a_mistake_of_the_caller(tmp_path: Path) -> None:
    sink = make(tmp_path / "run.jsonl")
    with pytest.raises(RuntimeError, match="before open"):
        await sink.emit([STARTED])
    await sink.close()
    assert not (tmp_path / "run.jsonl").exists()

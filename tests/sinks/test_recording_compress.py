"""Finished parts are compressed beside the run; whatever fails, one whole file is there."""

import errno
import gzip
import os
import shutil
import stat
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from config.options import RecordingOptions
from pipeline.compressed import open_file, zstd_library
from pipeline.core.codec import Entry, Header
from pipeline.core.events import AnswerDelta
from pipeline.shell.recordings import last_run
from sinks import recording_compress
from sinks.jsonl import JsonlSink
from sinks.recording_compress import Compressor, Kind, StoppedError, compress

AT = "2026-11-24T06:28:23.000001Z"
CONTENT = b"".join(b'{"seq":%d,"at":"2026-11-24T06:28:23Z"}\n' % seq for seq in range(1, 60_000))
DEADLINE = 10.0
KINDS: list[tuple[Kind, str]] = [("gzip", ".gz"), ("zstd", ".zst")]


def never() -> bool:
    return False


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


@pytest.fixture
def part(tmp_path: Path) -> Path:
    path = tmp_path / "run.0001.jsonl"
    path.write_bytes(CONTENT)
    return path


@pytest.mark.parametrize(("kind", "ending"), KINDS)
def test_a_compressed_file_takes_the_place_of_the_other(
    tmp_path: Path, part: Path, kind: Kind, ending: str
) -> None:
    done = compress(part, kind, never)
    assert names(tmp_path) == [done.name] == ["run.0001.jsonl" + ending]
    assert stat.S_IMODE(done.stat().st_mode) == 0o600
    assert done.stat().st_size < len(CONTENT) / 10
    with open_file(done) as file:
        assert file.read() == CONTENT


def test_others_read_it_and_see_when_it_is_damaged(part: Path) -> None:
    packed = compress(part, "gzip", never)
    tool = shutil.which("gzip")
    assert tool is not None
    unpacked = subprocess.run([tool, "-dc", packed], capture_output=True, check=True)
    assert unpacked.stdout == CONTENT
    part.write_bytes(CONTENT)
    packed = compress(part, "zstd", never)
    zstd = zstd_library()
    data = bytearray(packed.read_bytes())
    assert zstd.decompress(bytes(data)) == CONTENT
    data[-1] ^= 1  # the last bytes are the checksum's
    with pytest.raises(zstd.ZstdError, match="checksum"):
        zstd.decompress(bytes(data))


def test_what_a_killed_run_left_half_done_is_done_anew(tmp_path: Path, part: Path) -> None:
    (tmp_path / "run.0001.jsonl.gz.unfinished").write_bytes(b"half")
    (tmp_path / "run.0001.jsonl.gz").write_bytes(b"whole, but the part was not taken away yet")
    done = compress(part, "gzip", never)
    assert names(tmp_path) == [done.name]
    assert gzip.decompress(done.read_bytes()) == CONTENT


@pytest.mark.parametrize(("kind", "ending"), KINDS)
def test_whichever_step_fails_one_whole_file_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind, ending: str
) -> None:
    """The n-th call of the system fails, for n = 1, 2, 3 … until none does."""
    failed: set[str] = set()
    for n in range(1, 20):
        part = tmp_path / str(n) / "run.0001.jsonl"
        part.parent.mkdir()
        part.write_bytes(CONTENT)
        what = ""
        left = n

        def failing(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
            def step(*arguments: Any, **options: Any) -> Any:
                nonlocal left, what
                left -= 1
                if left == 0:
                    what = name
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                return real(*arguments, **options)

            return step

        with monkeypatch.context() as patched:
            for name in ("open", "fsync", "replace", "unlink"):
                patched.setattr(os, name, failing(name, getattr(os, name)))
            with suppress(OSError):
                compress(part, kind, never)
        whole = [each for each in part.parent.iterdir() if not each.name.endswith(".unfinished")]
        assert whole
        for each in whole:
            with open_file(each) as file:
                assert file.read() == CONTENT
        if not what:
            assert failed == {"open", "fsync", "replace", "unlink"}
            return
        failed.add(what)
    pytest.fail("no run was without a fault")


def test_it_stops_when_it_is_told_to(tmp_path: Path, part: Path) -> None:
    with pytest.raises(StoppedError):
        compress(part, "gzip", lambda: True)
    assert names(tmp_path) == ["run.0001.jsonl"]


async def test_a_part_that_cannot_be_compressed_stays_and_that_is_told(tmp_path: Path) -> None:
    notices: list[str] = []
    compressor = Compressor("gzip", notices.append)
    compressor.add(tmp_path / "run.0001.jsonl")
    compressor.add(tmp_path)
    await compressor.close()
    assert notices == [
        "run.0001.jsonl is not compressed: No such file or directory",
        f"{tmp_path.name} is not compressed: Is a directory",
    ]


async def test_the_end_of_a_run_waits_a_little_and_says_what_was_not_done(
    tmp_path: Path, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording_compress, "_PATIENCE", 0.01)
    real = recording_compress.compress

    def slow(path: Path, kind: Kind, is_stopped: Any) -> Path:
        stopped: threading.Event = is_stopped.__self__
        assert stopped.wait(DEADLINE)
        return real(path, kind, is_stopped)

    monkeypatch.setattr(recording_compress, "compress", slow)
    notices: list[str] = []
    compressor = Compressor("gzip", notices.append)
    compressor.add(part)
    await compressor.close()
    assert notices == ["run.0001.jsonl is not compressed: the run ended before it was done"]
    assert names(tmp_path) == ["run.0001.jsonl"]


@pytest.mark.parametrize(("kind", "ending"), KINDS)
async def test_a_recording_is_compressed_part_by_part_but_not_the_one_it_is_in(
    tmp_path: Path, kind: Kind, ending: str
) -> None:
    path = tmp_path / "run.jsonl"
    options = RecordingOptions(rotate_size=64 * 1024, compress=kind)
    sink = JsonlSink(path, Header(session="s1"), on_notice=pytest.fail, options=options)
    await sink.open()
    for seq in range(1, 21):
        await sink.emit([Entry(seq, AT, AnswerDelta(text="x" * 10_000))])
    await sink.close()
    assert names(tmp_path) == [
        f"run.0001.jsonl{ending}",
        f"run.0002.jsonl{ending}",
        "run.jsonl",
    ]
    assert [each.seq for each in last_run(path).entries()] == [*range(1, 21)]

"""Recordings of today's format and of older ones: written, read, migrated, resumed."""

import json
import runpy
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from msgspec.structs import replace

from pipeline.core.codec import FORMAT, Header, encode_header
from pipeline.core.events import RunEnded, ToolsChanged
from pipeline.core.tools import digest
from pipeline.migrate import Migrated, migrate
from pipeline.shell.recordings import RecordingError, last_run, read_runs
from tests.support.program import Ended, run
from tests.support.recordings import read_run
from tests.support.recordings import read_runs as read_strictly

ROOT = Path(__file__).resolve().parents[2]
RECORDINGS = sorted((ROOT / "tests" / "recordings").glob("*.jsonl"))
KEPT = [p for p in RECORDINGS if p.read_bytes().startswith(b'{"kind":"recording","format":1,')]
SEED = ROOT / "tests" / "recordings" / "seed.jsonl"
TODAY = [
    encode_header(Header(session="today")),
    b'{"seq":1,"at":"2026-11-24T06:28:23.000001Z","session":"today","kind":"run_started"}',
]
OLD = [
    b'{"kind":"recording","format":1,"session":"old"}',
    b'{"seq":1,"at":"2026-11-24T06:28:22.000001Z","kind":"run_started","of_tomorrow":1}',
]


def written(path: Path, *lines: bytes) -> Path:
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def dicts(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


# --- today's ----------------------------------------------------------------------------------


async def test_a_run_is_recorded_in_the_current_format(tmp_path: Path) -> None:
    words = ("--sink", "jsonl=run.jsonl", "--call-timeout", "20")
    ended = await run(*words, cwd=tmp_path, stdin=b"add a=2 b=3\n")
    assert ended.code == 0, ended.err
    header, *lines = dicts(tmp_path / "run.jsonl")
    assert header["format"] == FORMAT
    assert header["settings"]["call_timeout"] == 20.0
    assert header["versions"]["system"]
    assert {line["session"] for line in lines} == {header["session"]}
    schema = runpy.run_path(str(ROOT / "docs" / "generate.py"))["schema"]
    validator = jsonschema.Draft202012Validator(json.loads(schema()))
    for line in (header, *lines):
        validator.validate(line)
    (changed,) = read_run(tmp_path / "run.jsonl").only(ToolsChanged)
    assert [tool.digest for tool in changed.tools] == [digest(tool) for tool in changed.tools]
    checked = await run("replay", "run.jsonl", "--check", cwd=tmp_path)
    assert checked.code == 0, checked.err


async def test_a_resumed_run_keeps_its_session_and_a_fork_has_its_own(tmp_path: Path) -> None:
    await run("--sink", "jsonl=run.jsonl", cwd=tmp_path, stdin=b"add a=2 b=3\n")
    resumed = await run("resume", "run.jsonl", "--json", cwd=tmp_path, stdin=b"add a=1 b=1\n")
    assert resumed.code == 0, resumed.err
    words = ("fork", "run.jsonl", "--at", "20", "--sink", "jsonl=fork.jsonl", "--json")
    forked = await run(*words, cwd=tmp_path, stdin=b"add a=1 b=1\n")
    assert forked.code == 0, forked.err
    of_run, of_fork = (sessions(tmp_path / name) for name in ("run.jsonl", "fork.jsonl"))
    assert (len(of_run), len(of_fork)) == (1, 1), "the header's, on each line"
    assert of_run != of_fork
    assert told_sessions(resumed) == of_run, "what is told elsewhere is the same session"
    assert told_sessions(forked) == of_fork


def sessions(path: Path) -> set[str]:
    return {line["session"] for line in dicts(path)}


def told_sessions(ended: Ended) -> set[str]:
    return {json.loads(line)["session"] for line in ended.out.splitlines()}


# --- older ones -------------------------------------------------------------------------------


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
async def test_a_migrated_recording_replays_to_the_letter_and_means_the_same(
    path: Path, tmp_path: Path
) -> None:
    ended = await run("migrate", str(path), "--out", "new.jsonl", cwd=tmp_path)
    assert ended.code == 0
    assert ended.out == ""
    assert "written: new.jsonl (1 run, " in ended.err
    assert f"found format 1, wrote {FORMAT})" in ended.err
    new = tmp_path / "new.jsonl"
    assert list(last_run(new).entries()) == list(last_run(path).entries())
    assert last_run(new).header.format == FORMAT
    assert new.stat().st_mode & 0o777 == 0o600
    for words in (("replay", "new.jsonl", "--check"), ("diff", str(path), "new.jsonl")):
        checked = await run(*words, cwd=tmp_path)
        assert checked.code == 0, checked.out + checked.err


async def test_an_old_recording_is_not_resumed_but_its_migrated_copy_is(tmp_path: Path) -> None:
    old = tmp_path / "old.jsonl"
    begin, _, _ = SEED.read_bytes().partition(b'"kind":"input_ended"')
    before = begin[: begin.rindex(b"\n") + 1]
    old.write_bytes(before)
    refused = await run("resume", "old.jsonl", cwd=tmp_path)
    assert refused.code == 2
    assert f"found format 1 in 'old.jsonl', expected {FORMAT}" in refused.err
    assert "migrate FILE --out NEW" in refused.err
    assert old.read_bytes() == before
    await run("migrate", "old.jsonl", "--out", "new.jsonl", cwd=tmp_path)
    resumed = await run("resume", "new.jsonl", cwd=tmp_path, stdin=b"add a=20 b=22\n")
    assert (resumed.code, resumed.out) == (0, "42\n"), resumed.err
    assert read_run(tmp_path / "new.jsonl").items[-1] == RunEnded(code=0)


async def test_a_fork_of_an_old_recording_is_written_in_the_current_format(tmp_path: Path) -> None:
    words = ("fork", str(SEED), "--at", "20", "--sink", "jsonl=fork.jsonl")
    ended = await run(*words, cwd=tmp_path, stdin=b"add a=20 b=22\n")
    assert ended.code == 0, ended.err
    assert last_run(tmp_path / "fork.jsonl").header.format == FORMAT
    checked = await run("replay", "fork.jsonl", "--check", cwd=tmp_path)
    assert checked.code == 0, checked.out + checked.err


async def test_a_new_run_goes_into_a_file_that_begins_with_an_old_one(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(SEED.read_bytes())
    ended = await run("--sink", "jsonl=run.jsonl", cwd=tmp_path, stdin=b"add a=2 b=3\n")
    assert ended.code == 0, ended.err
    assert path.read_bytes().startswith(SEED.read_bytes())
    assert [each.header.format for each in read_runs(path)] == [1, FORMAT]
    checked = await run("replay", "run.jsonl", "--check", cwd=tmp_path)
    assert checked.code == 0, checked.out + checked.err


async def test_the_replay_of_an_old_recording_is_recorded_as_the_same_session_of_today(
    tmp_path: Path,
) -> None:
    ended = await run("replay", str(SEED), "--sink", "jsonl=again.jsonl", cwd=tmp_path)
    assert ended.code == 0, ended.err
    header = last_run(SEED).header
    assert last_run(tmp_path / "again.jsonl").header == replace(header, format=FORMAT)
    assert sessions(tmp_path / "again.jsonl") == {header.session}


def test_all_runs_of_a_file_are_migrated_and_nothing_else_changes(tmp_path: Path) -> None:
    path = written(tmp_path / "r.jsonl", *OLD, *TODAY, *OLD)
    path.write_bytes(path.read_bytes() + b'{"seq":2,"torn')
    new = tmp_path / "new.jsonl"
    assert migrate(path, new) == Migrated((1, FORMAT, 1), 6)
    old = b'{"seq":1,"at":"2026-11-24T06:28:22.000001Z","session":"old","kind":"run_started",'
    lines = new.read_bytes().splitlines()
    assert lines[1] == lines[5] == old + b'"of_tomorrow":1}'
    assert lines[2:4] == TODAY
    assert [each.header.session for each in read_strictly(new)] == ["old", "today", "old"]


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    path = written(tmp_path / "r.jsonl", *OLD)
    before = path.read_bytes()
    with pytest.raises(RecordingError, match=r"there is '.*r\.jsonl' already; give --out a free"):
        migrate(path, path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b'{"seq":3,"at":"x","kind":"run_started"}', r"r\.jsonl:3: found seq 3 after 1"),
        (b'{"seq":2,"at":"x","kind":"sung"}', r"r\.jsonl:3: .* found the kind 'sung'"),
        (b'{"kind":"recording","format":7}', r"r\.jsonl:3: found format 7, expected"),
    ],
)
def test_what_cannot_be_read_is_named_and_leaves_no_file(
    tmp_path: Path, line: bytes, words: str
) -> None:
    path, new = written(tmp_path / "r.jsonl", *OLD, line), tmp_path / "new.jsonl"
    with pytest.raises(RecordingError, match=words):
        migrate(path, new)
    assert not new.exists()


def test_a_place_where_no_file_can_be_is_told(tmp_path: Path) -> None:
    path = written(tmp_path / "r.jsonl", *OLD)
    with pytest.raises(RecordingError, match=r"cannot begin '.*': No such file or directory"):
        migrate(path, tmp_path / "no" / "new.jsonl")


def test_a_full_disk_is_told_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, new = written(tmp_path / "r.jsonl", *OLD), tmp_path / "new.jsonl"

    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pipeline.migrate.os.fsync", full)
    with pytest.raises(RecordingError, match=r"cannot write '.*': No space left on device"):
        migrate(path, new)
    assert not new.exists()


async def test_a_recording_of_tomorrow_is_refused_by_all_that_read_and_write(
    tmp_path: Path,
) -> None:
    written(tmp_path / "r.jsonl", b'{"kind":"recording","format":3}')
    words = f"found format 3, expected {FORMAT} or older: a newer rxmcp wrote this"
    for argv in (
        ("replay", "r.jsonl", "--check"),
        ("migrate", "r.jsonl", "--out", "new.jsonl"),
        ("resume", "r.jsonl"),
        ("tools", "--sink", "jsonl=r.jsonl"),
    ):
        ended = await run(*argv, cwd=tmp_path)
        assert (ended.code, words in ended.err) == (2, True), ended.err

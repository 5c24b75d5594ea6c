"""A recording that was rotated and compressed is one recording, for every command."""

import asyncio
import gzip
from pathlib import Path

import pytest

from pipeline.core.events import AnswerCompleted, RunResumed
from pipeline.shell.recordings import last_run
from tests.support.program import Ended, run

TURNS = 40
PROMPTS = b"add a=2 b=3 ; echo message=hello\n" * TURNS
SPLIT = ("--rotate-size", "64KiB", "--compress", "zstd")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chat of forty turns in four files."""
    folder = tmp_path_factory.mktemp("rotated")
    ended = asyncio.run(run("--sink", "jsonl=run.jsonl", *SPLIT, cwd=folder, stdin=PROMPTS))
    assert ended.code == 0, ended.err
    return folder / "run.jsonl"


@pytest.fixture
def rotated(recorded: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    for file in recorded.parent.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path / "run.jsonl"


def names(path: Path) -> list[str]:
    return sorted(file.name for file in path.parent.glob("run.*"))


async def on(path: Path, command: str, *words: str, stdin: bytes = b"") -> Ended:
    return await run(command, path.name, *words, cwd=path.parent, stdin=stdin)


async def test_every_command_reads_it_as_one(recorded: Path) -> None:
    assert names(recorded) == [
        *(f"run.000{part}.jsonl.zst" for part in (1, 2, 3)),
        "run.jsonl",
    ]
    checked = await on(recorded, "replay", "--check")
    events = sum(1 for _ in last_run(recorded).entries())
    assert checked.code == 0, checked.err
    assert checked.out == f"run.jsonl: {events} events, to its end, all as recorded\n"
    assert (await on(recorded, "lint")).out == "run.jsonl: nothing found\n"
    assert f"{TURNS} turns, {TURNS * 2} model calls" in (await on(recorded, "show")).out
    assert (await on(recorded, "diff", recorded.name)).code == 0


async def test_it_becomes_one_file_where_it_is_written_anew(rotated: Path) -> None:
    for command in ("migrate", "redact"):
        written = await on(rotated, command, "--out", f"{command}.jsonl")
        assert written.code == 0, written.err
        one = rotated.with_name(f"{command}.jsonl")
        assert list(last_run(one).entries()) == list(last_run(rotated).entries())
        assert last_run(one).header.part == 1


async def test_it_is_resumed_in_its_last_part(rotated: Path) -> None:
    before = names(rotated)
    again = b"add a=20 b=1\n" * TURNS
    resumed = await on(rotated, "resume", *SPLIT, stdin=again)
    assert (resumed.code, resumed.out) == (0, "21\n" * TURNS), resumed.err
    assert len(names(rotated)) > len(before)
    items = [entry.item for entry in last_run(rotated).entries()]
    assert sum(isinstance(item, AnswerCompleted) for item in items) == TURNS * 2
    assert sum(isinstance(item, RunResumed) for item in items) == 1
    assert (await on(rotated, "replay", "--check")).code == 0
    assert (await on(rotated, "lint")).code == 0


async def test_another_run_takes_another_way_from_it(rotated: Path) -> None:
    forked = await on(rotated, "fork", "--at", "500", "--sink", "jsonl=other.jsonl")
    assert forked.code == 0, forked.err
    other = rotated.with_name("other.jsonl")
    assert (await on(other, "replay", "--check")).code == 0


async def test_compressed_by_hand_it_is_read_but_not_written_to(rotated: Path) -> None:
    packed = rotated.with_name("run.jsonl.gz")
    packed.write_bytes(gzip.compress(rotated.read_bytes()))
    rotated.unlink()
    assert (await on(packed, "replay", "--check")).code == 0
    refused = await on(packed, "resume")
    assert refused.code == 2
    assert "nothing can be added to one; unpack it, or give a name without .gz" in refused.words
    assert "there is run.jsonl.gz" in (await on(rotated, "show")).words


async def test_a_missing_part_is_named_by_every_command(rotated: Path) -> None:
    rotated.with_name("run.0002.jsonl.zst").unlink()
    for command in ("replay", "show", "resume"):
        refused = await on(rotated, command)
        assert refused.code == 2
        assert "expected run.0002.jsonl beside it" in refused.words
    found = await on(rotated, "lint")
    assert found.code == 1
    assert "run.0003.jsonl.zst:1: missing-part: " in found.out
    assert "run.0003.jsonl.zst:2: seq-gap: " in found.out


async def test_a_damaged_part_is_told_with_its_name(rotated: Path) -> None:
    second = rotated.with_name("run.0002.jsonl.zst")
    second.write_bytes(second.read_bytes()[:2000])
    found = await on(rotated, "lint")
    assert found.code == 1
    assert "run.0002.jsonl.zst:1: damaged: what is compressed cannot be read" in found.out
    shown = await on(rotated, "show")
    assert shown.code == 2
    assert "run.0002.jsonl.zst is damaged" in shown.words
    assert "the part before this one ends too early" in shown.words

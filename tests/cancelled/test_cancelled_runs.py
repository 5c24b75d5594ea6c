"""Whole runs against real servers, cancelled at every place at which anything of them waits."""

import itertools
from pathlib import Path

import pytest

from bench.kills import check_killed, check_resumed
from tests.cancelled.worlds import KINDS, chat, entries_of, resume, world
from tests.support.sweep import Interrupt, sweep


@pytest.mark.parametrize("kind", KINDS)
async def test_a_run_leaves_a_recording_that_agrees_with_the_server_and_can_go_on(
    kind: str, tmp_path: Path
) -> None:
    numbers = itertools.count()

    async def scene(interrupt: Interrupt) -> None:
        folder = tmp_path / str(next(numbers))
        folder.mkdir()
        path = folder / "run.jsonl"
        async with world(kind, folder) as there:
            await interrupt(chat(there, path))
            await there.is_alone()
            before = entries_of(path)
            assert check_killed(before, there.executed) == []
            if path.exists():
                await resume(there, path)
                await there.is_alone()
                assert check_resumed(before, entries_of(path), there.executed) == []

    assert await sweep(scene) >= 20


@pytest.mark.parametrize("kind", ["http"])
async def test_a_run_that_goes_on_can_be_interrupted_and_go_on_again(
    kind: str, tmp_path: Path
) -> None:
    """It was cut off when a call had been written down, and not yet been sent."""
    cut, path = tmp_path / "cut.jsonl", tmp_path / "run.jsonl"

    async def scene(interrupt: Interrupt) -> None:
        there.forget()
        path.write_bytes(cut.read_bytes())
        await interrupt(resume(there, path, "--quiet"))
        await there.is_alone()
        assert check_killed(entries_of(path), there.executed) == []
        await resume(there, path, "--quiet")
        await there.is_alone()
        assert check_resumed(before, entries_of(path), there.executed) == []

    async with world(kind, tmp_path) as there:
        await chat(there, cut)
        cut.write_bytes(_up_to_the_first_call(cut.read_bytes()))
        before = entries_of(cut)
        assert await sweep(scene) >= 20


def _up_to_the_first_call(recording: bytes) -> bytes:
    lines = recording.splitlines(keepends=True)
    call = next(n for n, line in enumerate(lines) if b'"kind":"tool_started"' in line)
    return b"".join(lines[: call + 1])

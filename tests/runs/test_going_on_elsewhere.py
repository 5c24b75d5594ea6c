"""A recording goes on with another server, whichever of its lines is the last one."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.kills_checks import check_resumed
from pipeline.core.codec import Entry
from pipeline.core.commands import Post
from tests.cancelled.worlds import chat, entries_of, resume, world
from tests.faults.dialects import CALL, call_in, method_of


@pytest.mark.parametrize("kind", ["seed", "http"])
async def test_a_run_goes_on_with_another_server_wherever_it_was_cut_off(
    kind: str, tmp_path: Path
) -> None:
    whole, path = tmp_path / "whole.jsonl", tmp_path / "run.jsonl"
    async with world(kind, tmp_path) as there:
        await chat(there, whole)
        before = Counter(there.executed)
    header, *lines = whole.read_bytes().splitlines(keepends=True)
    for count in range(1, len(lines)):
        path.write_bytes(b"".join((header, *lines[:count])))
        known = entries_of(path)
        async with world(kind, tmp_path) as elsewhere:
            ended = await resume(elsewhere, path)
            await elsewhere.is_alone()
            executed = Counter({n: before[n] for n in _sent(known)}) + elsewhere.executed
        assert ended.code == 0, f"cut off after line {count}: {ended}"
        assert check_resumed(known, entries_of(path), executed) == [], f"after line {count}"


def _sent(known: Sequence[Entry]) -> list[int]:
    """The calls that may have been sent: what is not written down was not done."""
    posts = [entry.item.message for entry in known if isinstance(entry.item, Post)]
    return [call_in(message).n for message in posts if method_of(message) == CALL]

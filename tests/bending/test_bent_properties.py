"""What holds for any run and any fault in it: it ends, no call is left open, and it replays.

The runs are the journeys of `test_core_properties`: what servers, models and people do in any
order, noise included.
"""

import asyncio
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.core.codec import Entry, Header, encode_entry
from pipeline.core.commands import Item
from pipeline.core.events import RunEnded, RunResumed, ToolEnded, ToolStarted, is_input
from pipeline.replay import ReplayOptions, replay
from pipeline.shell.recordings import RecordedRun, RecordingError
from tests.core.test_core_properties import ANY, PLAN, World
from tests.support.bending import at, bent, only, write

KINDS = ("drop", "delay:0", "delay:3", "delay:100", "500", "404", "duplicate", "silence")
FAULTS = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 999)), min_size=1, max_size=2)
PACES = st.sampled_from((0.0, 0.037, 2.0))  # seconds between two inputs


def recorded(path: Path, world: World, pace: float) -> RecordedRun:
    """A journey up to its end, as a recording."""
    entries: list[Entry] = []
    seconds = 0.0
    for item in world.log:
        seconds += pace if is_input(item) else 0.0
        assert isinstance(item, Item)
        entries.append(Entry(len(entries) + 1, at(seconds), item))
        if isinstance(item, RunEnded):
            break
    return write(path, entries, Header(plan=PLAN))


def check_ends(entries: list[Entry], code: int) -> None:
    """Each call that started has ended, once; but for a resumed run that reaches no server."""
    calls = Counter(entry.item.call for entry in entries if isinstance(entry.item, ToolStarted))
    ends = Counter(entry.item.call for entry in entries if isinstance(entry.item, ToolEnded))
    assert max((calls | ends).values(), default=1) == 1
    is_cut_short = code in (3, 4) and any(isinstance(e.item, RunResumed) for e in entries)
    assert calls == ends or (is_cut_short and ends <= calls)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(ANY, FAULTS, PACES)
def test_any_bent_run_ends_with_every_call_and_replays_to_the_letter(
    tmp_path: Path, world: World, faults: list[tuple[str, int]], pace: float
) -> None:
    run = recorded(tmp_path / "any.jsonl", world, pace)
    length = sum(1 for _ in run.entries())
    wishes = sorted({f"{kind}@{1 + place % length}" for kind, place in faults})
    try:
        done = asyncio.run(bent(run, *wishes))
    except RecordingError as exc:
        if "found nothing to bend" not in str(exc):  # the event was one of the last
            raise
        return
    assert done.ended is not None
    check_ends(list(done.entries), done.ended.code)
    assert only(RunEnded, done)[-1] == done.ended
    again = asyncio.run(bent(run, *wishes))
    assert list(map(encode_entry, again.entries)) == list(map(encode_entry, done.entries))
    copy = write(tmp_path / "bent.jsonl", done.entries, done.header)
    replayed = asyncio.run(replay(copy, [], ReplayOptions(check=True)))
    assert replayed.difference is None, str(replayed.difference)
    assert replayed.ended == done.ended

"""`kill -9` in the middle of a recording run; `python -m bench.kills` does it 200 times."""

from collections import Counter
from pathlib import Path

import pytest
from msgspec.structs import replace

from bench.kills import check_killed, check_resumed, kill_once
from pipeline.core.codec import Entry
from pipeline.core.commands import Item
from pipeline.core.events import RunEnded, ToolEnded, ToolStarted


@pytest.mark.parametrize("number", range(1, 6))
async def test_a_killed_run_lost_nothing_and_goes_on(number: int, tmp_path: Path) -> None:
    kill = await kill_once(f"kills/{number}", tmp_path)
    assert kill.wrong == []
    assert kill.entries > 0
    assert kill.outcomes.total() == kill.started


def entries(*items: Item) -> list[Entry]:
    return [Entry(seq, "2026-11-24T06:28:23.000001Z", item) for seq, item in enumerate(items, 1)]


STARTED = ToolStarted(call="c1", server="s", tool="act", arguments={"n": 1})
ANSWERED = ToolEnded(call="c1", server="s", tool="act", outcome="answered")
NOT_SENT = ToolEnded(call="c1", server="s", tool="act", outcome="not_sent")
END = RunEnded(code=0)
WHOLE = entries(STARTED, ANSWERED, END)


def test_a_call_that_is_not_written_down_must_not_have_been_executed() -> None:
    assert check_killed(entries(STARTED), Counter({1: 1})) == []
    assert "not written down as started: [2]" in check_killed(entries(STARTED), Counter({2: 1}))[0]


def test_a_gap_is_seen() -> None:
    gap = [WHOLE[0], *(replace(entry, seq=entry.seq + 1) for entry in WHOLE[1:])]
    assert "seq has gaps" in check_killed(gap, Counter())[0]
    assert "seq has gaps" in check_resumed([], gap, Counter({1: 1}))[0]


@pytest.mark.parametrize(
    ("items", "executed", "words"),
    [
        ((STARTED, ANSWERED, END), 1, ""),
        ((STARTED, END), 1, "was started and ended 0 times"),
        ((STARTED, ANSWERED, ANSWERED, END), 1, "was started and ended 2 times"),
        ((ANSWERED, END), 0, "never started"),
        ((STARTED, ANSWERED, END), 2, "was executed 2 times"),
        ((STARTED, ANSWERED, END), 0, "never executed"),
        ((STARTED, NOT_SENT, END), 1, "was not sent, and executed 1 times"),
        ((STARTED, ANSWERED), 1, "does not end with run_ended"),
    ],
)
def test_what_is_wrong_after_the_resumed_run_is_seen(
    items: tuple[Item, ...], executed: int, words: str
) -> None:
    wrong = check_resumed([], entries(*items), Counter({1: executed}))
    assert words in "\n".join(wrong)
    assert bool(wrong) == bool(words)


def test_what_was_recorded_before_the_kill_must_still_be_there() -> None:
    before = entries(NOT_SENT)
    assert "is not what it was" in check_resumed(before, WHOLE, Counter({1: 1}))[0]

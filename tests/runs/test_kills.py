"""`kill -9` in the middle of a recording run; `python -m bench.kills` does it 200 times."""

from collections import Counter
from pathlib import Path

import pytest
from msgspec.structs import replace

from bench import kills
from bench.kills import Kill, StuckError, kill_once, main
from bench.kills_checks import check_killed, check_resumed
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


# --- what the command does ----------------------------------------------------------------------


async def test_a_run_that_does_not_come_so_far_is_told_with_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kills, "_DEADLINE", 2.0)
    monkeypatch.setattr(kills, "_HANDSHAKE", dict.fromkeys(kills.DIALECTS, 10_000_000))
    with pytest.raises(StuckError, match=r"(?s)the run came to \d+ requests of \d+.*thread"):
        await kill_once("stuck", tmp_path)


@pytest.mark.parametrize(
    ("found", "status", "words"),
    [
        (Kill("sse", 3, entries=7, started=2, outcomes=Counter(answered=2)), 0, "nothing wrong"),
        (
            Kill("sse", 3, wrong=["c1 is lost"]),
            1,
            "again: python -m bench.kills --seed 5 --first 1",
        ),
        (StuckError("the run came to 2 requests of 3"), 1, "the run came to 2 requests of 3"),
    ],
)
def test_what_is_wrong_ends_the_command_and_is_told_with_what_runs_it_again(
    found: Kill | StuckError,
    status: int,
    words: str,
    *,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    written: list[str] = []

    async def once(seed: str, _folder: Path) -> Kill:
        assert seed in ("5/1", "5/2")
        if isinstance(found, StuckError):
            raise found
        return found

    def folder(prefix: str) -> str:
        made = tmp_path / f"{prefix}{len(list(tmp_path.iterdir()))}"
        made.mkdir()
        return str(made)

    def write(_: str, text: str) -> None:
        written.extend(text.splitlines())

    monkeypatch.setattr(kills, "kill_once", once)
    monkeypatch.setattr(kills, "write_block", write)
    monkeypatch.setattr("tempfile.mkdtemp", folder)
    monkeypatch.setattr("sys.argv", ["kills", "--kills", "2", "--seed", "5"])
    assert main() == status
    assert words in capsys.readouterr().out
    assert bool(written) == (status == 0)
    if written:
        assert {"| kills | 2 |", "| calls started, before or after | 4 |"} <= set(written)

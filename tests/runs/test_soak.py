"""The soak, in small: each fault of each server, and the checks, which must see what is wrong."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.soak import soak
from bench.soak_chat import Chat, Totals, Turn, WrongError, draw
from bench.soak_checks import Wish, check_calls, check_chat, check_turn
from bench.soak_peer import FAULTS
from bench.soak_watch import Sample, check_samples, slope
from pipeline.core.commands import Item, Post
from pipeline.core.events import (
    AnswerCompleted,
    CallOutcome,
    Json,
    RunEnded,
    ToolEnded,
    ToolProgress,
    ToolRepeated,
    ToolStarted,
)


@pytest.mark.parametrize("dialect", FAULTS)
async def test_each_fault_of_a_server_ends_its_calls_and_doubles_none(
    dialect: str, tmp_path: Path
) -> None:
    numbers = iter(range(1, 100))
    turns = [
        Turn([Wish(dialect, tool, next(numbers), fault) for tool in ("act", "look")])
        for fault in FAULTS[dialect]
    ]
    totals = Totals()
    await Chat(turns, tmp_path, totals).run()
    assert totals.turns == len(FAULTS[dialect])
    assert totals.calls.total() == 2 * totals.turns
    assert totals.calls["unknown"] > 0


async def test_a_soak_of_one_chat_says_what_it_did(capsys: pytest.CaptureFixture[str]) -> None:
    totals = await soak(1, 0, turns=4)
    assert totals.turns == 4
    assert "seed 1: 4 turns in 1 chats, nothing wrong" in capsys.readouterr().out


async def test_what_is_wrong_is_told_with_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(_dialect: str, _n: int) -> Json:
        return {"content": []}

    monkeypatch.setattr("bench.soak_peer.done", nothing)
    with pytest.raises(WrongError, match=r"again: python -m bench\.soak --seed 3 --chat 1"):
        await soak(3, 0, turns=20)


def test_a_seed_draws_the_same_turns_each_time() -> None:
    assert list(draw("7/1")) == list(draw("7/1"))
    assert list(draw("7/1")) != list(draw("7/2"))


# --- the checks ---------------------------------------------------------------------------------

ACT, LOOK = Wish("s", "act", 1), Wish("s", "look", 2)


def started(wish: Wish, call: str = "c1") -> ToolStarted:
    return ToolStarted(call=call, server=wish.server, tool=wish.tool, arguments={"n": wish.n})


def ended(wish: Wish, outcome: CallOutcome = "answered", call: str = "c1") -> ToolEnded:
    content = ({"type": "text", "text": f"did {wish.n}"},) if outcome == "answered" else ()
    return ToolEnded(
        call=call, server=wish.server, tool=wish.tool, outcome=outcome, content=content, reason="x"
    )


def repeated(wish: Wish, call: str = "c1") -> ToolRepeated:
    return ToolRepeated(call=call, server=wish.server, tool=wish.tool, reason="x")


def progress(*steps: float) -> list[Item]:
    return [ToolProgress(call="c1", progress=step) for step in steps]


def post(id_: str) -> Post:
    return Post(server="s", url="", id=id_, message={"id": id_, "method": "ping"})


DID = [started(ACT), ended(ACT)]
TWO = [started(ACT), started(LOOK, "c2"), ended(LOOK, call="c2"), ended(ACT)]


@pytest.mark.parametrize(
    ("items", "executed"),
    [
        (DID, {1: 1}),
        ([started(ACT), ended(ACT, "unknown")], {}),
        ([started(ACT), ended(ACT, "unknown")], {1: 1}),
        ([started(ACT), ended(ACT, "not_sent")], {}),
        ([started(LOOK), repeated(LOOK), ended(LOOK)], {2: 2}),
        ([started(ACT), *progress(1, 2), ended(ACT)], {1: 1}),
        ([started(LOOK), *progress(1, 2), repeated(LOOK), *progress(1, 2), ended(LOOK)], {2: 2}),
    ],
)
def test_calls_that_are_as_they_must_be_are_not_complained_of(
    items: Sequence[Item], executed: dict[int, int]
) -> None:
    assert check_calls(items, executed) == []


@pytest.mark.parametrize(
    ("items", "executed", "words"),
    [
        ([started(ACT)], {1: 1}, "never ended"),
        ([started(ACT), ended(ACT), ended(ACT)], {1: 1}, "was not under way"),
        ([started(ACT), ended(ACT), started(ACT), ended(ACT)], {1: 1}, "started twice"),
        (DID, {}, "executed 0 times, expected 1 to 1"),
        (DID, {1: 2}, "executed 2 times, expected 1 to 1"),
        ([started(ACT), ended(ACT, "not_sent")], {1: 1}, "executed 1 times, expected 0 to 0"),
        ([started(ACT), ended(ACT, "unknown")], {1: 2}, "executed 2 times, expected 0 to 1"),
        ([started(ACT), repeated(ACT), ended(ACT)], {1: 1}, "was sent 2 times"),
        ([started(LOOK), ended(LOOK)], {2: 2}, "executed 2 times, expected 1 to 1"),
        ([started(ACT), *progress(2, 1), ended(ACT)], {1: 1}, "came to 1 after 2"),
        ([started(ACT), ended(ACT), *progress(1)], {1: 1}, "which is not under way"),
        ([started(ACT), ended(LOOK)], {1: 1}, "was answered with ['did 2']"),
    ],
)
def test_a_call_that_was_lost_or_doubled_is_seen(
    items: Sequence[Item], executed: dict[int, int], words: str
) -> None:
    assert words in "\n".join(check_calls(items, executed))


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ([*TWO, AnswerCompleted(text="did 1\ndid 2", turns=2)], ""),
        ([*TWO, AnswerCompleted(text="did 2\ndid 1", turns=2)], "in that order"),
        ([*TWO, AnswerCompleted(text="did 1", turns=2)], "in that order"),
        ([TWO[1], TWO[0], *TWO[2:], AnswerCompleted(text="did 2\ndid 1", turns=2)], "not the same"),
        (TWO, "found 0 answers"),
    ],
)
def test_a_turn_keeps_the_order_of_its_calls_and_has_one_answer(
    items: Sequence[Item], words: str
) -> None:
    wrong = check_turn(items, (ACT, LOOK), {1: 1, 2: 1})
    assert words in "\n".join(wrong)
    assert bool(wrong) == bool(words)


@pytest.mark.parametrize(
    ("items", "asked", "words"),
    [
        ([*DID, post("a"), post("b"), RunEnded(code=0)], {"a": 1, "b": 1}, ""),
        ([*DID, post("a"), post("a"), RunEnded(code=0)], {}, "'a' was used 2 times"),
        ([*DID, post("a"), RunEnded(code=0)], {"a": 2}, "a server read 'a' 2 times"),
        ([*DID, RunEnded(code=1)], {}, "expected run_ended with code 0"),
        (DID, {}, "expected run_ended with code 0"),
    ],
)
def test_a_chat_uses_no_id_twice_and_ends_well(
    items: Sequence[Item], asked: dict[str, int], words: str
) -> None:
    wrong = check_chat(items, {1: 1}, asked)
    assert words in "\n".join(wrong)
    assert bool(wrong) == bool(words)


def samples(rise: int, *files: int) -> list[Sample]:
    return [
        Sample(turns, 50_000_000 + rise * turns, ["pipe"] * count)
        for turns, count in enumerate(files, 1)
    ]


def test_memory_and_open_files_must_stay_flat() -> None:
    flat, steep = samples(0, *[9] * 20), samples(5000, *[9] * 20)
    assert check_samples(flat) == []
    assert slope(steep) == pytest.approx(5000)
    assert "memory grows by 5000 bytes a turn" in check_samples(steep)[0]
    assert (
        "10 files are open, 9 were after the first chat; new are pipe"
        in check_samples(samples(0, 9, 10))[0]
    )
    assert slope(samples(5000, 9, 9)) is None

"""The soak, in small: each fault of each server, and the checks, which must see what is wrong."""

import asyncio
import socket
import struct
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.soak import Soaked, main, soak, table, told
from bench.soak_chat import Chat, Totals, WrongError
from bench.soak_checks import ChatChecks, Wish, check_calls, check_turn
from bench.soak_draw import LONG, TURNS, Turn, draw, turns_of
from bench.soak_faults import FAULTS
from bench.soak_files import OpenFile, open_files
from bench.soak_watch import (
    MOST_CONNECTIONS,
    PIPES,
    check_files,
    check_memory,
    check_samples,
    growth,
    look_for_left,
    sample,
)
from pipeline.core.commands import Item, Post
from pipeline.core.events import (
    AnswerCompleted,
    CallOutcome,
    RunEnded,
    ToolEnded,
    ToolProgress,
    ToolRepeated,
    ToolStarted,
)
from tests.faults.exchange import Stream


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


async def test_a_soak_of_one_chat_says_what_it_did() -> None:
    soaked = await soak(1, 0, turns=4)
    assert soaked.totals.turns == 4
    assert soaked.peak >= soaked.samples[0].held > 0
    words = told(soaked)
    assert "seed 1: 4 turns in 1 chats, " in words
    assert f"{soaked.totals.calls.total()} calls: answered" in words
    assert f"| 1 | {soaked.seconds:.0f} | 4 | {soaked.totals.calls.total()} | " in table([soaked])


async def test_what_is_wrong_is_told_with_the_command_that_runs_it_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def of_nobody(_: int) -> str:
        return "did something"

    monkeypatch.setattr("tests.faults.dialects.text_of", of_nobody)
    with pytest.raises(WrongError, match=r"again: python -m bench\.soak --seeds 3 --chat 1"):
        await soak(3, 0, turns=20)


async def test_a_connection_that_is_not_let_go_of_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_: Stream) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("bench.soak_watch._PATIENCE", 0.1)
    monkeypatch.setattr("tests.faults.exchange.Stream.end", never)
    with pytest.raises(WrongError, match="a socket is left"):
        await Chat([Turn([Wish("http", "look", 1, "resume")])] * 2, tmp_path, Totals()).run()


@pytest.mark.parametrize(
    ("words", "blocks", "status"),
    [
        (["--seeds", "5,6"], ["bench.soak"], 0),
        (["--seeds", "5,6", "--no-docs"], [], 0),
        (["--seeds", "5", "--chat", "2"], [], 0),
        (["--seeds", "5,7,6"], [], 1),
    ],
)
def test_the_page_is_written_when_all_seeds_went_well(
    words: list[str],
    blocks: list[str],
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    written: list[str] = []

    async def soaked(seed: int, _seconds: float, *, chat: int) -> Soaked:
        if seed == 7:
            raise WrongError(f"chat {chat} of seed 7: it broke")
        return Soaked(seed, Totals(growths=[1.0]), [sample(1), sample(2)])

    def write(name: str, text: str) -> None:
        assert "| 5 | 0 | 0 | 0 | " in text
        written.append(name)

    monkeypatch.setattr("bench.soak.soak", soaked)
    monkeypatch.setattr("bench.soak.write_block", write)
    monkeypatch.setattr("sys.argv", ["soak", *words])
    assert main() == status
    assert written == blocks
    assert ("WRONG in chat 0 of seed 7" in capsys.readouterr().out) == bool(status)


def test_a_seed_draws_the_same_turns_each_time() -> None:
    assert list(draw(7, 1)) == list(draw(7, 1))
    assert list(draw(7, 1)) != list(draw(7, 2))


def test_the_second_chat_is_a_long_one_and_each_tenth_after_it() -> None:
    assert [turns_of(chat) for chat in (1, 2, 3, 12)] == [TURNS, LONG, TURNS, LONG]
    assert len(list(draw(7, 2))) == LONG


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


def test_a_call_at_a_server_that_is_well_has_its_result() -> None:
    answer: Item = AnswerCompleted(text="", turns=2)
    items = [started(ACT), ended(ACT, "unknown"), answer]
    assert check_turn(items, [ACT], {1: 1}) == []
    (wrong,) = check_turn(items, [ACT], {1: 1}, calm=["s"])
    assert "c1 ended as unknown ('x'), and s is well" in wrong


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
    ("turns", "asked", "words"),
    [
        ([[*DID, post("a")], [post("b"), RunEnded(code=0)]], {"a": 1, "b": 1}, ""),
        ([[*DID, post("a")], [post("a"), RunEnded(code=0)]], {}, "'a' was used 2 times"),
        ([[*DID, post("a"), RunEnded(code=0)]], {"a": 2}, "a server read 'a' 2 times"),
        ([DID, [*DID, RunEnded(code=0)]], {}, "c1 was started in 2 turns"),
        ([[*DID, RunEnded(code=1)]], {}, "expected run_ended with code 0"),
        ([[*DID], []], {}, "expected run_ended with code 0"),
    ],
)
def test_a_chat_uses_no_id_twice_and_ends_well(
    turns: Sequence[Sequence[Item]], asked: dict[str, int], words: str
) -> None:
    checks = ChatChecks()
    for items in turns:
        checks.take(items)
    wrong = checks.wrong(asked)
    assert words in "\n".join(wrong)
    assert bool(wrong) == bool(words)


# --- what a process holds -----------------------------------------------------------------------


@pytest.mark.parametrize(("rise", "is_told"), [(0, False), (4000, False), (10_000, True)])
def test_memory_must_stay_flat(rise: int, is_told: bool) -> None:
    points = [(float(at), 50_000_000.0 + rise * at) for at in range(40)]
    assert growth(points) == pytest.approx(rise)
    wrong = check_memory(points, 4096)
    assert bool(wrong) is is_told
    assert growth(points[:19]) is None
    assert check_memory(points, 4096, enough=41) == []


def test_a_peak_is_no_growth_and_nor_is_what_a_process_needs_to_get_warm() -> None:
    sizes = [10.0, 30.0, 40.0, 50.0, 50.0, 50.0, 90.0, 50.0] * 3
    assert growth([(float(at), size) for at, size in enumerate([0.0] * 5 + [50.0] * 20)]) == 0
    assert growth([(float(at), size) for at, size in enumerate(sizes)]) == pytest.approx(0, abs=1)


def test_a_single_step_is_no_growth_and_two_are() -> None:
    def after(*steps: int) -> list[tuple[float, float]]:
        return [(float(at), float(sum(at >= step for step in steps))) for at in range(40)]

    assert [growth(after(step)) for step in range(40)] == [0] * 40
    assert growth(after(18, 28)) == pytest.approx(0.1)


def files(*words: str, peer: int | None = None, is_dead: bool = False) -> list[OpenFile]:
    return [OpenFile(number, each, peer, is_dead) for number, each in enumerate(words)]


BEFORE = files("/dev/null", "tcp :8000 listening")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (files(*["pipe:[1]"] * PIPES), ""),
        (files(*["pipe:[1]"] * (PIPES + 1)), "expected 4 files beside the connections, found pipe"),
        (files(*["tcp"] * MOST_CONNECTIONS, peer=8000), ""),
        (files(*["tcp"] * (MOST_CONNECTIONS + 1), peer=8000), "13 connections to :8000"),
        (files(*["tcp"] * 99, peer=40_000), ""),
        (files("tcp :1 to :8000, reset", is_dead=True), "a socket is left: tcp :1 to :8000, reset"),
    ],
)
def test_what_is_left_open_between_two_turns_is_seen(more: list[OpenFile], words: str) -> None:
    wrong = check_files([*BEFORE, *more], BEFORE, [8000])
    assert words in "\n".join(wrong)
    assert bool(wrong) == bool(words)


def test_what_is_left_open_after_a_chat_is_named() -> None:
    assert check_samples(BEFORE, BEFORE) == []
    more = [*BEFORE, *files("pipe:[7]")]
    assert "new are pipe:[7]" in check_samples(BEFORE, more)[0]


def of_port(port: int) -> list[OpenFile]:
    return [each for each in open_files() if f":{port}" in each.words or each.peer == port]


def test_both_ends_of_a_connection_are_known_until_one_of_them_goes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        one, (two, _) = socket.create_connection(("127.0.0.1", port)), listener.accept()
        with one, two:
            assert [each.peer for each in of_port(port)].count(port) == 1
            assert not [each for each in of_port(port) if each.is_dead]
            two.close()
            assert [each.words for each in of_port(port) if each.is_dead] == [
                f"tcp :{one.getsockname()[1]} to :{port} it has ended"
            ]


def test_a_connection_that_was_reset_is_known_to_be_dead() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        with socket.create_connection(address) as one, listener.accept()[0] as two:
            two.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            two.close()
            (found,) = [each for each in open_files() if each.number == one.fileno()]
            local = one.getsockname()[1]
    assert (found.words, found.is_dead) == (f"tcp :{local}, reset", True)


async def test_a_task_that_goes_on_is_left() -> None:
    task = asyncio.create_task(asyncio.Event().wait(), name="a forgotten one")
    assert "a forgotten one" in look_for_left()[0]
    task.cancel()

"""Answers that are doubled, in another order, for nobody, or of an old stream."""

import asyncio

import pytest

from pipeline.core.events import FrameReceived, Problem, RunEnded
from tests.faults import dialects
from tests.faults.dialects import CALL, DIALECTS, JSON_RPC, OF_ONE_STREAM, Dialect
from tests.faults.exchange import Exchange, On
from tests.faults.good import accept, answer, end, right_answer, run, say, told
from tests.faults.meeting import meet
from tests.faults.rows import saying

PATIENT = ("--call-timeout", "20", "--call-timeout-max", "20")
NOT_OURS = ('"call:c99"', "7", "true", "[]", "{}")
"""Ids of nobody, of another type, and of types that no id has."""
NOBODYS = [(dialect, id_) for dialect in JSON_RPC for id_ in NOT_OURS] + [("sse", "null")]
# Where a stream is of one request, an answer without an id is about that one.


def _twice(x: Exchange) -> bytes:
    """One event with its id, and the very same once more."""
    return right_answer(x, "17") * 2


def _of_nobody(id_: str) -> bytes:
    result = '{"content":[{"type":"text","text":"of nobody"}]}'
    return dialects.event(f'{{"jsonrpc":"2.0","id":{id_},"result":{result}}}', "message")


@pytest.mark.parametrize("dialect", JSON_RPC)
async def test_answers_in_another_order_find_their_calls(dialect: Dialect) -> None:
    """The first call is answered when the second one, which came later, has been."""

    answered = asyncio.Event()

    async def behind_it(_: Exchange) -> None:
        await answered.wait()

    async def tell(_: Exchange) -> None:
        answered.set()

    met = await meet(
        dialect,
        On(CALL, run, accept, behind_it, answer, end),
        On(CALL, run, accept, answer, end, tell, n=2),
        prompts=["act n=1 ; act n=2", "act n=3"],
    )
    texts = [each.content[0]["text"] for each in met.ends]
    assert texts == ["did 2", "did 1", "did 3"]


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_an_event_that_is_repeated_whole_is_used_once(dialect: Dialect) -> None:
    met = await meet(dialect, On(CALL, run, accept, say(_twice), end))
    assert [each.outcome for each in met.ends] == ["answered", "answered"]
    assert met.played.ended == RunEnded(code=0)


@pytest.mark.parametrize(("dialect", "id_"), NOBODYS)
async def test_an_answer_to_an_id_that_nobody_gave_is_told_and_harms_nobody(
    dialect: Dialect, id_: str
) -> None:
    met = await meet(dialect, On(CALL, run, accept, say(_of_nobody(id_)), answer, end))
    assert [each.content[0]["text"] for each in met.ends] == ["did 1", "did 2"]
    assert len(met.played.only(Problem)) == 1


@pytest.mark.parametrize("dialect", OF_ONE_STREAM)
async def test_late_bytes_of_an_old_stream_are_not_heard_once_there_is_a_new_one(
    dialect: Dialect,
) -> None:
    """The server, which never saw the old stream end, answers there."""

    async def until_back(x: Exchange) -> None:
        await x.server.got("GET", 2)

    silent = On(CALL, run, accept, until_back, answer)
    met = await meet(dialect, silent, argv=("--silence", "0.3", "--call-timeout", "5"))
    assert [each.outcome for each in met.ends] == ["unknown", "answered"]
    heard = "".join(each.data for each in met.played.only(FrameReceived))
    assert "did 1" not in heard
    assert "did 2" in heard


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_result_of_ten_megabytes_arrives_whole(dialect: Dialect) -> None:
    much = "x" * 10_000_000
    met = await meet(dialect, On(CALL, run, accept, saying(much), end), argv=PATIENT)
    first, second = met.ends
    assert first.content[0]["text"] == f"did 1{much}"
    assert second.outcome == "answered"


CHANGED = say(told("notifications/tools/list_changed"))


@pytest.mark.parametrize("dialect", ["sse", "http"])
async def test_a_list_that_was_just_read_again_is_not_read_once_more_whatever_its_server_says(
    dialect: Dialect,
) -> None:
    """It has changed with each of five calls; an hour goes by before the third reading."""
    met = await meet(
        dialect,
        On(CALL, run, accept, CHANGED, answer, end, n=None),
        argv=("--list-pause", "3600"),
        prompts=[f"act n={n}" for n in range(5)],
    )
    assert [each.outcome for each in met.ends] == ["answered"] * 5
    assert len(met.server.all("tools/list")) == 2


@pytest.mark.parametrize("dialect", ["sse", "http"])
async def test_a_change_that_came_too_soon_is_read_when_the_list_has_had_its_rest(
    dialect: Dialect,
) -> None:
    async def until_read(x: Exchange) -> None:
        await x.server.got("tools/list", 3)

    met = await meet(
        dialect,
        On(CALL, run, accept, CHANGED, answer, end),
        On(CALL, run, accept, CHANGED, until_read, answer, end, n=2),
        argv=("--list-pause", "0.05", "--call-timeout", "5"),
    )
    assert [each.outcome for each in met.ends] == ["answered", "answered"]
    assert len(met.server.all("tools/list")) == 3

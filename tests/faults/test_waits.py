"""How long a server wants to be left alone, and where its stream is then taken up again."""

import email.utils
import time

import pytest

from pipeline.core.commands import Post, StartTimer
from pipeline.core.events import RunEnded, StreamLost, ToolDelayed
from tests.faults.dialects import CALL, DIALECTS, FLAGS, OF_ONE_STREAM, Dialect
from tests.faults.exchange import On
from tests.faults.good import accept, begin, finish, name_endpoint, run, say, status
from tests.faults.meeting import FIRST, meet
from tests.faults.steps import RETRY_MS, cut, keep
from tests.faults.switchboard import switchboard
from tests.support.in_process import QUICK, Lines, playing

WISHES = {"0": None, "0.5": None, "garbage": None, "-3": None, "99999999999": 300.0}
OWN = 0.01  # seconds: no delay of ours is longer at first, in these tests


@pytest.mark.parametrize("wish", WISHES)
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_retry_after_is_kept_up_to_the_longest_wish_and_garbage_is_none(
    dialect: Dialect, wish: str
) -> None:
    busy = On(FIRST[dialect], status("503 No", retry_after=wish))
    lost = await _first_loss(dialect, busy)
    assert lost.retry_in is not None
    expected = WISHES[wish]
    assert lost.retry_in == expected if expected is not None else lost.retry_in <= OWN


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_retry_after_may_be_a_date(dialect: Dialect) -> None:
    date = email.utils.formatdate(time.time() + 60, usegmt=True)
    lost = await _first_loss(dialect, On(FIRST[dialect], status("429 No", retry_after=date)))
    assert lost.retry_in is not None
    assert OWN < lost.retry_in <= 60


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_call_that_is_refused_waits_as_long_as_was_asked_for_and_runs_once(
    dialect: Dialect,
) -> None:
    busy = On(CALL, status("503 No", retry_after="1"))
    met = await meet(dialect, busy, argv=("--call-timeout", "5"))
    delayed = met.played.one(ToolDelayed)
    assert (delayed.call, delayed.retry_in) == ("c1", 1.0)
    assert "HTTP 503" in delayed.reason
    assert [each.outcome for each in met.ends] == ["answered", "answered"]
    assert met.server.ledger.executed == {1: 1, 2: 1}
    ids = [post.id for post in met.played.only(Post) if post.id.startswith("call:")]
    assert ids == ["call:c1", "call:c1~2", "call:c2"]


@pytest.mark.parametrize("line", ["429 No", "503 No"])
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_server_that_stays_busy_is_asked_a_few_times_and_the_call_was_not_sent(
    dialect: Dialect, line: str
) -> None:
    always = On(CALL, status(line), n=None)
    met = await meet(dialect, always, argv=("--call-timeout", "5"), prompts=("act n=1",))
    (end,) = met.ends
    assert (end.outcome, "it was asked 3 times" in end.reason) == ("not_sent", True)
    assert len(met.server.all(CALL)) == 3
    assert met.server.ledger.executed == {}


@pytest.mark.parametrize(
    ("retry", "seconds"),
    [("50", 0.05), ("0", 0.0), ("-1", None), ("1_000", None), ("9" * 30, 300.0)],
)
@pytest.mark.parametrize("dialect", OF_ONE_STREAM)
async def test_the_pause_that_a_stream_asks_for_is_kept_and_clamped(
    dialect: Dialect, retry: str, seconds: float | None
) -> None:
    words = say(f"id: 7\nretry: {retry}\ndata:\n\n".encode())
    lost = await _first_loss(dialect, On("GET", begin, name_endpoint, words, finish))
    assert lost.retry_in is not None
    assert lost.retry_in == seconds if seconds is not None else lost.retry_in <= OWN


@pytest.mark.parametrize("dialect", OF_ONE_STREAM)
async def test_a_stream_goes_on_from_the_last_event(dialect: Dialect) -> None:
    broken = On("GET", begin, name_endpoint, say(b"id: 7\nretry: 0\ndata:\n\n"), finish)
    met = await meet(dialect, broken)
    assert [x.request.headers.get("last-event-id") for x in met.server.all("GET")] == [None, "7"]
    assert met.played.ended == RunEnded(code=0)


@pytest.mark.parametrize("id_", [b"a\x1bb", b"\x00", b"x" * 9000], ids=["escape", "nul", "9 kB"])
@pytest.mark.parametrize("dialect", OF_ONE_STREAM)
async def test_an_id_that_no_header_can_carry_does_not_end_the_way_back(
    dialect: Dialect, id_: bytes
) -> None:
    poisoned = On("GET", begin, name_endpoint, say(b"id: " + id_ + b"\ndata:\n\n"), finish)
    met = await meet(dialect, poisoned)
    assert [x.request.headers.get("last-event-id") for x in met.server.all("GET")] == [None, None]
    assert met.played.ended == RunEnded(code=0)


async def test_an_answer_that_broke_off_is_taken_up_again_after_the_pause_that_was_asked_for() -> (
    None
):
    met = await meet("http", On(CALL, run, accept, keep, cut))
    assert [each.outcome for each in met.ends] == ["answered", "answered"]
    assert met.server.ledger.executed == {1: 1, 2: 1}
    asked = [x.request.headers.get("last-event-id") for x in met.server.all("GET")]
    assert asked == [None, "call-1/0"]
    pauses = [t.seconds for t in met.played.only(StartTimer) if t.id.startswith("resume:")]
    assert pauses == [RETRY_MS / 1000]


async def _first_loss(dialect: Dialect, *faults: On) -> StreamLost:
    """How the first loss of a connection is told; the run is then left."""
    async with switchboard(dialect, *faults) as server:
        argv = ("--server", server.url, "--dialect", FLAGS[dialect])
        async with playing(*argv, lines=Lines(is_open=True), env=QUICK) as client:
            lost = await client.saw(StreamLost)
    assert isinstance(lost, StreamLost)
    return lost

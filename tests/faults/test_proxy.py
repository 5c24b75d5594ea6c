"""Bad networks, and one that is cut behind the n-th byte, for n from 0 to the last one there is."""

import pytest

from pipeline.core.events import AnswerCompleted, RunEnded, ToolEnded
from tests.faults.dialects import DIALECTS, FLAGS, Dialect
from tests.faults.ledger import Verdict, judge_run
from tests.faults.meeting import TWO
from tests.faults.proxy import FAIR, Proxy, Weather, proxied
from tests.faults.switchboard import switchboard
from tests.support.in_process import QUICK, Played, play

STEP = 37  # bytes between two cuts: a prime, so that they fall everywhere in lines and heads
PATIENT = {**QUICK, "RXMCP_RETRY_ATTEMPTS": "20", "RXMCP_RETRY_FIRST_ATTEMPTS": "20"}


async def _through(
    dialect: Dialect,
    weather: Weather = FAIR,
    *,
    down_limit: int | None = None,
    up_limit: int | None = None,
) -> tuple[Played, Verdict, Proxy]:
    async with (
        switchboard(dialect) as server,
        proxied(server.port, weather, down_limit=down_limit, up_limit=up_limit) as proxy,
    ):
        argv = ("--server", proxy.url(server.url), "--dialect", FLAGS[dialect])
        played = await play(*argv, prompts=TWO, env=PATIENT)
        await server.is_alone()
    return played, judge_run(server.ledger, played.items), proxy


@pytest.mark.parametrize(
    "weather",
    [
        Weather(slice_bytes=1),
        Weather(slice_bytes=7, latency=0.001),
        Weather(latency=0.02),
        Weather(bytes_per_second=40_000, slice_bytes=200),
    ],
    ids=str,
)
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_slow_and_narrow_network_costs_nothing_but_time(
    dialect: Dialect, weather: Weather
) -> None:
    played, verdict, proxy = await _through(dialect, weather)
    assert [each.text for each in played.only(AnswerCompleted)] == ["did 1", "did 2"]
    assert (verdict, proxy.resets) == (Verdict(), 0)


@pytest.mark.parametrize("way", ["down", "up"])
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_whichever_byte_is_the_last_each_call_ends_once_and_the_ledger_agrees(
    dialect: Dialect, way: str
) -> None:
    """One reset in each run; the two calls may both be answered, or one of them be unknown."""
    outcomes: set[tuple[str, ...]] = set()
    at, resets = 0, 1
    while resets:
        down, up = (at, None) if way == "down" else (None, at)
        played, verdict, proxy = await _through(dialect, down_limit=down, up_limit=up)
        assert verdict.is_clean, f"cut behind byte {at}: {verdict}"
        assert played.ended == RunEnded(code=0), f"cut behind byte {at}"
        ends = tuple(end.outcome for end in played.only(ToolEnded))
        assert len(ends) == 2, f"cut behind byte {at}"
        outcomes.add(ends)
        at, resets = at + STEP, proxy.resets
    assert ("answered", "answered") in outcomes
    assert {"unknown", "not_sent"} & {each for ends in outcomes for each in ends}

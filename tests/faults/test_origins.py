"""What would lead elsewhere: not a byte goes there, least of all a credential."""

import pytest

from pipeline.core.events import Problem
from tests.faults import dialects
from tests.faults.dialects import BY_ANSWER, CALL, DIALECTS, OF_ONE_STREAM, Dialect
from tests.faults.exchange import Exchange, On
from tests.faults.good import accept, answer, begin, end, hold, run, say, status
from tests.faults.meeting import FIRST, meet
from tests.support.wire import hear, serve

NO_CONNECTION = 4


@pytest.mark.parametrize("code", [301, 302, 307, 308])
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_not_a_byte_goes_where_a_redirect_to_another_origin_points(
    dialect: Dialect, code: int
) -> None:
    async with serve([hear], is_http=False) as canary:
        place = f"http://127.0.0.1:{canary.port}/elsewhere"
        moved = On(FIRST[dialect], status(f"{code} Moved", location=place), n=None)
        met = await meet(dialect, moved, argv=("-H", "X-Canary: tweet"))
        assert canary.accepted == 0
    assert met.played.ended.code == NO_CONNECTION
    assert "redirect" in met.told


LEADS_AWAY = (
    *("//127.0.0.1:{port}/m", "https://127.0.0.1:{port}/m", "http://localhost:{own}/m"),
    *("http://user:word@127.0.0.1:{own}/m", "http://127.0.0.1:{own}@127.0.0.1:{port}/m"),
    *("\\\\127.0.0.1:{port}/m", "javascript:alert(1)", "file:///etc/passwd", "http://", ""),
)
"""Redirects: to another host, port or scheme, with a user in them, or to no place at all."""


@pytest.mark.parametrize("location", LEADS_AWAY)
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_redirect_that_leads_away_is_not_followed_however_it_is_written(
    dialect: Dialect, location: str
) -> None:
    async with serve([hear], is_http=False) as canary:

        async def moved(x: Exchange) -> None:
            place = location.format(port=canary.port, own=x.server.port)
            await status("307 Moved", location=place)(x)

        faults = [On(FIRST[dialect], moved, n=None)]
        met = await meet(dialect, *faults, argv=("-H", "X-Canary: tweet"))
        assert canary.accepted == 0
    assert met.played.ended.code == NO_CONNECTION
    assert "redirect" in met.told
    assert "/m" not in {x.request.target for x in met.server.seen}


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_redirect_in_a_circle_ends_after_five_hops(dialect: Dialect) -> None:
    circle = On(FIRST[dialect], status("307 Moved", location="?again"), n=None)
    met = await meet(dialect, circle, env={"RXMCP_RETRY_FIRST_ATTEMPTS": "0"})
    assert met.played.ended.code == NO_CONNECTION
    assert "redirected more than 5 times" in met.told
    hops = len(met.server.all(FIRST[dialect]))
    assert hops <= 2 * 6  # the first request and five hops; a server is found out in two ways


@pytest.mark.parametrize("dialect", BY_ANSWER)
async def test_a_redirect_on_the_same_origin_keeps_method_and_message(dialect: Dialect) -> None:
    met = await meet(dialect, On(CALL, status("307 Moved", location="/other")))
    assert [each.outcome for each in met.ends] == ["answered", "answered"]
    assert met.server.ledger.executed == {1: 1, 2: 1}
    assert met.server.all(CALL)[1].request.target == "/other"


ELSEWHERE = (
    *("http://127.0.0.1:{port}/m", "//127.0.0.1:{port}/m", "https://127.0.0.1:{port}/m"),
    *("http://user@127.0.0.1:{own}/m", "\\\\127.0.0.1:{port}/m", "/\\127.0.0.1:{port}/m"),
    *("javascript:alert(1)", "file:///etc/passwd", "http://localhost:{own}/m"),
    *("", " ", "http://127.0.0.1:{own}@127.0.0.1:{port}/m", "http://[::1]:{own}/m"),
)


@pytest.mark.parametrize("endpoint", ELSEWHERE)
@pytest.mark.parametrize("dialect", OF_ONE_STREAM)
async def test_an_endpoint_elsewhere_is_refused_and_nothing_is_sent_there(
    dialect: Dialect, endpoint: str
) -> None:
    async with serve([hear], is_http=False) as canary:

        def named(x: Exchange) -> bytes:
            place = endpoint.format(port=canary.port, own=x.server.port)
            return dialects.event(place, "endpoint")

        met = await meet(dialect, On("GET", begin, say(named), hold, n=None))
        assert canary.accepted == 0
    assert met.played.ended.code == NO_CONNECTION
    assert "endpoint" in met.told
    assert [x.method for x in met.server.seen] == ["GET"]


@pytest.mark.parametrize("dialect", OF_ONE_STREAM)
async def test_a_second_endpoint_in_mid_stream_is_told_and_not_followed(dialect: Dialect) -> None:
    other = say(dialects.event("/other?session_id=x", "endpoint"))
    met = await meet(dialect, On(CALL, run, accept, other, answer, end))
    assert [each.outcome for each in met.ends] == ["answered", "answered"]
    assert "unexpected 'endpoint'" in "".join(p.detail for p in met.played.only(Problem))
    assert all(not x.request.target.startswith("/other") for x in met.server.seen)

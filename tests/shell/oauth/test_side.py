"""Side requests are small, short, and go nowhere else."""

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from pipeline.shell.authorizer import AuthorizationError
from pipeline.shell.oauth.guard import Guard
from pipeline.shell.oauth.side import MOST_BYTES, Answer, SideRequests
from tests.support.loopback import loopback_only
from tests.support.ports import free_port
from tests.support.wire import Wire, hold, reply, serve

HOME = "http://127.0.0.1:1/mcp"


async def get(url: str, *, home: str = HOME, patience: float = 5.0) -> Answer:
    async with asyncio.timeout(20), SideRequests(Guard(home), patience=patience) as side:
        return await side.send("GET", url, headers={"Accept": "application/json"})


def at(wire: Wire, path: str) -> str:
    return f"http://127.0.0.1:{wire.port}{path}"


async def test_an_answer_comes_whole_whatever_its_status() -> None:
    async with serve([reply("404 Not Found", b"{}", x_y="1")]) as wire:
        answer = await get(at(wire, "/a"))
    assert (answer.status, answer.body, answer.headers["X-Y"]) == (404, b"{}", "1")
    assert repr(answer) == "Answer(404)"


async def test_a_redirect_on_the_same_origin_is_followed() -> None:
    async with serve([reply("302 Found", location="/b")], [reply("200 OK", b"b")]) as wire:
        assert (await get(at(wire, "/a"))).body == b"b"


async def test_a_redirect_to_elsewhere_is_the_answer_itself() -> None:
    async with serve([reply("302 Found", location="http://169.254.169.254/")]) as wire:
        with loopback_only():
            answer = await get(at(wire, "/a"))
    assert (answer.status, answer.body) == (302, b"")


async def test_a_post_is_not_turned_into_a_get() -> None:
    async with serve([reply("302 Found", location="/b")]) as wire:
        async with SideRequests(Guard(HOME)) as side:
            answer = await side.send("POST", at(wire, "/t"), headers={}, body=b"code=secret")
        assert answer.status == 302
        assert len(wire.requests) == 1


async def test_a_large_answer_is_not_read() -> None:
    async def flood(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(MOST_BYTES // 1024 + 1):
            await response.write(b"x" * 1024)
        return response

    app = web.Application()
    app.router.add_get("/a", flood)
    async with TestServer(app) as server:
        with pytest.raises(AuthorizationError, match="sent more than 262144 bytes") as caught:
            await get(str(server.make_url("/a")))
    assert caught.value.is_final


async def test_a_slow_answer_is_not_waited_for() -> None:
    async with serve([hold]) as wire:
        with pytest.raises(AuthorizationError, match="did not answer in time") as caught:
            await get(at(wire, "/a"), patience=0.05)
    assert not caught.value.is_final


async def test_a_server_that_is_not_there_may_be_there_later() -> None:
    with pytest.raises(AuthorizationError, match="connection refused") as caught:
        await get(f"http://127.0.0.1:{free_port()}/a")
    assert not caught.value.is_final


@pytest.mark.parametrize(
    "url",
    [
        "https://169.254.169.254/latest",
        "https://10.0.0.1/t",
        "https://[fd00::1]/t",
        "http://127.0.0.1:9/t",
        "https://[::ffff:127.0.0.1]/t",
    ],
)
async def test_an_address_in_place_of_a_name_is_looked_at_too(url: str) -> None:
    with loopback_only(), pytest.raises(AuthorizationError, match="it is not asked"):
        await get(url, home="https://93.184.216.34/mcp")


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f.1"])
async def test_an_address_in_odd_spelling_is_not_asked(host: str) -> None:
    async with serve([reply("200 OK", b"inside")]) as wire:
        with pytest.raises(AuthorizationError):
            await get(f"https://{host}:{wire.port}/t", home="https://93.184.216.34/mcp")
        assert wire.accepted == 0


async def test_a_name_is_looked_up_and_refused_where_it_leads_inside() -> None:
    with pytest.raises(AuthorizationError, match=r"localhost is at (127\.0\.0\.1|::1)"):
        await get("https://localhost:9/t", home="https://93.184.216.34/mcp")


async def test_a_cancelled_request_leaves_nothing_open() -> None:
    async with serve([hold]) as wire:
        asking = asyncio.create_task(get(at(wire, "/a")))
        await wire.got(1)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await wire.all_gone()

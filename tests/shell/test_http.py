import asyncio
import socket
from datetime import UTC, datetime

import aiohttp
import pytest
from multidict import CIMultiDict
from yarl import URL

from pipeline.shell import http as shell_http
from pipeline.shell.http import (
    RedirectRefusedError,
    Watch,
    make_post_session,
    make_stream_session,
    next_hop,
    proxy_for,
    read_up_to,
    request,
    retry_after,
)
from tests.support.ports import free_port
from tests.support.wire import EVENT_STREAM, hold, reply, rst, serve

NOON = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC).timestamp()
SECRET = "sk-0123456789abcdef"
NO_HEADERS: CIMultiDict[str] = CIMultiDict()


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


async def ask(
    url: str, method: str = "GET", *, data: bytes | None = None, watch: Watch | None = None
) -> tuple[int, bytes]:
    headers = CIMultiDict({"Authorization": f"Bearer {SECRET}"})
    async with asyncio.timeout(10), make_post_session() as http:
        response = await request(http, method, url, headers=headers, data=data, watch=watch)  # type: ignore[arg-type]
        body = bytearray()
        try:
            await read_up_to(response, 10_000, body)
        finally:
            response.close()
        return response.status, bytes(body)


# --- redirects --------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_get_follows_a_redirect_on_its_own_origin(status: int) -> None:
    async with serve([reply(f"{status} Moved", location="/new")], [reply("200 OK", b"hi")]) as wire:
        assert await ask(wire.url) == (200, b"hi")
    assert [r.target for r in wire.requests] == ["/sse", "/new"]
    assert wire.requests[1].headers["authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize("status", [307, 308])
async def test_a_post_keeps_method_and_body_over_a_redirect(status: int) -> None:
    async with serve([reply(f"{status} Moved", location="/new")], [reply("202 Accepted")]) as wire:
        assert await ask(wire.url, "POST", data=b"message") == (202, b"")
    assert [(r.method, r.target, r.body) for r in wire.requests] == [
        ("POST", "/sse", b"message"),
        ("POST", "/new", b"message"),
    ]


@pytest.mark.parametrize("status", [301, 302, 303])
async def test_a_redirect_that_would_make_a_post_a_get_is_refused(status: int) -> None:
    async with serve([reply(f"{status} Moved", location="/new")]) as wire:
        with pytest.raises(RedirectRefusedError, match="expected 307 or 308"):
            await ask(wire.url, "POST", data=b"message")
    assert len(wire.requests) == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_redirect_to_another_origin_never_reaches_it(method: str) -> None:
    async with (
        serve([reply("200 OK")]) as other,
        serve([reply("307 Moved", location=f"{other.url}?k={SECRET}")]) as wire,
    ):
        with pytest.raises(RedirectRefusedError, match=r"not followed.*URL to the new") as caught:
            await ask(wire.url, method, data=None if method == "GET" else b"x")
        assert (other.accepted, other.requests) == (0, [])
    assert caught.value.status == 307
    assert SECRET not in str(caught.value)


async def test_a_redirect_loop_ends_after_five_hops() -> None:
    async with serve([reply("302 Found", location="/sse")]) as wire:
        with pytest.raises(RedirectRefusedError, match="more than 5"):
            await ask(wire.url)
    assert len(wire.requests) == 6


async def test_five_hops_are_followed() -> None:
    hops = [[reply("302 Found", location=f"/{n}")] for n in range(5)]
    async with serve(*hops, [reply("200 OK", b"there")]) as wire:
        assert await ask(wire.url) == (200, b"there")


HERE = URL("http://h.example:8080/a/sse?x=1")


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/new", "http://h.example:8080/new"),
        ("new?y=2", "http://h.example:8080/a/new?y=2"),
        ("//h.example:8080/n#part", "http://h.example:8080/n"),
        ("HTTP://H.Example:8080/n", "http://h.example:8080/n"),
    ],
)
def test_a_location_is_resolved_against_the_url(location: str, expected: str) -> None:
    assert str(next_hop(HERE, location, method="GET", status=302)) == expected


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("", "without a Location"),
        ("https://h.example:8080/sse", "is not followed"),
        ("http://h.example/sse", "is not followed"),
        ("//evil.example/sse", "is not followed"),
        ("http://ann@h.example:8080/sse", "user in it"),
        ("http://:pw@h.example:8080/sse", "user in it"),
        ("http://h.example:99999/", "malformed"),
        ("http://[bad/", "malformed"),
        ("javascript:alert(1)", "malformed"),
        ("\\\\evil.example/", "malformed|not followed"),
    ],
)
def test_a_location_elsewhere_is_refused(location: str, words: str) -> None:
    if location.startswith("\\"):  # whatever the parser makes of it, it must not leave the origin
        try:
            assert next_hop(HERE, location, method="GET", status=302).host == "h.example"
        except RedirectRefusedError:
            return
    else:
        with pytest.raises(RedirectRefusedError, match=words):
            next_hop(HERE, location, method="GET", status=302)


# --- what has left ----------------------------------------------------------------------------


async def test_an_answered_request_was_sent() -> None:
    watch = Watch()
    assert not watch.is_sent
    async with serve([reply("202 Accepted")]) as wire:
        await ask(wire.url, "POST", data=b"x", watch=watch)
    assert watch.is_sent


async def test_a_refused_connection_has_sent_nothing() -> None:
    watch = Watch()
    with pytest.raises(aiohttp.ClientConnectorError):
        await ask(f"http://127.0.0.1:{free_port()}/", "POST", data=b"x", watch=watch)
    assert not watch.is_sent


async def test_a_session_that_does_not_watch_counts_as_having_sent() -> None:
    watch = Watch()
    async with aiohttp.ClientSession() as http:
        url = f"http://127.0.0.1:{free_port()}/"
        with pytest.raises(aiohttp.ClientConnectorError):
            await request(http, "POST", url, headers=NO_HEADERS, data=b"x", watch=watch)
    assert watch.is_sent


async def test_a_second_hop_that_fails_does_not_undo_the_first() -> None:
    watch = Watch()
    async with serve([reply("307 Moved", location="/new")], [rst]) as wire:
        with pytest.raises(aiohttp.ClientError):
            await ask(wire.url, "POST", data=b"x", watch=watch)
    assert watch.is_sent


# --- sessions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [make_stream_session, make_post_session])
async def test_a_session_keeps_no_cookies_and_says_who_asks(make: type) -> None:
    answer = reply("200 OK", set_cookie="id=1")
    async with serve([answer]) as wire, make() as http:
        for _ in range(2):
            url = wire.url.replace("127.0.0.1", "localhost")
            (await request(http, "GET", url, headers=NO_HEADERS)).close()
        assert http.timeout.total is None
        async with http.get(wire.url) as response:  # without a watch it works all the same
            assert response.status == 200
    assert all("cookie" not in r.headers for r in wire.requests)
    assert wire.requests[0].headers["user-agent"] == "rxmcp"


async def test_sockets_of_a_stream_have_tcp_keep_alive() -> None:
    async with serve([EVENT_STREAM, hold]) as wire, make_stream_session() as http:
        response = await request(http, "GET", wire.url, headers=NO_HEADERS)
        assert response.connection is not None
        transport = response.connection.transport
        assert transport is not None
        sock = transport.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
        response.close()


async def test_a_large_body_is_sent_whole() -> None:
    data = b"x" * 3_000_000
    async with serve([reply("202 Accepted")]) as wire:
        assert await ask(wire.url, "POST", data=data) == (202, b"")
    assert wire.requests[0].body == data


# --- proxies ----------------------------------------------------------------------------------


async def test_a_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serve([reply("200 OK", b"from the proxy")]) as wire:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{wire.port}")
        assert await ask("http://mcp.invalid/sse") == (200, b"from the proxy")
    assert wire.requests[0].target == "http://mcp.invalid/sse"


def test_a_proxy_without_a_scheme_speaks_http(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "proxy.example:3128")
    assert proxy_for(URL("http://mcp.example/")) == "http://proxy.example:3128"


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:8080/", "http://localhost/", "http://a.localhost/", "http://[::1]:1/"],
)
def test_a_loopback_server_is_never_proxied(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.invalid:3128")
    assert proxy_for(URL(url)) is None


def test_no_proxy_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.invalid:3128")
    monkeypatch.setenv("no_proxy", "inside.example,half.example:8443")
    assert proxy_for(URL("https://inside.example/")) is None
    assert proxy_for(URL("https://half.example:8443/")) is None
    assert proxy_for(URL("https://half.example/")) == "http://proxy.invalid:3128"
    assert proxy_for(URL("http://outside.example/")) is None


async def test_a_netrc_file_adds_no_password_and_breaks_no_request(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    netrc = tmp_path_factory.mktemp("home") / "netrc"
    netrc.write_text("machine 127.0.0.1 login ann password sesame\n")
    monkeypatch.setenv("NETRC", str(netrc))
    async with serve([reply("200 OK")]) as wire, make_post_session() as http:
        assert await ask(wire.url) == (200, b"")
        (await request(http, "GET", wire.url, headers=NO_HEADERS)).close()
    assert [r.headers.get("authorization") for r in wire.requests] == [f"Bearer {SECRET}", None]


# --- Retry-After ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("120", 120.0),
        (" 0 ", 0.0),
        ("Tue, 24 Nov 2026 12:00:30 GMT", 30.0),
        ("Tue, 24 Nov 2026 12:00:30 -0000", 30.0),
        ("Tue, 24 Nov 2026 13:00:30 +0100", 30.0),
        ("Tue, 24 Nov 2026 12:00:00 GMT", 0.0),
        ("Tue, 24 Nov 2026 11:59:59 GMT", None),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
        ("", None),
        ("soon", None),
        ("Tue, 99 Nov 2026 12:00:30 GMT", None),
        ("Tue, 24 Nov 99999 12:00:30 GMT", None),
        ("Tue, 24 Nov 2026 12:00:30 +999999", None),
        ("9" * 400, float("inf")),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_garbage_is_nothing(
    value: str | None, expected: float | None
) -> None:
    assert retry_after(value, NOON) == expected


def test_socket_options_that_a_system_lacks_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell_http, "_KEEPALIVE", (("TCP_NO_SUCH_OPTION", 1),))
    address = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 1))
    shell_http._make_socket(address).close()

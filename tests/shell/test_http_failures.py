import asyncio
import ssl

import aiohttp
import pytest
from multidict import CIMultiDict
from yarl import URL

from pipeline.shell.http import make_post_session, request
from pipeline.shell.http_failures import explain, is_hopeless
from tests.support.ports import free_port
from tests.support.wire import Wire, close, hear, reply, rst, serve

SECRET = "sk-0123456789abcdef"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


async def fail(url: str) -> BaseException:
    """Send a request that must fail, and read its answer if there is one."""
    with pytest.raises((aiohttp.ClientError, OSError)) as caught:
        async with asyncio.timeout(10), make_post_session() as http, http.get(url) as response:
            await response.read()
    return caught.value


def with_secret(wire: Wire) -> str:
    return f"{wire.url}?key={SECRET}"


async def test_a_refused_connection_is_told_with_its_address() -> None:
    url = f"http://127.0.0.1:{free_port()}/?key={SECRET}"
    text = explain(await fail(url), url)
    port = URL(url).port
    assert text == f"connection refused by 127.0.0.1:{port}; is the server running?"


async def test_an_unknown_name_is_told() -> None:
    url = f"http://nosuch.invalid/?key={SECRET}"
    assert explain(await fail(url), url) == (
        "no address found for 'nosuch.invalid'; check the name and the network"
    )


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ([close], "closed the connection without an answer"),
        ([rst], "connection reset by"),
        ([b"SSH-2.0-OpenSSH_9.2\r\n\r\n", close], "does not speak HTTP as expected"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", close], "broke off"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", rst], "broke off|reset by"),
    ],
)
async def test_a_server_that_breaks_off_is_told_without_a_secret(
    script: list[bytes], words: str
) -> None:
    async with serve(script) as wire:
        exc = await fail(with_secret(wire))
        text = explain(exc, with_secret(wire))
    assert f"127.0.0.1:{wire.port}" in text
    assert any(word in text for word in words.split("|"))
    assert SECRET not in text
    assert not is_hopeless(exc)


async def test_tls_to_a_plain_port_is_told_and_hopeless() -> None:
    async with serve([hear, reply("400 Bad Request"), close], is_http=False) as wire:
        url = with_secret(wire).replace("http:", "https:")
        exc = await fail(url)
    assert explain(exc, url).startswith(f"TLS with 127.0.0.1:{wire.port} failed (")
    assert explain(exc, url).endswith("); is it an http:// server?")
    assert is_hopeless(exc)


KEY = aiohttp.client_reqrep.ConnectionKey("h", 443, True, True, None, None, None)
URL_TEXT = f"https://ann:{SECRET}@h.example/sse?key={SECRET}"


@pytest.mark.parametrize(
    ("exc", "text"),
    [
        (
            aiohttp.ClientConnectorError(KEY, OSError(101, "x")),
            "no connection to h.example:443: network is unreachable",
        ),
        (
            aiohttp.ClientConnectorError(KEY, OSError("Multiple exceptions: …")),
            "no connection to h.example:443: no address of it could be reached",
        ),
        (
            aiohttp.ClientProxyConnectionError(KEY, OSError(111, "x")),
            "no connection to the proxy for h.example:443: connection refused",
        ),
        (
            aiohttp.ClientHttpProxyError(None, (), status=407),  # type: ignore[arg-type]
            "the proxy refused to connect to h.example:443: HTTP 407",
        ),
        (TimeoutError(SECRET), "h.example:443 did not answer in time"),
        (
            aiohttp.ServerDisconnectedError(SECRET),
            "h.example:443 closed the connection without an answer",
        ),
        (aiohttp.ClientPayloadError(SECRET), "the answer of h.example:443 broke off"),
        (OSError(32, SECRET), "the connection to h.example:443 failed: broken pipe"),
        (OSError(SECRET), "the connection to h.example:443 failed: OSError"),
        (
            aiohttp.InvalidURL(SECRET),
            "no connection to h.example:443: the proxy for it is no URL; check https_proxy",
        ),
        (
            aiohttp.ClientConnectionError(SECRET),
            "the connection to h.example:443 failed: ClientConnectionError",
        ),
    ],
)
def test_failures_are_told_in_plain_words_without_secrets(exc: BaseException, text: str) -> None:
    assert explain(exc, URL_TEXT) == text


def test_a_failure_at_an_url_that_is_none_is_told_all_the_same() -> None:
    assert explain(TimeoutError(), "not a url") == "the server did not answer in time"


def test_a_certificate_that_is_not_accepted_is_hopeless() -> None:
    cause = ssl.SSLCertVerificationError(1, SECRET)
    cause.verify_message = "certificate has expired"
    exc = aiohttp.ClientConnectorCertificateError(KEY, cause)
    text = "the TLS certificate of h.example:443 is not accepted: certificate has expired"
    assert explain(exc, URL_TEXT) == text
    assert is_hopeless(exc)
    assert "cannot be verified" in explain(
        aiohttp.ClientConnectorCertificateError(KEY, ValueError(SECRET)), URL_TEXT
    )


def test_a_tls_connection_that_just_ends_may_come_back() -> None:
    cause = ssl.SSLEOFError(8, "EOF occurred in violation of protocol")
    exc = aiohttp.ClientConnectorSSLError(KEY, cause)
    exc.__cause__ = cause
    assert not is_hopeless(exc)
    assert "unknown reason" in explain(exc, URL_TEXT)


async def test_a_proxy_that_cannot_be_used_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"http://ann:{SECRET}@mcp.invalid/"
    for proxy, words in (
        ("http://proxy.invalid:3128", "no address found for 'proxy.invalid'"),
        (f"http://127.0.0.1:{free_port()}", "no connection to the proxy for mcp.invalid:80"),
        (f"http://ann:{SECRET}@[bad", "the proxy for it is no URL"),
    ):
        monkeypatch.setenv("http_proxy", proxy)
        monkeypatch.delenv("no_proxy", raising=False)
        with pytest.raises(aiohttp.ClientError) as caught:
            async with asyncio.timeout(10), make_post_session() as http:
                await request(http, "GET", url, headers=CIMultiDict())
        assert words in explain(caught.value, url)
        assert SECRET not in explain(caught.value, url)

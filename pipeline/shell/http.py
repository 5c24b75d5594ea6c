"""What streams and posts share: sessions, our own redirect rule, and errors in plain words."""

import asyncio
import email.utils
import errno
import io
import ipaddress
import socket
import ssl
from dataclasses import dataclass
from datetime import UTC
from types import SimpleNamespace
from typing import Literal
from urllib.request import getproxies, proxy_bypass

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from pipeline.shell.targets import origin

MAX_HOPS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_METHOD_KEPT = frozenset({307, 308})

# aiohttp sets no keep-alive on client sockets: without it, a peer that lost power stays "connected".
_KEEPALIVE = (
    ("TCP_KEEPIDLE", 30),  # seconds of silence before the first probe
    ("TCP_KEEPINTVL", 10),  # seconds between probes
    ("TCP_KEEPCNT", 3),  # unanswered probes that end the connection
    ("TCP_USER_TIMEOUT", 60_000),  # milliseconds that sent data may stay unacknowledged
)

# Common servers (uvicorn, Node) close an idle connection after 5 s. Reusing one at that very moment
# would leave a POST half sent: we let go of it first.
_IDLE = 4.0


class RedirectRefusedError(ConnectionError):
    """A redirect that is not followed; `status` is its HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(slots=True)
class Watch:
    """Has any byte of a request left? Filled in by the sessions of this module."""

    is_handed_over: bool = False
    is_traced: bool = False
    has_left: bool = False

    @property
    def is_sent(self) -> bool:
        """False only when it is certain that no byte of the request can have reached a server."""
        return self.has_left or (self.is_handed_over and not self.is_traced)


def make_stream_session() -> aiohttp.ClientSession:
    """A session for event streams: as many as there are servers, each for hours."""
    return _make_session(aiohttp.TCPConnector(limit=0, socket_factory=_make_socket))


def make_post_session() -> aiohttp.ClientSession:
    """A session for messages: connections are used again while they are fresh."""
    return _make_session(
        aiohttp.TCPConnector(limit=0, socket_factory=_make_socket, keepalive_timeout=_IDLE)
    )


async def request(
    http: aiohttp.ClientSession,
    method: Literal["GET", "POST"],
    url: str,
    *,
    headers: CIMultiDict[str],
    data: bytes | None = None,
    watch: Watch | None = None,
) -> aiohttp.ClientResponse:
    """Send one request; return the first answer that is no redirect, as soon as its headers came.

    Redirects are followed on the same origin only (scheme, host and port), at most `MAX_HOPS`, and
    a POST only where its method and body are kept (307, 308): nobody else gets to see our headers.
    There is no deadline in here: the caller sets one, and closes the response.

    Raises:
        RedirectRefusedError: A redirect that our rule forbids.
        aiohttp.ClientError, OSError: No answer; see `explain`.
    """
    watch = Watch() if watch is None else watch
    where = URL(url)
    for _ in range(MAX_HOPS + 1):
        watch.is_handed_over = True
        response = await http.request(
            method,
            where,
            headers=headers,
            # A file object, as aiohttp warns about larger `bytes`. It is made anew for each hop.
            data=None if data is None else io.BytesIO(data),
            allow_redirects=False,
            proxy=proxy_for(where),
            trace_request_ctx=watch,
        )
        if response.status not in _REDIRECTS:
            return response
        response.close()
        location = response.headers.get("Location", "")
        where = next_hop(where, location, method=method, status=response.status)
    raise RedirectRefusedError(f"redirected more than {MAX_HOPS} times", response.status)


def next_hop(url: URL, location: str, *, method: Literal["GET", "POST"], status: int) -> URL:
    """Where a redirect leads.

    Raises:
        RedirectRefusedError: If it names no place, one of another origin or with a user in it, or
            would turn a POST into a GET.
    """
    if method == "POST" and status not in _METHOD_KEPT:
        raise RedirectRefusedError(
            f"found redirect {status} as the answer to a POST, expected 307 or 308", status
        )
    if not location:
        raise RedirectRefusedError(f"found redirect {status} without a Location", status)
    try:
        target = url.join(URL(location)).with_fragment(None)
        there = origin(target)
    except ValueError:
        raise RedirectRefusedError(
            f"found redirect {status} to a malformed URL, expected http or https", status
        ) from None
    if target.raw_user is not None or target.raw_password is not None:
        raise RedirectRefusedError(f"found redirect {status} to a URL with a user in it", status)
    if there != origin(url):
        raise RedirectRefusedError(
            f"redirect {status} from {origin(url)} to {there} is not followed, as credentials stay"
            " on their origin; if it is right, set the server's URL to the new one",
            status,
        )
    return target


def proxy_for(url: URL) -> str | None:
    """The proxy that the environment names for a URL (`https_proxy`, `no_proxy` …), or None.

    aiohttp's own `trust_env` would also read `~/.netrc`, which sends passwords that nobody asked
    for, and fails a request that has an `Authorization` header. A loopback address is never
    proxied: the proxy would look for the server on its own machine.
    """
    host = url.raw_host or ""
    proxy = getproxies().get(url.scheme)
    if proxy is None or _is_loopback(host) or proxy_bypass(f"{host}:{url.port}"):
        return None
    return proxy


def retry_after(value: str | None, now: float) -> float | None:
    """Seconds that a `Retry-After` header asks for (RFC 9110, 10.2.3), given the time of day `now`.

    `now` is in seconds since the epoch. None where there is no usable wish: no header, garbage, a
    negative number, or a date that has passed. The value is not clamped.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    seconds = moment.timestamp() - now
    return seconds if seconds >= 0 else None


async def read_up_to(response: aiohttp.ClientResponse, limit: int, into: bytearray) -> bool:
    """Read at most `limit` bytes of a body into `into`; True when that was all of it."""
    async for chunk in response.content.iter_any():
        into += chunk
        if len(into) > limit:
            del into[limit:]
            return False
    return True


def excerpt(body: bytes | bytearray, length: int) -> str:
    """The beginning of a foreign body as text, on one line."""
    return " ".join(bytes(body).decode("utf-8", "replace").split())[:length]


def explain(exc: BaseException, url: str) -> str:
    """A failed request in plain words, with host and port but no other part of `url`."""
    where = _name(url)
    match exc:
        case aiohttp.ClientConnectorDNSError():
            return f"no address found for the host of {where}; check the name and the network"
        case aiohttp.ClientConnectorCertificateError(certificate_error=cause):
            why = getattr(cause, "verify_message", "") or "it cannot be verified"
            return f"the TLS certificate of {where} is not accepted: {why}"
        case aiohttp.ClientConnectorSSLError():
            why = getattr(exc.os_error, "reason", None) or "unknown reason"
            return f"TLS with {where} failed ({why}); is it an http:// server?"
        case aiohttp.ClientProxyConnectionError():
            return f"no connection to the proxy for {where}: {_errno_words(exc)}"
        case aiohttp.ClientHttpProxyError():
            return f"the proxy refused to connect to {where}: HTTP {exc.status}"
        case aiohttp.ClientConnectorError(errno=errno.ECONNREFUSED):
            return f"connection refused by {where}; is the server running?"
        case aiohttp.ClientConnectorError():
            return f"no connection to {where}: {_errno_words(exc)}"
        case TimeoutError():
            return f"{where} did not answer in time"
        case ConnectionResetError() | aiohttp.ClientOSError(errno=errno.ECONNRESET):
            return f"connection reset by {where}"
        case aiohttp.ServerDisconnectedError():
            return f"{where} closed the connection without an answer"
        case aiohttp.ClientPayloadError():
            return f"the answer of {where} broke off"
        case aiohttp.ClientResponseError():
            return f"{where} does not speak HTTP as expected"
        case OSError():
            return f"the connection to {where} failed: {_errno_words(exc)}"
        case _:
            # The exception's own text may quote the URL, and with it a key.
            return f"the connection to {where} failed: {type(exc).__name__}"


def is_hopeless(exc: BaseException) -> bool:
    """Would trying again fail in the same way? So it is with TLS that does not fit."""
    match exc:
        case aiohttp.ClientConnectorCertificateError():
            return True
        case aiohttp.ClientConnectorSSLError(os_error=cause):
            # A TLS connection that just ends is a server going down, not one that speaks no TLS.
            return not isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError)
        case _:
            return False


def _make_session(connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(_on_start)
    trace.on_request_headers_sent.append(_on_headers)
    return aiohttp.ClientSession(
        connector=connector,
        # aiohttp would give up on a stream after 300 s. Every caller brings its own deadline.
        timeout=aiohttp.ClientTimeout(total=None),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "rxmcp"},
        trace_configs=[trace],
    )


async def _on_start(
    _session: aiohttp.ClientSession,
    context: SimpleNamespace,
    _params: aiohttp.TraceRequestStartParams,
) -> None:
    if isinstance(context.trace_request_ctx, Watch):
        context.trace_request_ctx.is_traced = True


async def _on_headers(
    _session: aiohttp.ClientSession,
    context: SimpleNamespace,
    _params: aiohttp.TraceRequestHeadersSentParams,
) -> None:
    """Called when a connection is there, just before the first byte is written."""
    if isinstance(context.trace_request_ctx, Watch):
        context.trace_request_ctx.has_left = True


def _make_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    made = socket.socket(*address[:3])
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        if hasattr(socket, name):  # not every system has each of them
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return made


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _name(url: str) -> str:
    try:
        return str(origin(url)).partition("://")[2]
    except ValueError:
        return "the server"


def _errno_words(exc: OSError) -> str:
    """The system's own words for an error number: nothing of the request is in them."""
    number = exc.errno
    if number is None and isinstance(exc, aiohttp.ClientConnectorError):
        number = exc.os_error.errno
    return type(exc).__name__ if number is None else socket_error_text(number)


def socket_error_text(number: int) -> str:
    """`ENETUNREACH` as "network is unreachable"."""
    import os

    return os.strerror(number).lower()


_ = asyncio

"""What streams and posts share: sessions, and our own rule for redirects and proxies."""

import email.utils
import io
import ipaddress
import socket
from datetime import UTC
from types import SimpleNamespace
from typing import Any, Literal, TypeAlias
from urllib.request import getproxies, proxy_bypass

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from pipeline.shell.http_clock import Watch
from pipeline.shell.targets import origin

Method: TypeAlias = Literal["GET", "POST", "DELETE"]

EVENT_STREAM = "text/event-stream"
MAX_HOPS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_METHOD_KEPT = frozenset({307, 308})

# aiohttp sets no keep-alive on client sockets. Without it, a peer that lost power stays connected.
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


class _NoAnswerError(aiohttp.ClientError):
    """Around the failure of a request that is not to be made a second time behind our back."""

    def __init__(self, cause: aiohttp.ClientError) -> None:
        super().__init__()
        self.cause = cause


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
    method: Method,
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
        aiohttp.ClientError, OSError: No answer; see `http_failures`.
    """
    watch = Watch() if watch is None else watch
    where = URL(url)
    hops = 0
    while True:
        watch.begin(0 if data is None else len(data))
        try:
            response = await http.request(
                method,
                where,
                headers=headers,
                # A file object, as aiohttp warns about larger `bytes`; made anew for each hop.
                data=None if data is None else io.BytesIO(data),
                allow_redirects=False,
                proxy=proxy_for(where),
                trace_request_ctx=watch,
                middlewares=(_once,),
            )
        except _NoAnswerError as exc:
            raise exc.cause from None
        watch.hear()
        status = response.status
        if status not in _REDIRECTS:
            return response
        response.close()
        hops += 1
        if hops > MAX_HOPS:
            raise RedirectRefusedError(f"redirected more than {MAX_HOPS} times", status)
        location = response.headers.get("Location", "")
        where = next_hop(where, location, method=method, status=status)


def next_hop(url: URL, location: str, *, method: Method, status: int) -> URL:
    """Where a redirect leads.

    Raises:
        RedirectRefusedError: If it names no place, one of another origin or with a user in it, or
            would turn a POST into a GET.
    """
    if method != "GET" and status not in _METHOD_KEPT:
        raise RedirectRefusedError(
            f"found redirect {status} as the answer to a {method}, expected 307 or 308", status
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
    if proxy is None or is_loopback(host) or proxy_bypass(f"{host}:{url.port}"):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"  # as curl reads it


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


def _make_session(connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(_on_start)
    trace.on_request_headers_sent.append(_on_headers)
    trace.on_request_chunk_sent.append(_on_chunk)
    return aiohttp.ClientSession(
        connector=connector,
        # aiohttp would give up on a stream after 300 s. Every caller brings its own deadline.
        timeout=aiohttp.ClientTimeout(total=None),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "rxmcp"},
        trace_configs=[trace],
    )


async def _once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """The library makes a GET again, at once, where the connection ended without an answer.

    RFC 9112, 9.3.1, allows that; but how often a server is asked, and when, is ours to say.
    """
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as exc:
        raise _NoAnswerError(exc) from exc


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
        context.trace_request_ctx.leave()


async def _on_chunk(
    _session: aiohttp.ClientSession,
    context: SimpleNamespace,
    params: aiohttp.TraceRequestChunkSentParams,
) -> None:
    """Called just before a part of the body is written."""
    if isinstance(context.trace_request_ctx, Watch):
        context.trace_request_ctx.send(len(params.chunk))


def _make_socket(address: tuple[Any, ...]) -> socket.socket:
    made = socket.socket(*address[:3])
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        if hasattr(socket, name):  # not every system has each of them
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return made


def is_loopback(host: str) -> bool:
    """Is it this machine, by what is written: a loopback address, or a name of localhost?"""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")

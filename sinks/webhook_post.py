"""One attempt to deliver one message, and what its answer means.

The table is that of Standard Webhooks: 2xx is delivered, 410 means never again, all else is a
failure that may pass, redirects too, which are not followed. Of these a 3xx or 4xx is about the
message (*refused*), but for 408, 425 and 429; those, 5xx and no answer are about the receiver
(*failed*). `Retry-After` counts with 429, 502, 503 and 504.
"""

import asyncio
import contextlib
import email.utils
import io
import os
import ssl
from collections.abc import Mapping
from hashlib import sha256
from http import HTTPStatus
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

import aiohttp
import msgspec

Verdict: TypeAlias = Literal["delivered", "refused", "failed", "gone"]
_MAX_BODY = 64 * 1024
_BODY_SECONDS = 1.0
_SLOW_DOWN = (
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
)
_NOT_NOW = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS)


class Answer(msgspec.Struct, frozen=True):
    """How an attempt went; `retry_after` is the seconds that the receiver asked for."""

    verdict: Verdict
    reason: str = ""
    retry_after: float | None = None


async def post(
    http: aiohttp.ClientSession,
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    timeout: float,  # noqa: ASYNC109  it is the client's, and also covers the connecting
    now: float,
) -> Answer:
    """Try once, within `timeout` seconds. `now` is the Unix time, to read dates in answers by.

    Never raises for what a network or a receiver does, and no reason holds the URL: its path,
    query or user part may be secret.
    """
    try:
        response = await http.post(
            url,
            data=io.BytesIO(body),  # plain bytes of more than a megabyte are warned about
            headers=headers,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=timeout),
        )
    except TimeoutError:
        return Answer("failed", f"no answer within {timeout:g} s")
    except (aiohttp.ClientError, OSError, ValueError) as exc:
        return Answer("failed", _in_words(exc))
    try:
        return judge(response.status, response.headers, now)
    finally:
        await _finish(response)


def judge(status: int, headers: Mapping[str, str], now: float) -> Answer:
    """What an answer means."""
    if 200 <= status < 300:  # noqa: PLR2004  RFC 9110, 15.3
        return Answer("delivered")
    if status == HTTPStatus.GONE:
        return Answer("gone", "HTTP 410")
    is_throttled = status in _SLOW_DOWN
    wish = _retry_after(headers.get("Retry-After", ""), now) if is_throttled else None
    is_redirect = 300 <= status < 400  # noqa: PLR2004  RFC 9110, 15.4
    is_about_it = 300 <= status < 500 and status not in _NOT_NOW  # noqa: PLR2004  RFC 9110, 15
    reason = f"HTTP {status}{' (not followed)' if is_redirect else ''}"
    return Answer("refused" if is_about_it else "failed", reason, wish)


def shown(url: str) -> str:
    """A URL in words that give nothing away: `https://hooks.example.com/…`.

    Raises:
        ValueError: If it is not an http or https URL with a host; the text does not show it.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("the webhook URL cannot be read; expected https://host/path") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError(
            f"found {parts.scheme!r} as scheme of the webhook URL and "
            f"{'a' if host else 'no'} host, expected https://host/path"
        )
    place = f"[{host}]" if ":" in host else host
    place += f":{port}" if port is not None else ""
    has_more = parts.path.strip("/") or parts.query
    return f"{parts.scheme}://{place}{'/…' if has_more else ''}"


def tagged(url: str) -> str:
    """The same with four digits that tell two URLs on one host apart; never raises."""
    try:
        place = shown(url)
    except ValueError:
        place = "?"
    return f"{place}#{sha256(url.encode()).hexdigest()[:4]}"


async def _finish(response: aiohttp.ClientResponse) -> None:
    """Read a short body, so that the connection can be used again; give up on any other.

    The status has said everything: no trouble in here makes a delivered message undelivered.
    """
    with contextlib.suppress(aiohttp.ClientError, OSError):  # a TimeoutError is an OSError
        async with asyncio.timeout(_BODY_SECONDS):
            size = 0
            while size <= _MAX_BODY:
                block = await response.content.read(_MAX_BODY)
                if not block:
                    return
                size += len(block)
    response.close()


def _in_words(exc: Exception) -> str:
    match exc:
        case ssl.SSLCertVerificationError():
            return "its TLS certificate is not trusted, or is for another host"
        case ssl.SSLError():
            return "the TLS connection failed"
        case aiohttp.ClientConnectorDNSError():
            return "the host name cannot be resolved"
        case aiohttp.ClientHttpProxyError(status=status):
            return f"the proxy answered HTTP {status}"
        case OSError(errno=int() as number) if number > 0:
            return os.strerror(number).lower()
        case aiohttp.ServerDisconnectedError():
            return "the connection was closed before an answer"
        case aiohttp.ClientResponseError():
            return "the answer is no valid HTTP"
        case _:
            return type(exc).__name__


def _retry_after(value: str, now: float) -> float | None:
    """Seconds or an HTTP date (RFC 9110, 10.2.3); None for neither."""
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, OverflowError):
        return None

"""One request in a server's name: the only place where credentials are added and requests sent.

The headers of a request are those of the message, then those that the user has set for the server,
then those that its authorizer has; of two values for one header the later one counts.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import aiohttp
from multidict import CIMultiDict

from pipeline.shell.authorizer import AuthorizationError
from pipeline.shell.http import Method, read_up_to, request
from pipeline.shell.http_clock import Watch
from pipeline.shell.targets import (
    Target,
    check_header,
    header_secrets,
    hide_secrets,
    origin,
    public_url,
)

MOST_REPEATS = 3
_REFUSED = (401, 403)
MOST_OF_A_REFUSAL = 64 * 1024  # bytes of its body
_PATIENCE = 2.0  # seconds for them: what matters is known by then


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request; whoever gets it closes its `response`.

    `body` is the body of a refusal as far as its authorizer got to see it, and all that is kept of
    it; `is_whole` says if that is all. `note`: why there are no other credentials, in words that
    may be shown.
    """

    response: aiohttp.ClientResponse
    target: Target
    tokens: tuple[str, ...] = ()
    body: bytes | None = None
    is_whole: bool = False
    note: str = ""

    @property
    def is_success(self) -> bool:
        """Did the server do what it was asked (RFC 9110, 15.3)?"""
        return 200 <= self.response.status < 300  # noqa: PLR2004  2xx

    def hide(self, text: str) -> str:
        """Text of the server without the secrets that we sent."""
        return self.hide_tokens(self.target.hide(text))

    def hide_tokens(self, text: str) -> str:
        """Text of the server without what its authorizer added.

        The tokens are known to the guard of the run. A proof is made for one request, so that
        nobody knows of it; and with `--redact off` nobody knows of the tokens either.
        """
        return hide_secrets(text, self.tokens)


def request_headers(
    target: Target, own: Mapping[str, str], fixed: Mapping[str, str]
) -> CIMultiDict[str]:
    """Headers for `request_as`: a message's `own`, then the server's, then those of its kind.

    Raises:
        ValueError: If one of the message's own cannot be sent; the text does not quote its value.
    """
    headers: CIMultiDict[str] = CIMultiDict()
    for name, value in own.items():
        check_header(name, value)
        headers[name] = value
    for some in (target.headers, fixed):
        for name, value in some.items():
            headers[name] = value
    return headers


def address(target: Target, url: str) -> str:
    """Where a message of the core goes: the same place, or its whole address.

    The core knows a server's URL without its query, which may hold a key.

    Raises:
        ValueError: If that is another origin than the server's own.
    """
    home, there = origin(target.url), origin(url)
    if there != home:
        raise ValueError(
            f"found a message for {there}, expected the server's own origin {home}, which is"
            " where its credentials stay"
        )
    return target.url if url == public_url(target.url) else url


async def request_as(
    target: Target,
    http: aiohttp.ClientSession,
    method: Method,
    url: str,
    *,
    headers: CIMultiDict[str],
    data: bytes | None = None,
    watch: Watch,
    most_repeats: int = MOST_REPEATS,
) -> Answer:
    """Send one request; the answer that is no redirect, once its headers came.

    After a 401 or 403 the server's authorizer may have new credentials, with which the request is
    sent again, `most_repeats` times at most. While it sees to that, the watch's clock stands still.

    Raises:
        AuthorizationError: If the authorizer is against sending it, or may have credentials later.
        RedirectRefusedError, aiohttp.ClientError, OSError: As `request`.
    """
    repeats = 0
    while True:
        fresh = await _fresh(target, method, url, watch)
        mine = CIMultiDict(headers)
        mine.update(fresh)
        response = await request(http, method, url, headers=mine, data=data, watch=watch)
        answer = Answer(response, target, header_secrets(fresh))
        if response.status not in _REFUSED or repeats >= most_repeats:
            return answer
        try:
            answer, has_new = await _refused(answer, method, url, watch)
        except BaseException:
            response.close()
            raise
        if not has_new:
            return answer
        response.close()
        repeats += 1


async def _fresh(target: Target, method: Method, url: str, watch: Watch) -> Mapping[str, str]:
    with watch.paused():
        fresh = await target.authorizer.headers(method, url)
    try:
        for name, value in fresh.items():
            check_header(name, value)
    except ValueError as exc:
        raise AuthorizationError(f"the credentials cannot be sent: {exc}") from exc
    return fresh


async def _refused(answer: Answer, method: Method, url: str, watch: Watch) -> tuple[Answer, bool]:
    response, body, is_whole = answer.response, bytearray(), False
    # Should it not come, the status says enough.
    with contextlib.suppress(TimeoutError, aiohttp.ClientError, OSError):
        async with asyncio.timeout(_PATIENCE):
            is_whole = await read_up_to(response, MOST_OF_A_REFUSAL, into=body)
    seen, has_new, note = bytes(body), False, ""
    try:
        with watch.paused():
            has_new = await answer.target.authorizer.refused(
                method, url, response.status, response.headers, seen
            )
    except AuthorizationError as exc:
        if not exc.is_final:
            raise
        note = str(exc)
    return replace(answer, body=seen, is_whole=is_whole, note=note), has_new

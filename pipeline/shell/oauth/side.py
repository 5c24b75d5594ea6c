"""Side requests: to metadata, registration and token endpoints. Small, short, and guarded."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from pipeline.shell.authorizer import AuthorizationError
from pipeline.shell.http import Method, RedirectRefusedError, read_up_to, request
from pipeline.shell.http_failures import explain
from pipeline.shell.oauth.guard import Guard, GuardedResolver, RefusedAddressError, zone
from pipeline.shell.targets import origin

PATIENCE = 10.0
"""Seconds for one side request, to the end of its body."""
MOST_BYTES = 256 * 1024
"""Largest answer; metadata of real servers has a few kB."""


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """A whole answer. It may hold tokens, so `repr` shows its status only."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"Answer({self.status})"


class SideRequests:
    """An HTTP session for as long as an authorization takes; `async with`."""

    def __init__(self, guard: Guard, *, patience: float = PATIENCE) -> None:
        self._guard = guard
        self._patience = patience
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=GuardedResolver(self._guard), limit=4),
            timeout=aiohttp.ClientTimeout(total=None),  # ours is around each request
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "rxmcp"},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._http is not None, "entered before"
        await self._http.close()

    async def send(
        self, method: Method, url: str, *, headers: Mapping[str, str], body: bytes | None = None
    ) -> Answer:
        """Send one request and read its answer, whatever its status.

        Redirects are followed on the same origin, as `http.request` does it; another redirect is
        the answer itself, without a body.

        Raises:
            AuthorizationError: If the URL must not be asked, or no whole answer came.
        """
        assert self._http is not None, "entered before"
        self._guard.check(method, url)
        self._guard.trust_proxy(url)
        await self._check_literal(url)
        try:
            async with asyncio.timeout(self._patience):
                response = await request(
                    self._http, method, url, headers=CIMultiDict(headers), data=body
                )
                try:
                    content = bytearray()
                    is_whole = await read_up_to(response, MOST_BYTES, into=content)
                finally:
                    response.close()
        except RedirectRefusedError as exc:
            return Answer(exc.status, {}, b"")
        except (TimeoutError, aiohttp.ClientError, OSError) as exc:
            raise _failure(exc, url) from None
        if not is_whole:
            raise AuthorizationError(
                f"{origin(url).place} sent more than {MOST_BYTES} bytes, expected a few kB"
            )
        return Answer(response.status, response.headers, bytes(content))

    async def _check_literal(self, url: str) -> None:
        """An address in place of a name is never looked up, so it is checked here."""
        host = URL(url).raw_host or ""
        with contextlib.suppress(ValueError):  # a name: the resolver's business
            zone(host)
            try:
                await self._guard.allow(host, [host])
            except RefusedAddressError as exc:
                raise AuthorizationError(str(exc)) from None


def _failure(exc: BaseException, url: str) -> AuthorizationError:
    if isinstance(exc, aiohttp.ClientConnectorError) and isinstance(
        exc.os_error, RefusedAddressError
    ):
        return AuthorizationError(str(exc.os_error))
    return AuthorizationError(explain(exc, url), is_final=False)

"""One request in a server's name: with its credentials, and once more when it gets new ones."""

import asyncio

import aiohttp
from multidict import CIMultiDict

from pipeline.shell.http import Method, Watch, request
from pipeline.shell.targets import Target

MOST_ATTEMPTS = 4
_REFUSED = (401, 403)


async def request_as(
    target: Target,
    http: aiohttp.ClientSession,
    method: Method,
    url: str,
    *,
    headers: CIMultiDict[str],
    data: bytes | None,
    watch: Watch,
    limit: asyncio.Timeout,
) -> aiohttp.ClientResponse:
    """Send one request; the answer that is no redirect, once its headers came.

    After a 401 or 403 the server's authorizer may have new credentials. While it sees to that, the
    clock of `limit` stands still: a person may be at a browser, and it has a limit of its own.

    Raises:
        RedirectRefusedError, aiohttp.ClientError, OSError: As `request`.
    """
    attempts = 1
    while True:
        mine = CIMultiDict(headers)
        mine.update(await target.authorizer.headers(method, url))
        response = await request(http, method, url, headers=mine, data=data, watch=watch)
        if response.status not in _REFUSED or attempts >= MOST_ATTEMPTS:
            return response
        if not await _has_new(target, method, url, response, limit):
            return response
        response.close()
        attempts += 1


async def _has_new(
    target: Target,
    method: Method,
    url: str,
    response: aiohttp.ClientResponse,
    limit: asyncio.Timeout,
) -> bool:
    loop, left = asyncio.get_running_loop(), None
    if (when := limit.when()) is not None:
        left = when - loop.time()
        limit.reschedule(None)
    try:
        return await target.authorizer.refused(method, url, response.status, response.headers)
    finally:
        if left is not None:
            limit.reschedule(loop.time() + left)

"""The end of a session over Streamable HTTP, as far as it is the shell's business.

basic/transports, 2025-11-25, "Session Management": clients that no longer need a session should
send an HTTP DELETE with its id. Whether the server cares is its own matter.
"""

import asyncio
import contextlib

import aiohttp
from multidict import CIMultiDict

from pipeline.deadline import Deadline
from pipeline.shell.http_clock import Watch
from pipeline.shell.http_credentials import Answer, request_as, request_headers
from pipeline.shell.http_letters import Request
from pipeline.shell.targets import Target

SESSION_ID = "Mcp-Session-Id"
_GONE = 404
_OF_SESSIONS = (SESSION_ID, "MCP-Protocol-Version")
_PATIENCE = 2.0  # seconds


class Farewell:
    """Remembers the session that a server was spoken to in, and takes leave of it."""

    def __init__(self, target: Target, http: aiohttp.ClientSession, shutdown: Deadline) -> None:
        self._target = target
        self._shutdown = shutdown
        self._http = http
        self._url = ""
        self._own: dict[str, str] = {}

    def remember(self, request: Request, answer: Answer) -> None:
        """A request was answered: its session is the one to take leave of, unless it is gone."""
        session = request.headers.get(SESSION_ID)
        if session is None:
            return
        if answer.response.status != _GONE:
            self._url = request.url
            self._own = {n: request.headers[n] for n in _OF_SESSIONS if n in request.headers}
        elif session == self._own.get(SESSION_ID):
            self._own = {}

    async def say(self) -> None:
        """Take leave, if there is a session; never raises.

        It lasts 2 s at most, or its part of `shutdown`.
        """
        if not self._own:
            return
        headers: CIMultiDict[str] = request_headers(self._target, self._own, {})
        # Nobody is asked for credentials for this.
        with contextlib.suppress(TimeoutError, aiohttp.ClientError, OSError):
            async with asyncio.timeout(self._shutdown.part(_PATIENCE)):
                answer = await request_as(
                    self._target,
                    self._http,
                    "DELETE",
                    self._url,
                    headers=headers,
                    watch=Watch(),
                    most_repeats=0,
                )
                answer.response.close()

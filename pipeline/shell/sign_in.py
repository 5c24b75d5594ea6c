"""Tells the core when a server's credentials are being got: a person may be at a browser."""

from collections.abc import Callable, Mapping

from pipeline.core.events import SignInEnded, SignInStarted
from pipeline.shell.authorizer import Authorizer, Learn, NoAuthorizer


class ToldAuthorizer:
    """An authorizer whose work is told, so that nobody takes it for a server's silence."""

    def __init__(
        self, inner: Authorizer, server: str, put: Callable[[SignInStarted | SignInEnded], None]
    ) -> None:
        self._inner = inner
        self._server = server
        self._put = put
        self._under_way = 0

    @property
    def is_under_way(self) -> bool:
        """Are credentials being got?"""
        return self._under_way > 0

    def disclose(self, learn: Learn) -> None:
        """As the authorizer does it."""
        self._inner.disclose(learn)

    async def headers(self, method: str, url: str) -> Mapping[str, str]:
        """As the authorizer has them."""
        return await self._inner.headers(method, url)

    async def refused(
        self, method: str, url: str, status: int, headers: Mapping[str, str], body: bytes
    ) -> bool:
        """As the authorizer does it; told when the first begins, and when the last has ended."""
        if type(self._inner) is NoAuthorizer:
            return False  # nothing is under way: there are no others
        self._under_way += 1
        if self._under_way == 1:
            self._put(SignInStarted(server=self._server))
        try:
            return await self._inner.refused(method, url, status, headers, body)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._put(SignInEnded(server=self._server))

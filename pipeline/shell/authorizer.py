"""Who says what credentials go with a request, and what to do when they are refused."""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, TypeAlias

Learn: TypeAlias = Callable[[Iterable[str]], None]
"""Takes values that are secret from now on, and never waits; nothing is remembered of the call."""


class AuthorizationError(ConnectionError):
    """No credentials could be had; the text says why, and may be shown.

    `is_final`: whoever tries again in this run gets the same.
    """

    def __init__(self, text: str, *, is_final: bool = True) -> None:
        super().__init__(text)
        self.is_final = is_final


class Authorizer(Protocol):
    """The credentials of one server, beside the headers that the user has set.

    No time passes for a request while one of these runs: a person may be at a browser. So each of
    them bounds its own time. Several requests may ask at once, and any of them may be cancelled.
    """

    def disclose(self, learn: Learn) -> None:
        """Have `learn` told each secret that is got from now on: before it is sent anywhere.

        Called before the first request. So whoever tells us a secret back tells what is known.
        """
        ...

    async def headers(self, method: str, url: str) -> Mapping[str, str]:
        """Fresh credentials for one request, e.g. a bearer token or a proof; none if none are.

        Of two values for one header, this one counts.

        Raises:
            AuthorizationError: If it is of no use to send the request.
        """
        ...

    async def refused(
        self, method: str, url: str, status: int, headers: Mapping[str, str], body: bytes
    ) -> bool:
        """After a 401 or 403: True if there are new credentials, so that it is worth asking again.

        `headers` (no matter in what case they are asked for) and `body` are those of the refusal;
        of the body the first 64 KiB, as far as they came.

        Raises:
            AuthorizationError: If there are none. If that is final, the refusal stands, and this is
                told with it; else there was no answer, and another attempt may fare better.
        """
        ...


class NoAuthorizer:
    """A server that gets what the user has set, and nothing else."""

    def disclose(self, learn: Learn) -> None:
        """There is nothing to tell."""

    async def headers(self, method: str, url: str) -> Mapping[str, str]:  # noqa: ARG002  the protocol's
        """None."""
        return {}

    async def refused(
        self,
        method: str,  # noqa: ARG002  the protocol's
        url: str,  # noqa: ARG002  the protocol's
        status: int,  # noqa: ARG002  the protocol's
        headers: Mapping[str, str],  # noqa: ARG002  the protocol's
        body: bytes,  # noqa: ARG002  the protocol's
    ) -> bool:
        """There are no others."""
        return False

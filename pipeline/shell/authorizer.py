"""Who says what credentials go with a request, and what to do when they are refused."""

from collections.abc import Mapping
from typing import Protocol


class Authorizer(Protocol):
    """The credentials of one server, beside the headers that the user has set."""

    async def headers(self, method: str, url: str) -> Mapping[str, str]:
        """Fresh credentials for one request, e.g. a bearer token or a proof; none if none are."""
        ...

    async def refused(self, method: str, url: str, status: int, headers: Mapping[str, str]) -> bool:
        """After a 401 or 403: True if there are new credentials, so that it is worth asking again.

        It bounds its own attempts and its own time, in which a person may be at a browser.
        """
        ...


class NoAuthorizer:
    """A server that gets what the user has set, and nothing else."""

    async def headers(self, method: str, url: str) -> Mapping[str, str]:  # noqa: ARG002
        """None."""
        return {}

    async def refused(
        self,
        method: str,  # noqa: ARG002
        url: str,  # noqa: ARG002
        status: int,  # noqa: ARG002
        headers: Mapping[str, str],  # noqa: ARG002
    ) -> bool:
        """There are no others."""
        return False

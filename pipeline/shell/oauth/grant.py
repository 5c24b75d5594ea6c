"""What an authorization server has given us for one MCP server."""

from collections.abc import Mapping
from typing import Any

import msgspec

_SECRET_MEMBERS = (
    *("access_token", "refresh_token", "id_token"),  # RFC 6749, 5.1; OpenID Connect Core, 3.1.3.3
    *("client_secret", "registration_access_token"),  # RFC 7591, 3.2.1; RFC 7592, 3
)
_LONG_LINE = 32  # characters of a key that are secret by themselves


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens, and all that is needed to have new ones. It is full of secrets: `repr` shows none.

    It belongs to one `issuer` (the authorization server) and one `resource` (the URL of the MCP
    server), and is used with no other. `client` is what we are registered as (of a client that the
    user has registered, its id only), `tokens` the answer
    of the token endpoint, `metadata` and `protected` the documents of the two servers, all as the
    package `mcp` writes its models. `expires_at` is in seconds since the epoch, None if not told.
    `requested` is the scope that was asked for. `dpop_key` is a private key (PEM), if the tokens
    are bound to it (RFC 9449).
    """

    issuer: str
    resource: str
    client: dict[str, Any] | None = None
    tokens: dict[str, Any] | None = None
    expires_at: float | None = None
    metadata: dict[str, Any] | None = None
    protected: dict[str, Any] | None = None
    requested: str | None = None
    dpop_key: str = ""

    @property
    def access_token(self) -> str:
        """The token to send, empty for none."""
        return str((self.tokens or {}).get("access_token") or "")

    @property
    def secrets(self) -> tuple[str, ...]:
        """All values in it that nobody may see."""
        told = (*secrets_in(self.tokens or {}), *secrets_in(self.client or {}))
        return (*told, *key_secrets(self.dpop_key))

    @property
    def can_refresh(self) -> bool:
        """Can there be a new token without asking anybody?"""
        return bool((self.tokens or {}).get("refresh_token") and self.client_id)

    @property
    def client_id(self) -> str:
        """What we are registered as, empty for nothing."""
        return str((self.client or {}).get("client_id") or "")

    def is_fresh(self, now: float) -> bool:
        """Is there a token that will hold for a moment? `now` is in seconds since the epoch."""
        return bool(self.access_token) and (
            self.expires_at is None or now < self.expires_at - _MARGIN
        )

    def __repr__(self) -> str:
        return f"Grant({self.issuer!r}, {self.resource!r})"


def secrets_in(members: Mapping[str, Any]) -> tuple[str, ...]:
    """The secrets in an answer of an authorization server, be it to a token or a registration."""
    values = (members.get(name) for name in _SECRET_MEMBERS)
    return tuple(value for value in values if isinstance(value, str) and value)


def key_secrets(pem: str) -> tuple[str, ...]:
    """A private key in PEM: the whole, and each line of it, for the line breaks may be gone."""
    lines = (line.strip() for line in pem.splitlines() if not line.startswith("-----"))
    return tuple(text for text in (pem.strip(), *lines) if len(text) >= _LONG_LINE)


_MARGIN = 10.0  # seconds: a request on its way should not outlive its token

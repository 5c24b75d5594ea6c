"""What an authorization server has given us for one MCP server."""

from typing import Any

import msgspec


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


_MARGIN = 10.0  # seconds: a request on its way should not outlive its token

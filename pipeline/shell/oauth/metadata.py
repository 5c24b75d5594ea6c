"""The metadata of authorization servers: what we insist on, and what we read out of it."""

import json
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

from pipeline.shell.authorizer import AuthorizationError
from pipeline.shell.oauth.errors import members_of, shown

_WELL_KNOWN = ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration")


@dataclass(frozen=True, slots=True)
class ServerMetadata:
    """What we read of it. Lists are empty where the document says nothing.

    `auth_methods` are the ways to authenticate at the token endpoint, `dpop_algorithms` those of
    proofs (RFC 9449, 5.1).
    """

    auth_methods: tuple[str, ...]
    dpop_algorithms: tuple[str, ...]

    @property
    def secret_method(self) -> str:
        """How to send a client secret (RFC 8414, 2: `client_secret_basic` is the default)."""
        if "client_secret_basic" in self.auth_methods or not self.auth_methods:
            return "client_secret_basic"
        return "client_secret_post" if "client_secret_post" in self.auth_methods else ""

    @property
    def registration_method(self) -> str | None:
        """What to register for: no secret where that will do; None lets the server choose."""
        return "none" if "none" in self.auth_methods else self.secret_method or None


def is_metadata_url(url: str) -> bool:
    """Is it one where authorization servers have their metadata (RFC 8414, OpenID Connect)?"""
    return any(part in urlsplit(url).path for part in _WELL_KNOWN)


def read_metadata(body: bytes) -> ServerMetadata | None:
    """What a document says; None if it is none."""
    document = members_of(body)
    if not document:
        return None
    return ServerMetadata(
        _words(document, "token_endpoint_auth_methods_supported"),
        _words(document, "dpop_signing_alg_values_supported"),
    )


def check_pkce(body: bytes, url: str) -> None:
    """See that the authorization server does PKCE with S256, by its own word.

    MCP, "Authorization Code Protection": without `code_challenge_methods_supported`, refuse.

    Raises:
        AuthorizationError: If it does not say so.
    """
    document = members_of(body)
    if "S256" not in _words(document, "code_challenge_methods_supported"):
        found = document.get("code_challenge_methods_supported")
        raise AuthorizationError(
            f"{urlsplit(url).netloc} is not asked, for it does not say that it protects"
            f" authorization codes: found {shown(json.dumps(found))} as"
            " code_challenge_methods_supported, expected a list with S256 in it"
        )


def without_scopes(body: bytes) -> bytes:
    """The document without a list of all scopes: nobody asked for them.

    MCP, "Scope Selection Strategy": where neither the challenge nor the MCP server names scopes,
    none is sent; the package `mcp` would send all that the authorization server has.
    """
    document = members_of(body)
    if "scopes_supported" not in document:
        return body
    return json.dumps({k: v for k, v in document.items() if k != "scopes_supported"}).encode()


def _words(document: dict[str, Any], name: str) -> tuple[str, ...]:
    value = document.get(name)
    if not isinstance(value, list):
        return ()
    return tuple(word for word in cast("list[object]", value) if isinstance(word, str))

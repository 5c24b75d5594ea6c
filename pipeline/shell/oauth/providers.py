"""The providers of the package `mcp`, made to start from a grant and to end in one.

Importing this costs a second and 30 MB (`mcp` imports its server, too), so it is imported only when
a server wants authorization. What the providers do is theirs: discovery, registration, PKCE,
scopes, refreshing. They write what goes wrong into the log, tokens and all: that is off.
"""

import logging
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from mcp.client.auth import OAuthClientProvider
from mcp.client.auth.extensions.client_credentials import (
    ClientCredentialsOAuthProvider,
    PrivateKeyJWTOAuthProvider,
    SignedJWTParameters,
)
from mcp.client.auth.utils import issuers_match
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthMetadata,
    OAuthToken,
    ProtectedResourceMetadata,
)
from pydantic import BaseModel

from config.options import OAuthOptions
from pipeline.shell.authorizer import AuthorizationError, Learn
from pipeline.shell.oauth.errors import shown
from pipeline.shell.oauth.grant import Grant, key_secrets
from pipeline.shell.oauth.metadata import ServerMetadata

for _name in ("mcp.client.auth.oauth2", "mcp.client.auth.utils"):
    logging.getLogger(_name).addFilter(lambda _: False)


class Memory:
    """The storage that a provider asks for: nothing of it is kept here, `Restoring` does that."""

    async def get_tokens(self) -> OAuthToken | None:
        """None: they come from the grant."""
        return None

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """They stay in the provider's context."""

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """None: it comes from the grant."""
        return None

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """It stays in the provider's context."""


class Restoring(OAuthClientProvider):
    """What all of ours have in common: begun from a grant, and ended in the next one.

    The package keeps neither when a token expires nor where the token endpoint is, so that after a
    restart it could not refresh; the grant has both. `fixed` is the client that the user has
    registered, which no server may replace.
    """

    grant: Grant | None = None
    fixed: OAuthClientInformationFull | None = None
    issuer: str = ""

    async def _initialize(self) -> None:
        await super()._initialize()
        context, grant = self.context, self.grant
        if grant is not None:
            context.client_metadata.scope = grant.requested
            context.token_expiry_time = grant.expires_at
            if grant.tokens is not None:
                context.current_tokens = OAuthToken.model_validate(grant.tokens)
            if grant.client is not None:
                context.client_info = OAuthClientInformationFull.model_validate(grant.client)
            if grant.metadata is not None:
                context.oauth_metadata = OAuthMetadata.model_validate(grant.metadata)
            if grant.protected is not None:
                found = ProtectedResourceMetadata.model_validate(grant.protected)
                context.protected_resource_metadata = found
                context.auth_server_url = grant.issuer
        if self.fixed is not None:
            context.client_info = self.fixed
        if context.oauth_metadata is not None:
            methods = context.oauth_metadata.token_endpoint_auth_methods_supported or ()
            self.learn(ServerMetadata(tuple(methods), ()).secret_method)

    def learn(self, secret_method: str) -> None:
        """How the server takes the secret of a client that the user has registered."""
        if self.fixed is not None and self.fixed.client_secret is not None:
            self.fixed.token_endpoint_auth_method = secret_method

    def _select_authorization_server(self, advertised: list[str]) -> str:
        """The one that our credentials are for, if it is among them."""
        for server in advertised:
            if self.issuer and issuers_match(server, self.issuer):
                return server
        return super()._select_authorization_server(advertised)

    def _expected_issuer(self) -> str:
        """Credentials go to the authorization server that gave them (MCP, "Server Binding")."""
        found = super()._expected_issuer()
        if self.fixed is not None and self.issuer and not issuers_match(found, self.issuer):
            raise AuthorizationError(
                f"the server is authorized by {shown(found)}, but the credentials are for"
                f" {shown(self.issuer)}: they are not sent; if it is right, set --oauth-issuer"
            )
        return found

    def end(self, *, dpop_key: str) -> Grant:
        """The grant of what has been reached so far."""
        context = self.context
        tokens, client, metadata = (
            context.current_tokens,
            context.client_info,
            context.oauth_metadata,
        )
        known = _dump(client)
        if self.fixed is not None:
            known = {"client_id": self.fixed.client_id}
        return Grant(
            issuer=str(metadata.issuer) if metadata is not None else super()._expected_issuer(),
            resource=context.server_url,
            client=known,
            tokens=_dump(tokens),
            expires_at=None if tokens is None else context.token_expiry_time,
            metadata=_dump(metadata),
            protected=_dump(context.protected_resource_metadata),
            requested=context.client_metadata.scope,
            dpop_key=dpop_key,
        )


class BrowserProvider(Restoring):
    """A person allows access (OAuth 2.1, authorization code)."""


class SecretProvider(Restoring, ClientCredentialsOAuthProvider):
    """A machine with a client secret (MCP extension, client credentials)."""


class KeyProvider(Restoring, PrivateKeyJWTOAuthProvider):
    """A machine with a private key (RFC 7523, 2.2)."""


def browser_provider(
    server_url: str,
    options: OAuthOptions,
    redirect_uri: str,
    show: Callable[[str], Awaitable[None]] | None,
    wait: Callable[[], Awaitable[AuthorizationCodeResult]] | None,
) -> BrowserProvider:
    """The provider for a person at a browser; for a refresh, nobody has to `show` or `wait`."""
    metadata = OAuthClientMetadata.model_validate(
        {"client_name": "rxmcp", "redirect_uris": [redirect_uri], "application_type": "native"}
    )
    provider = BrowserProvider(
        server_url,
        metadata,
        Memory(),
        show,
        wait,
        client_metadata_url=options.client_metadata_url or None,
    )
    if options.client_id:
        provider.fixed = _fixed(options, redirect_uris=[redirect_uri])
        provider.issuer = options.issuer
    return provider


def machine_provider(server_url: str, options: OAuthOptions, learn: Learn) -> Restoring:
    """The provider for client credentials; `learn` hears of the private key that it reads.

    Raises:
        AuthorizationError: If the private key cannot be used.
    """
    with warnings.catch_warnings():
        # It warns where no issuer is set. So do we (`flows`), in words for those who can set it.
        warnings.simplefilter("ignore")
        provider: Restoring
        if options.private_key_file:
            key, algorithm = private_key(options)
            learn(key_secrets(key))
            signed = SignedJWTParameters(
                issuer=options.client_id,
                subject=options.client_id,
                signing_key=key,
                signing_algorithm=algorithm,
            )
            provider = KeyProvider(
                server_url,
                Memory(),
                options.client_id,
                signed.create_assertion_provider(),
                issuer=options.issuer or None,
            )
        else:
            provider = SecretProvider(
                server_url,
                Memory(),
                options.client_id,
                _secret(options) or "",
                issuer=options.issuer or None,
            )
    method = "private_key_jwt" if options.private_key_file else "client_secret_basic"
    provider.fixed = _fixed(options, token_endpoint_auth_method=method)
    provider.issuer = options.issuer
    return provider


def private_key(options: OAuthOptions) -> tuple[str, str]:
    """The private key (PEM) and the algorithm to sign with.

    Raises:
        AuthorizationError: If there is no such file, or no key in it that can sign.
    """
    path = options.private_key_file
    try:
        pem = Path(path).read_bytes()
        key = load_pem_private_key(pem, None)
    except OSError as exc:
        raise AuthorizationError(
            f"the private key {path!r} cannot be read: {exc.strerror}"
        ) from None
    except (ValueError, TypeError):
        raise AuthorizationError(
            f"found no private key in {path!r}, expected PEM without a passphrase"
        ) from None
    algorithm = options.private_key_alg or _algorithm(key)
    try:
        jwt.encode({}, key, algorithm=algorithm)  # pyright: ignore[reportArgumentType]  (any that signs)
    except (NotImplementedError, TypeError, ValueError, jwt.PyJWTError):
        raise AuthorizationError(
            f"the private key {path!r} does not sign with {algorithm or 'any algorithm we have'};"
            " set RXMCP_OAUTH_PRIVATE_KEY_ALG"
        ) from None
    return pem.decode("ascii", "replace"), algorithm


def _algorithm(key: object) -> str:
    match key:
        case ec.EllipticCurvePrivateKey():
            return {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}.get(
                key.curve.name, ""
            )
        case rsa.RSAPrivateKey():
            return "RS256"
        case ed25519.Ed25519PrivateKey():
            return "EdDSA"
        case _:
            return ""


def _fixed(options: OAuthOptions, **members: object) -> OAuthClientInformationFull:
    secret = _secret(options)
    method = "none" if secret is None else "client_secret_basic"
    told = {"client_id": options.client_id, "client_secret": secret, "issuer": options.issuer}
    return OAuthClientInformationFull.model_validate(
        {"token_endpoint_auth_method": method, **told, **members}
    )


def _secret(options: OAuthOptions) -> str | None:
    return None if options.client_secret is None else options.client_secret.get_secret_value()


def _dump(model: BaseModel | None) -> dict[str, Any] | None:
    return None if model is None else model.model_dump(mode="json", exclude_none=True)


def form(url: str, members: dict[str, str], headers: dict[str, str]) -> httpx2.Request:
    """A token request."""
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    return httpx2.Request("POST", url, data=members, headers={**kind, **headers})

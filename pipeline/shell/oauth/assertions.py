"""Grants by a JWT that somebody else has signed (RFC 7523, 2.1): workloads, and enterprises.

The package `mcp` has no provider for workload identity, and for an enterprise one that needs to be
told the authorization server by hand; both are the package's own flow here, with another last step.
"""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path

import httpx2
from mcp.shared.auth import JWT_BEARER_GRANT_TYPE, OAuthClientInformationFull, OAuthClientMetadata

from config.options import OAuthOptions
from pipeline.shell.authorizer import AuthorizationError
from pipeline.shell.oauth.errors import members_of, said
from pipeline.shell.oauth.providers import Memory, Restoring, form
from pipeline.shell.oauth.side import Answer

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105  (RFC 8693: a name)
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105  a name
ID_JAG = "urn:ietf:params:oauth:token-type:id-jag"

_NOBODY = "unregistered"

Send = Callable[[httpx2.Request], Awaitable[Answer]]


class AssertionProvider(Restoring):
    """Trades an assertion for a token. There is one try: another would be refused as this one."""

    def __init__(self, server_url: str, options: OAuthOptions, send: Send) -> None:
        metadata = OAuthClientMetadata(redirect_uris=None, grant_types=[JWT_BEARER_GRANT_TYPE])
        super().__init__(server_url, metadata, Memory())
        self._options = options
        self._send = send
        secret = options.client_secret
        self.issuer = options.issuer
        self.fixed = OAuthClientInformationFull(
            # Without an id nothing is sent as one: then the assertion alone says who we are.
            client_id=options.client_id or _NOBODY,
            client_secret=None if secret is None else secret.get_secret_value(),
            grant_types=[JWT_BEARER_GRANT_TYPE],
            token_endpoint_auth_method="none",  # noqa: S106  (a name)
        )

    async def _assertion(self) -> str:
        raise NotImplementedError

    async def _perform_authorization(self) -> httpx2.Request:
        context = self.context
        members = {"grant_type": JWT_BEARER_GRANT_TYPE, "assertion": await self._assertion()}
        if self._options.client_id and context.client_info is not None:
            if context.client_info.token_endpoint_auth_method == "none":  # noqa: S105  (a name)
                members["client_id"] = self._options.client_id
            members, headers = context.prepare_token_auth(members, {})
        else:
            headers: dict[str, str] = {}
        members["resource"] = context.get_resource_url()
        if context.client_metadata.scope:
            members["scope"] = context.client_metadata.scope
        return form(self._get_token_endpoint(), members, headers)


class WorkloadProvider(AssertionProvider):
    """A workload that its platform vouches for (MCP extension, workload identity federation)."""

    async def _assertion(self) -> str:
        if not self._options.workload_jwt_file:
            assert self._options.workload_jwt is not None, "checked when the options were read"
            return self._options.workload_jwt.get_secret_value()
        path = self._options.workload_jwt_file
        try:
            # Read each time: the platform puts a new one there before the old one expires.
            return (await asyncio.to_thread(Path(path).read_text, "ascii")).strip()
        except OSError as exc:
            why = f"cannot be read: {exc.strerror}"
        except ValueError:
            why = "is no JWT"
        raise AuthorizationError(f"the JWT of the workload, {path!r}, {why}")


class EnterpriseProvider(AssertionProvider):
    """A person who has signed in at the enterprise (MCP extension, enterprise-managed).

    The identity provider turns the ID token into a grant for this one MCP server (RFC 8693).
    """

    async def _assertion(self) -> str:
        context, options = self.context, self._options
        if context.oauth_metadata is None:
            raise AuthorizationError("the server does not say who authorizes for it")
        id_token = options.idp_id_token
        assert id_token is not None, "checked when the options were read"
        members = {
            "grant_type": TOKEN_EXCHANGE,
            "requested_token_type": ID_JAG,
            "audience": str(context.oauth_metadata.issuer),
            "resource": context.get_resource_url(),
            "subject_token": id_token.get_secret_value(),
            "subject_token_type": ID_TOKEN,
        }
        if context.client_metadata.scope:
            members["scope"] = context.client_metadata.scope
        if options.idp_client_id:
            members["client_id"] = options.idp_client_id
        if options.idp_client_secret is not None:
            members["client_secret"] = options.idp_client_secret.get_secret_value()
        answer = await self._send(form(await self._endpoint(), members, {}))
        if answer.status != HTTPStatus.OK:
            secrets = [*options.secrets()]
            why = said(answer.body, secrets) or "without a reason"
            raise AuthorizationError(
                f"the identity provider refuses (HTTP {answer.status}): {why}",
                is_final=answer.status < HTTPStatus.INTERNAL_SERVER_ERROR,
            )
        found = _member(answer.body, "access_token")
        if not found or _member(answer.body, "issued_token_type") != ID_JAG:
            raise AuthorizationError(
                "the identity provider gave something else than the grant that was asked for"
            )
        return found

    async def _endpoint(self) -> str:
        if self._options.idp_token_endpoint:
            return self._options.idp_token_endpoint
        issuer = self._options.idp_issuer
        url = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
        answer = await self._send(httpx2.Request("GET", url))
        endpoint = _member(answer.body, "token_endpoint")
        if _member(answer.body, "issuer") != issuer or not endpoint:
            raise AuthorizationError(
                f"found no metadata of the identity provider {issuer!r}; set"
                " RXMCP_OAUTH_IDP_TOKEN_ENDPOINT",
                is_final=answer.status < HTTPStatus.INTERNAL_SERVER_ERROR,
            )
        return endpoint


def _member(body: bytes, name: str) -> str:
    value = members_of(body).get(name)
    return value if isinstance(value, str) else ""

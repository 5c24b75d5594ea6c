"""Drives a provider of the package `mcp`: what it wants to send, we send; what comes, it gets.

A provider's flow is an async generator of requests that takes responses. It was made for httpx2's
client; here its side requests go over aiohttp (`side`), with what the package leaves out: PKCE that
the server itself declares, DPoP proofs, and errors in words without the tokens that were in them.
"""

import json
from http import HTTPStatus

import httpx2
from mcp.client.auth import OAuthFlowError, OAuthRegistrationError, OAuthTokenError
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER

from config.options import OAuthOptions
from pipeline.shell.authorizer import AuthorizationError, Learn
from pipeline.shell.oauth.challenge import Challenge
from pipeline.shell.oauth.dpop import ALGORITHM, DpopKey
from pipeline.shell.oauth.errors import members_of, oauth_error, shown
from pipeline.shell.oauth.grant import key_secrets, secrets_in
from pipeline.shell.oauth.metadata import (
    ServerMetadata,
    check_pkce,
    is_metadata_url,
    read_metadata,
    without_scopes,
)
from pipeline.shell.oauth.providers import BrowserProvider, Restoring
from pipeline.shell.oauth.refusals import failure, is_passing, refusal, request_secrets
from pipeline.shell.oauth.side import Answer, SideRequests
from pipeline.shell.targets import origin

_REVISION = "2025-11-25"  # from which on `resource` goes with every request, metadata or not
_ODD = (ValueError, TypeError, KeyError, RecursionError, httpx2.InvalidURL)


class Driver:
    """One flow. `dpop` is the key that tokens are bound to so far, None for none.

    After it, `dpop` is the key of the tokens that came, and `trouble` why the last POST failed.
    `learn` hears of the secrets of a request before it leaves, and of those in its answer before
    anybody else sees that.
    """

    def __init__(
        self,
        side: SideRequests,
        options: OAuthOptions,
        *,
        challenge: Challenge | None,
        dpop: DpopKey | None,
        learn: Learn,
    ) -> None:
        self.dpop = dpop
        self._learn = learn
        self._side = side
        self._options = options
        self._challenge = challenge
        self._provider: Restoring | None = None
        self._server = ServerMetadata((), ())
        self.trouble: AuthorizationError | None = None
        self._is_down = False

    async def run(self, provider: Restoring) -> None:
        """Refresh (without a challenge), or authorize anew; then the provider has the tokens.

        Raises:
            AuthorizationError: If there are none in the end.
        """
        self._provider = provider
        request = httpx2.Request(
            "POST", provider.context.server_url, headers={MCP_PROTOCOL_VERSION_HEADER: _REVISION}
        )
        flow = provider.async_auth_flow(request)
        is_told = False
        try:
            step = await anext(flow)
            while step is not request or not is_told:
                if step is not request:
                    response = await self._side_request(step)
                elif self._challenge is None:
                    return
                else:
                    is_told, response = True, refusal(self._challenge, self._options, request)
                step = await flow.asend(response)
        except OAuthRegistrationError:
            raise self._not_registered() from None
        except OAuthTokenError:
            raise self.trouble or AuthorizationError(
                "the authorization server's answer holds no token"
            ) from None
        except OAuthFlowError as exc:
            # Those of this class itself speak of addresses and issuers, and never of tokens.
            raise AuthorizationError(
                f"the metadata does not fit: {shown(str(exc))}", is_final=not self._is_down
            ) from None
        except (StopAsyncIteration, *_ODD):
            # Of the package, or of pydantic: what the text quotes may be a token.
            raise self.trouble or AuthorizationError(
                "the authorization server's answers do not fit OAuth"
            ) from None
        finally:
            await flow.aclose()

    async def send(self, request: httpx2.Request, *, proof: str = "") -> Answer:
        """Send a side request as it is, or with a DPoP proof."""
        headers = dict(request.headers)
        for name in ("host", "content-length"):
            headers.pop(name, None)
        if proof:
            headers["DPoP"] = proof
        url = str(request.url)
        if request.method != "POST":
            return await self._side.send("GET", url, headers=headers)
        self._learn(request_secrets(request))
        answer = await self._side.send("POST", url, headers=headers, body=request.content)
        self._learn(secrets_in(members_of(answer.body)))
        return answer

    async def _send_token_request(self, request: httpx2.Request) -> Answer:
        """With a proof where tokens are to be bound; once more if the server names a nonce (8)."""
        self._decide_on_dpop()
        if self.dpop is None:
            return await self.send(request)
        url = str(request.url)
        answer = await self.send(request, proof=self.dpop.proof("POST", url))
        nonce = answer.headers.get("DPoP-Nonce", "")
        if nonce and oauth_error(answer.body) == "use_dpop_nonce":
            answer = await self.send(request, proof=self.dpop.proof("POST", url, nonce=nonce))
        return answer

    async def _side_request(self, request: httpx2.Request) -> httpx2.Response:
        is_get, is_metadata = request.method == "GET", is_metadata_url(str(request.url))
        if _is_token_request(request):
            self._check_home()
            answer = await self._send_token_request(request)
            body = self._token_answer(request, answer)
        elif is_get:
            answer = await self.send(request)
            body = self._document(request, answer) if is_metadata else answer.body
        else:
            self._check_home()
            answer = await self.send(request)
            self.trouble = failure(request, answer, "does not register this client")
            body = answer.body if self.trouble else self._registration(answer.body)
        self._is_down |= is_get and is_passing(answer.status)
        kept = {"Content-Type": answer.headers.get("Content-Type", "application/json")}
        return httpx2.Response(answer.status, headers=kept, content=body, request=request)

    def _check_home(self) -> None:
        """The package would take the MCP server itself for the authorization server it named.

        Only a server that names none may be one itself (MCP 2025-03-26, "Fallbacks").
        """
        assert self._provider is not None, "it runs"
        context = self._provider.context
        if context.protected_resource_metadata is not None and context.oauth_metadata is None:
            named = shown(context.auth_server_url or "")
            raise AuthorizationError(f"found no metadata of the authorization server {named}")

    def _registration(self, body: bytes) -> bytes:
        """With what the RFC says where the server does not: a secret goes as Basic (7591, 2)."""
        members = members_of(body)
        if "client_secret" not in members or members.get("token_endpoint_auth_method"):
            return body
        return json.dumps({**members, "token_endpoint_auth_method": "client_secret_basic"}).encode()

    def _document(self, request: httpx2.Request, answer: Answer) -> bytes:
        """The metadata of an authorization server, as the package is to see it."""
        provider, url, body = self._provider, str(request.url), answer.body
        assert provider is not None, "it runs"
        if is_passing(answer.status):  # it may well have metadata, so there is no going on without
            raise AuthorizationError(
                f"{origin(url).place} does not tell its metadata: HTTP {answer.status}",
                is_final=False,
            )
        found = read_metadata(body) if answer.status == HTTPStatus.OK else None
        if found is None:
            return body
        context = provider.context
        if isinstance(provider, BrowserProvider):
            check_pkce(body, url)
            # The package leaves the choice to the server, whose default wants a secret.
            method = found.registration_method
            context.client_metadata = context.client_metadata.model_copy(
                update={"token_endpoint_auth_method": method}
            )
        provider.learn(found.secret_method)
        self._server = found
        protected = context.protected_resource_metadata
        names_scopes = protected is not None and protected.scopes_supported is not None
        is_scoped = names_scopes or bool(self._challenge and self._challenge.scope)
        return body if is_scoped or self._options.scope else without_scopes(body)

    def _decide_on_dpop(self) -> None:
        """With a refresh, all stays as it is; else it is as wished, or as the server wants it."""
        if self._challenge is None or self._provider is None:
            return
        wish, schemes = self._options.dpop, self._challenge.schemes
        protected = self._provider.context.protected_resource_metadata
        is_required = schemes == frozenset({"dpop"}) or bool(
            protected is not None and protected.dpop_bound_access_tokens_required
        )
        is_possible = "dpop" in schemes and ALGORITHM in self._server.dpop_algorithms
        is_bound = self.dpop is not None  # and so it stays
        is_sensible = is_required or is_possible or is_bound
        is_wanted = wish == "always" or (wish == "auto" and is_sensible)
        self.dpop = (self.dpop or DpopKey()) if is_wanted else None
        if self.dpop is not None:
            self._learn(key_secrets(self.dpop.pem))

    def _token_answer(self, request: httpx2.Request, answer: Answer) -> bytes:
        """The answer as the package takes it: it knows Bearer tokens only."""
        self.trouble = failure(request, answer, "gives no token")
        if self.trouble is not None:
            return answer.body
        members = members_of(answer.body)
        if str(members.get("token_type")).lower() == "dpop" and self.dpop is not None:
            return json.dumps({**members, "token_type": "Bearer"}).encode()
        if self._options.dpop == "always":
            raise AuthorizationError(
                f"{origin(str(request.url)).place} gave a token that anybody could use,"
                " expected one for our key only (--dpop always)"
            )
        self.dpop = None
        return answer.body

    def _not_registered(self) -> AuthorizationError:
        assert self._provider is not None, "it runs"
        context = self._provider.context
        if context.oauth_metadata is None and context.protected_resource_metadata is None:
            return AuthorizationError(
                "it wants credentials and does not say how to get them; set MCP_API_KEY or --header"
            )
        trouble = self.trouble or AuthorizationError(
            "the authorization server's answer to the registration cannot be used"
        )
        return AuthorizationError(
            f"{trouble}; register it there by hand, and set --oauth-client-id",
            is_final=trouble.is_final,
        )


def _is_token_request(request: httpx2.Request) -> bool:
    kind = request.headers.get("Content-Type", "")
    return request.method == "POST" and kind.startswith("application/x-www-form-urlencoded")

"""From a refusal to a grant: chooses the provider, and sees that it is driven.

Import this late: it imports the package `mcp`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from aiohttp.abc import AbstractResolver

from config.options import OAuthOptions
from pipeline.shell.authorizer import AuthorizationError, Learn
from pipeline.shell.oauth.assertions import EnterpriseProvider, WorkloadProvider
from pipeline.shell.oauth.challenge import Challenge
from pipeline.shell.oauth.consent import Consent
from pipeline.shell.oauth.dpop import DpopKey
from pipeline.shell.oauth.driver import Driver
from pipeline.shell.oauth.errors import UnknownClientError
from pipeline.shell.oauth.grant import Grant
from pipeline.shell.oauth.guard import Guard
from pipeline.shell.oauth.listener import Listener
from pipeline.shell.oauth.providers import Restoring, browser_provider, machine_provider
from pipeline.shell.oauth.side import SideRequests
from pipeline.shell.targets import origin

_LONG_AGO = 1.0  # seconds since the epoch: to the package, 0 would be "never"


@dataclass(frozen=True, slots=True, repr=False)
class Client:
    """One MCP server, and how we get at its authorization. `url` is the address it is reached by.

    `say` takes lines for the person, `learn` each secret before it goes anywhere; `resolver` is for
    tests, None looks names up as usual.
    """

    name: str
    url: str
    options: OAuthOptions
    say: Callable[[str], None]
    learn: Learn
    resolver: AbstractResolver | None = None


async def refresh(client: Client, grant: Grant) -> Grant:
    """The grant with a new access token.

    Raises:
        AuthorizationError: If the refresh token is not taken (final), or nobody answers.
    """
    async with _side(client) as side:
        driver = _driver(side, client, None, grant)
        provider = _provider(client, driver, "http://127.0.0.1/callback", None)
        provider.grant = msgspec.structs.replace(grant, expires_at=_LONG_AGO)
        await driver.run(provider)
        return _ended(client, provider, driver)


async def authorize(client: Client, challenge: Challenge, grant: Grant | None) -> Grant:
    """A grant that meets a challenge, asked for anew. `grant` is what there was, None for nothing.

    Raises:
        AuthorizationError: If there is none.
    """
    if grant is not None:
        grant = msgspec.structs.replace(grant, expires_at=None)  # or it would be refreshed instead
    async with _side(client) as side:
        driver = _driver(side, client, challenge, grant)
        if client.options.kind != "browser":
            provider = _provider(client, driver, "", None)
            provider.grant = grant
            await driver.run(provider)
            return _ended(client, provider, driver)
        async with await _listener(client.options, grant) as listener:
            consent = Consent(client.name, listener, client.options, client.say, client.learn)
            provider = _provider(client, driver, listener.uri, consent)
            provider.grant = _for_listener(grant, listener, client.options)
            if grant is not None and not provider.issuer:
                provider.issuer = grant.issuer
            try:
                await driver.run(provider)
            except AuthorizationError as exc:
                if consent.is_unanswered:  # it may have shown an error in the browser instead
                    raise UnknownClientError(str(exc), is_final=exc.is_final) from exc
                raise
            return _ended(client, provider, driver)


def _side(client: Client) -> SideRequests:
    options = client.options
    trusted = [
        url for url in (options.issuer, options.idp_issuer, options.idp_token_endpoint) if url
    ]
    return SideRequests(Guard(client.url, trusted=trusted, resolver=client.resolver))


def _driver(
    side: SideRequests, client: Client, challenge: Challenge | None, grant: Grant | None
) -> Driver:
    key = grant.dpop_key if grant is not None else ""
    dpop = DpopKey(key) if key else None
    return Driver(side, client.options, challenge=challenge, dpop=dpop, learn=client.learn)


def _provider(
    client: Client, driver: Driver, redirect_uri: str, consent: Consent | None
) -> Restoring:
    options = client.options
    match options.kind:
        case "client-credentials":
            if not options.issuer:
                client.say(
                    f"! {client.name} itself chooses who gets the credentials, as no --oauth-issuer"
                    " is set"
                )
            return machine_provider(client.url, options, client.learn)
        case "workload":
            return WorkloadProvider(client.url, options, driver.send)
        case "enterprise":
            return EnterpriseProvider(client.url, options, driver.send)
        case "browser":
            show, wait = (None, None) if consent is None else (consent.show, consent.wait)
            provider = browser_provider(client.url, options, redirect_uri, show, wait)
            if consent is not None:
                consent.provider = provider
            return provider


async def _listener(options: OAuthOptions, grant: Grant | None) -> Listener:
    """On the port that was set, or that we are registered with; else on any that is free."""
    registered = _registered_port(grant)
    if options.redirect_port or registered is None:
        return await Listener.open(options.redirect_port)
    try:
        return await Listener.open(registered)
    except AuthorizationError:
        return await Listener.open()


def _for_listener(grant: Grant | None, listener: Listener, options: OAuthOptions) -> Grant | None:
    """A client that is registered with another port is none: it registers again.

    An authorization server must take any port on loopback (RFC 8252, 7.3), but many compare all.
    """
    if grant is None or grant.client is None or options.client_id:
        return grant
    is_portable = grant.client.get("client_id") == options.client_metadata_url
    if is_portable or _registered_port(grant) == listener.port:
        return grant
    return msgspec.structs.replace(grant, client=None)


def _registered_port(grant: Grant | None) -> int | None:
    uris = (grant.client or {}).get("redirect_uris") if grant is not None else None
    try:
        return origin(str(uris[0])).port if uris else None
    except (ValueError, TypeError, LookupError):
        return None


def _ended(client: Client, provider: Restoring, driver: Driver) -> Grant:
    grant = provider.end(dpop_key=driver.dpop.pem if driver.dpop is not None else "")
    if grant.access_token:
        if client.options.kind == "browser":
            return grant
        # What a machine can ask for at any time it does not refresh (RFC 6749, 4.4.3).
        return msgspec.structs.replace(
            grant, tokens={**(grant.tokens or {}), "refresh_token": None}
        )
    raise driver.trouble or AuthorizationError("the tokens could not be refreshed")

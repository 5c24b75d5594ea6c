"""An MCP server that wants OAuth, its authorization server, and a person at a browser.

Both servers are real ones on loopback. What they do is data on `World`: change it before, or while,
the client talks to them. All that they were asked is in `asked`.
"""

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import aiohttp
import jwt
from aiohttp import web
from multidict import CIMultiDict

from config.options import OAuthOptions
from pipeline.shell.authorizer import AuthorizationError, Authorizer
from pipeline.shell.http import make_post_session
from pipeline.shell.http_clock import Watch
from pipeline.shell.http_credentials import request_as
from pipeline.shell.oauth.authorizer import OAuthAuthorizer
from pipeline.shell.oauth.storage import FileStore, NoStore
from pipeline.shell.targets import Target, make_target

DEADLINE = 20.0


@dataclass(frozen=True)
class Asked:
    """One request: `what` is as `POST /token`; `form` has the members of a form or JSON object."""

    what: str
    form: Mapping[str, Any]
    headers: Mapping[str, str]
    query: Mapping[str, str]


@dataclass(eq=False)
class World:
    """`metadata`, `protected` and `token` are laid over what the servers say; None takes away."""

    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    protected: dict[str, Any] | None = field(default_factory=dict[str, Any])
    token: dict[str, Any] = field(default_factory=dict[str, Any])
    registration: dict[str, Any] = field(default_factory=dict[str, Any])
    callback: dict[str, Any] = field(default_factory=dict[str, Any])
    refuses: dict[str, tuple[int, Any]] = field(default_factory=dict[str, Any])
    """By path at the authorization server: the status and what to answer with, bytes or JSON."""
    scheme: str = "Bearer"
    scope: str = ""
    """What a 401 of the MCP server asks for."""
    needs: frozenset[str] = frozenset()
    """Scopes without which the MCP server says 403."""
    rejects_all: bool = False
    nonces: bool = False
    quotes: bool = False
    """The token endpoint refuses, and quotes all that it got."""
    reply: Callable[[Asked], web.Response] = field(default=lambda _: _nothing())
    """What the MCP server says to a request that is authorized."""
    asked: list[Asked] = field(default_factory=list[Asked])
    good: dict[str, str] = field(default_factory=dict[str, str])
    """Access tokens that are taken, with their scopes."""
    answers: int = 0
    url: str = ""
    issuer: str = ""
    _codes: dict[str, tuple[str, str]] = field(default_factory=dict[str, Any])
    _given: int = 0

    def paths(self) -> list[str]:
        """What was asked, in order, but for the MCP requests themselves."""
        return [asked.what for asked in self.asked if not asked.what.endswith(" /mcp")]

    def all_of(self, what: str) -> list[Asked]:
        """All requests of one kind, as `POST /token`."""
        return [asked for asked in self.asked if asked.what == what]

    def one(self, what: str) -> Asked:
        """The only request of a kind."""
        (found,) = self.all_of(what)
        return found

    async def _note(self, request: web.Request) -> Asked:
        text = await request.text()
        form: dict[str, Any] = dict(parse_qsl(text))
        if request.content_type == "application/json":
            form = json.loads(text)
        asked = Asked(
            f"{request.method} {request.path}", form, request.headers.copy(), request.query.copy()
        )
        self.asked.append(asked)
        return asked

    # --- the MCP server ---------------------------------------------------------------------

    async def _mcp(self, request: web.Request) -> web.Response:
        asked = await self._note(request)
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        place = f'resource_metadata="{self.url.removesuffix("/mcp")}/.well-known/prm"'
        place = place if self.protected is not None else 'realm="mcp"'
        if self.rejects_all or token not in self.good or scheme.lower() != self.scheme.lower():
            asks = f', scope="{self.scope}"' if self.scope else ""
            return _challenge(401, f"{self.scheme} {place}{asks}")
        if self.scheme == "DPoP":
            claims = jwt.decode(request.headers["DPoP"], options={"verify_signature": False})
            digest = base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest())
            assert claims["ath"] == digest.decode().rstrip("=")
            if self.nonces and claims.get("nonce") != "rs-nonce":
                refused = _challenge(401, f'DPoP error="use_dpop_nonce", {place}')
                refused.headers["DPoP-Nonce"] = "rs-nonce"
                return refused
        if missing := self.needs - set(self.good[token].split()):
            scopes = " ".join(sorted(missing))
            says = f'Bearer error="insufficient_scope", scope="{scopes}", {place}'
            return _challenge(403, says)
        self.answers += 1
        return self.reply(asked)

    async def _prm(self, request: web.Request) -> web.Response:
        await self._note(request)
        if self.protected is None:
            raise web.HTTPNotFound
        document = {"resource": self.url, "authorization_servers": [self.issuer]}
        return web.json_response(_over(document, self.protected))

    # --- the authorization server -----------------------------------------------------------

    async def _as(self, request: web.Request) -> web.StreamResponse:
        asked = await self._note(request)
        if request.path in self.refuses:
            status, body = self.refuses[request.path]
            if isinstance(body, bytes):
                return web.Response(status=status, body=body)
            return web.json_response(body, status=status)
        match request.path:
            case "/.well-known/oauth-authorization-server":
                return web.json_response(self._metadata())
            case "/register":
                document = {"client_id": "registered", **asked.form}
                return web.json_response(_over(document, self.registration), status=201)
            case "/authorize":
                return self._authorize(asked.query)
            case "/token":
                return self._token(asked)
            case _:
                raise web.HTTPNotFound

    def _metadata(self) -> dict[str, Any]:
        document = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "registration_endpoint": f"{self.issuer}/register",
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none", "client_secret_basic"],
        }
        return _over(document, self.metadata)

    def _authorize(self, query: Mapping[str, str]) -> web.Response:
        code = f"code-{len(self._codes)}-secret"
        self._codes[code] = query["code_challenge"], query.get("scope", "")
        answer = {"code": code, "state": query["state"], "iss": self.issuer}
        members = {k: v for k, v in _over(answer, self.callback).items() if v is not None}
        raise web.HTTPFound(f"{query['redirect_uri']}?{urlencode(members)}")

    def _token(self, asked: Asked) -> web.Response:
        if self.quotes:
            got = " ".join((*asked.form.values(), asked.headers.get("Authorization", "")))
            refused = {"error": "invalid_grant", "error_description": got, **asked.form}
            return web.json_response(refused, status=400)
        scope = asked.form.get("scope", "")
        if asked.form["grant_type"] == "authorization_code":
            challenge, scope = self._codes[asked.form["code"]]
            digest = hashlib.sha256(asked.form["code_verifier"].encode()).digest()
            assert base64.urlsafe_b64encode(digest).decode().rstrip("=") == challenge
        if self.nonces:
            claims = jwt.decode(asked.headers["DPoP"], options={"verify_signature": False})
            if claims.get("nonce") != "as-nonce":
                refused = web.json_response({"error": "use_dpop_nonce"}, status=400)
                refused.headers["DPoP-Nonce"] = "as-nonce"
                return refused
        self._given += 1
        token = f"access-{self._given}-secret"
        kind = "DPoP" if "DPoP" in asked.headers and self.scheme == "DPoP" else "Bearer"
        document: dict[str, Any] = {
            "access_token": token,
            "token_type": kind,
            "expires_in": 3600,
            "refresh_token": f"refresh-{self._given}-secret",
        }
        self.good[token] = scope
        return web.json_response(_over(document, self.token))


@dataclass(eq=False)
class Person:
    """Reads standard error, and opens each address that is told there; or is `away`."""

    away: bool = False
    lines: list[str] = field(default_factory=list[str])
    pages: list[str] = field(default_factory=list[str])
    told: asyncio.Event = field(default_factory=asyncio.Event)
    """There is an address to open."""
    _visits: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    def say(self, line: str) -> None:
        self.lines.append(line)
        if line.startswith("  http"):
            self.told.set()
        if line.startswith("  http") and not self.away:
            visit = asyncio.create_task(self.visit(line.strip()))
            self._visits.add(visit)
            visit.add_done_callback(self._visits.discard)

    async def has_left(self) -> None:
        """Wait until no page is open any more."""
        await asyncio.gather(*self._visits)

    async def visit(self, address: str) -> None:
        async with aiohttp.ClientSession() as browser, browser.get(address) as page:
            self.pages.append(await page.text())


@dataclass(frozen=True)
class Said:
    """What came of one MCP request: its status, and why it was not authorized.

    None: it may fare better another time, and whoever sent it is to decide.
    """

    status: int | None
    note: str


@dataclass(eq=False)
class Client:
    """The MCP client's side: one authorizer, and requests through the real seam."""

    world: World
    target: Target
    http: aiohttp.ClientSession

    async def ask(self) -> Said:
        try:
            async with asyncio.timeout(DEADLINE):
                answer = await request_as(
                    self.target,
                    self.http,
                    "POST",
                    self.target.url,
                    headers=CIMultiDict({"Content-Type": "application/json"}),
                    data=b"{}",
                    watch=Watch(),
                )
        except AuthorizationError as exc:
            return Said(None, str(exc))
        answer.response.close()
        return Said(answer.response.status, answer.note)


@asynccontextmanager
async def world(**members: Any) -> AsyncIterator[World]:
    """Both servers, until the end of the block."""
    made = World(**members)
    mcp, authority = web.Application(), web.Application()
    mcp.router.add_post("/mcp", made._mcp)
    mcp.router.add_get("/.well-known/{rest:.*}", made._prm)
    for app in (mcp, authority):
        app.router.add_route("*", "/{rest:.*}", made._as)
    runners = [web.AppRunner(app) for app in (mcp, authority)]
    ports: list[int] = []
    for runner in runners:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        ports.append(runner.addresses[0][1])
    made.url = f"http://127.0.0.1:{ports[0]}/mcp"
    made.issuer = f"http://127.0.0.1:{ports[1]}"
    try:
        yield made
    finally:
        for runner in runners:
            await runner.cleanup()


@asynccontextmanager
async def client(
    to: World, person: Person | None = None, *, path: Path | None = None, **options: Any
) -> AsyncIterator[Client]:
    """A client with an authorizer of its own; `path` is where its tokens stay, None for nowhere.

    `clock`, `now` and `resolver` go to the authorizer, all else is options of OAuth.
    """
    for_authorizer = {k: options.pop(k) for k in ("clock", "now", "resolver") if k in options}
    terminal = options.pop("terminal", person is not None)
    person = Person(away=True) if person is None else person
    target = make_target("tickets", options.pop("url", to.url))
    authorizer: Authorizer = OAuthAuthorizer(
        target,
        OAuthOptions(no_browser=options.pop("no_browser", True), **{"timeout": 10.0, **options}),
        store=NoStore() if path is None else FileStore(path),
        terminal=terminal,
        say=person.say,
        **for_authorizer,
    )
    async with make_post_session() as http:
        yield Client(to, replace(target, authorizer=authorizer), http)


def _over(document: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in {**document, **changes}.items() if v is not None}


def _nothing() -> web.Response:
    return web.json_response({"jsonrpc": "2.0", "id": 1, "result": {}})


def _challenge(status: int, text: str) -> web.Response:
    return web.Response(status=status, headers={"WWW-Authenticate": text}, text="no")

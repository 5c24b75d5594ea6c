"""Gets a server's requests authorized: with what there is, and when that is refused, with more.

Nothing heavy is imported here. The package `mcp` (a second, 30 MB) comes in with the first refusal
that OAuth may help with, or the first token that has run out.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
from aiohttp.abc import AbstractResolver

from config.options import OAuthOptions
from pipeline.shell.authorizer import AuthorizationError, Learn
from pipeline.shell.oauth.attempts import Attempts
from pipeline.shell.oauth.challenge import UNAUTHORIZED, Challenge, read_challenge
from pipeline.shell.oauth.errors import UnknownClientError
from pipeline.shell.oauth.grant import Grant
from pipeline.shell.oauth.keeper import Keeper
from pipeline.shell.oauth.storage import Store
from pipeline.shell.targets import Target, public_url

if TYPE_CHECKING:
    from types import ModuleType

    from pipeline.shell.oauth import flows
    from pipeline.shell.oauth.dpop import DpopKey

_JUST_NOW = 60.0  # seconds: what was refreshed, or failed to be, so recently is not tried again

_sent: ContextVar[tuple[int, int, str]] = ContextVar("sent")
"""What this task's last request goes with: whose it is, the version of the grant, the nonce."""


@dataclass(frozen=True, slots=True)
class _Failed:
    """The last challenge that was not met, and why."""

    challenge: Challenge | None = None
    text: str = ""
    is_final: bool = False


class OAuthAuthorizer:
    """The credentials of one server, got over OAuth when it asks for them.

    Requests go side by side with the token in hand. Only refreshing and authorizing wait for each
    other, and whoever waited takes what the first one got. A challenge is met a few times
    (`Attempts`), and a final failure is not tried again.
    """

    def __init__(
        self,
        target: Target,
        options: OAuthOptions,
        *,
        store: Store,
        terminal: bool,
        say: Callable[[str], None],
        resolver: AbstractResolver | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._name = target.name
        self._url = public_url(target.url)  # a key in its query is nobody else's business
        self._options = options
        self._may_ask = terminal or bool(options.browser and not options.no_browser)
        self._say = say
        self._learn: Learn = lambda _: None
        self._resolver = resolver
        self._clock = clock
        self._now = now
        self._keeper = Keeper(self._url, options, store, self._warn)
        self._attempts = Attempts()
        self._lock = asyncio.Lock()
        self._grant: Grant | None = None
        self._is_loaded = False
        self._version = 0
        self._tried_refresh_at = float("-inf")
        self._failures = 0
        self._failed = _Failed()
        self._key: DpopKey | None = None
        self._nonce = ""

    def disclose(self, learn: Learn) -> None:
        """Tokens, codes, keys and client secrets: of what was kept, and of what comes."""
        self._learn = learn

    async def headers(self, method: str, url: str) -> Mapping[str, str]:
        """The token for one request to this server, refreshed in time if that asks nobody."""
        if not self._is_loaded or (self._wants_refresh() and not self._lock.locked()):
            async with self._lock:
                await self._load()
                if self._wants_refresh():
                    await self._refresh()
        _sent.set((id(self), self._version, self._nonce))
        token = "" if self._grant is None else self._grant.access_token
        if not token:
            return {}
        if self._key is None:
            return {"Authorization": f"Bearer {token}"}
        proof = self._key.proof(method, url, nonce=self._nonce, token=token)
        return {"Authorization": f"DPoP {token}", "DPoP": proof}

    async def refused(
        self,
        method: str,  # noqa: ARG002  (the challenge says all)
        url: str,  # noqa: ARG002  the protocol's
        status: int,
        headers: Mapping[str, str],
        body: bytes,  # noqa: ARG002  the protocol's
    ) -> bool:
        """Meet the challenge of a 401 or 403; False if it is none that credentials help with.

        Raises:
            AuthorizationError: If it was not met.
        """
        challenge = read_challenge(status, headers)
        if challenge is None:
            return False
        owner, version, nonce = _sent.get((0, 0, ""))
        if owner != id(self):  # another task has asked for the credentials
            version, nonce = self._version, self._nonce
        fresh_nonce = _nonce(headers) if challenge.error == "use_dpop_nonce" else ""
        if fresh_nonce and self._key is not None:
            self._nonce = fresh_nonce
            return fresh_nonce != nonce
        failures = self._failures
        async with self._lock:
            await self._load()
            if version != self._version:
                return True
            if failures != self._failures and self._failed.challenge == challenge:
                failed = self._failed  # of one that has waited for the same
                raise AuthorizationError(failed.text, is_final=failed.is_final)
            await self._meet(challenge)
        return True

    async def _meet(self, challenge: Challenge) -> None:
        """Have other credentials. Alone: the lock is held."""
        if challenge.status == UNAUTHORIZED and self._may_refresh() and await self._refresh():
            return
        if self._options.kind == "browser" and not self._may_ask:
            raise AuthorizationError(
                "it wants to be authorized, and there is no terminal to ask at; run it once on a"
                " terminal to allow access, or set MCP_API_KEY, --header or client credentials"
                " (--oauth-flow client-credentials)"
            )
        self._attempts.spend(challenge, self._clock())
        try:
            flows = await self._flows()
            await self._take(await flows.authorize(self._client(flows), challenge, self._grant))
        except AuthorizationError as exc:
            self._failures += 1
            self._failed = _Failed(challenge, str(exc), exc.is_final)
            if isinstance(exc, UnknownClientError):
                await self._forget_client()  # so the next try is another one
            elif exc.is_final:
                self._attempts.close(challenge, str(exc))
            raise

    async def _refresh(self) -> bool:
        """True if there is a new token; if not, what there was stays, but for a dead one."""
        grant = self._grant
        assert grant is not None, "there is one to refresh"
        self._tried_refresh_at = self._clock()
        try:
            flows = await self._flows()
            await self._take(await flows.refresh(self._client(flows), grant))
        except UnknownClientError:
            await self._forget_client()
            return False
        except AuthorizationError as exc:
            return exc.is_final and await self._replace(grant)
        return True

    async def _replace(self, dead: Grant) -> bool:
        """Another run may have been faster, with a refresh token that can be used only once."""
        kept = await self._keeper.load()
        if kept is not None and kept.access_token not in ("", dead.access_token):
            self._use(kept)
            return True
        self._grant = msgspec.structs.replace(
            dead, tokens={**(dead.tokens or {}), "refresh_token": None}
        )
        return False

    async def _forget_client(self) -> None:
        if self._grant is not None and not self._options.client_id:
            self._grant = msgspec.structs.replace(self._grant, client=None)
            await self._keeper.save(self._grant)

    async def _load(self) -> None:
        if not self._is_loaded:
            self._is_loaded = True
            kept = await self._keeper.load()
            if kept is not None:
                self._use(kept)

    async def _take(self, grant: Grant) -> None:
        self._use(grant)
        await self._keeper.save(grant)

    def _use(self, grant: Grant) -> None:
        self._learn(grant.secrets)
        self._key = None
        if grant.dpop_key:
            from pipeline.shell.oauth.dpop import DpopKey  # noqa: PLC0415  (cryptography)

            self._key = DpopKey(grant.dpop_key)
        self._grant = grant
        self._version += 1

    def _wants_refresh(self) -> bool:
        return (
            self._grant is not None
            and not self._grant.is_fresh(self._now())
            and self._may_refresh()
        )

    def _may_refresh(self) -> bool:
        is_early = self._clock() - self._tried_refresh_at < _JUST_NOW
        return self._grant is not None and self._grant.can_refresh and not is_early

    def _client(self, flows: "ModuleType") -> "flows.Client":
        return flows.Client(
            self._name, self._url, self._options, self._say, self._learn, self._resolver
        )

    async def _flows(self) -> "ModuleType":
        return await asyncio.to_thread(_import_flows)

    def _warn(self, text: str) -> None:
        self._say(f"! {self._name}: {text}")


def _import_flows() -> "ModuleType":
    from pipeline.shell.oauth import flows  # noqa: PLC0415  (a second)

    return flows


def _nonce(headers: Mapping[str, str]) -> str:
    return next((value for name, value in headers.items() if name.lower() == "dpop-nonce"), "")

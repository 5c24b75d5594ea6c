"""Asks a person to allow access: shows the address, opens it, and takes the answer."""

from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

from mcp.client.auth import OAuthFlowError
from mcp.client.auth.utils import validate_authorization_response_iss
from mcp.shared.auth import AuthorizationCodeResult

from config.options import OAuthOptions
from pipeline.shell.authorizer import AuthorizationError, Learn
from pipeline.shell.oauth.browser import check_address, open_address
from pipeline.shell.oauth.errors import shown
from pipeline.shell.oauth.listener import Callback, Listener
from pipeline.shell.oauth.providers import BrowserProvider


class Consent:
    """One question to a person. `say` gets whole lines for standard error, `learn` the secrets.

    `show` and `wait` are what the provider calls, one after the other; between the two it
    `is_unanswered`.
    """

    def __init__(
        self,
        server: str,
        listener: Listener,
        options: OAuthOptions,
        say: Callable[[str], None],
        learn: Learn,
    ) -> None:
        self._server = server
        self._listener = listener
        self._options = options
        self._say = say
        self._learn = learn
        self.provider: BrowserProvider | None = None
        self.is_unanswered = False

    async def show(self, address: str) -> None:
        """Say the address in full, and open it if that is wished."""
        host = check_address(address)
        states = parse_qs(urlsplit(address).query).get("state", [""])
        self._learn(states)
        self._listener.expect(states[0])
        odd = " (mind: this name is written in letters that may look like others)"
        self._say(
            f"= {self._server} wants you to allow access, at {host}{odd if 'xn--' in host else ''};"
            " open this in a browser:"
        )
        self._say(f"  {address}")
        self.is_unanswered = True
        if self._options.no_browser:
            return
        if not await open_address(address, self._options.browser):
            self._say("! no browser could be opened: open the address yourself")

    async def wait(self) -> AuthorizationCodeResult:
        """The answer, once it is sure that it comes from whom it was asked of."""
        found = await self._listener.wait(self._options.timeout)
        self._learn([found.code])
        self.is_unanswered = False
        self._check_issuer(found)
        if not found.code:
            why = f": {shown(found.error)}" if found.error else ""
            if found.error == "access_denied":
                raise AuthorizationError("access was not allowed")
            raise AuthorizationError(f"the authorization server sent no code{why}")
        return AuthorizationCodeResult(code=found.code, state=found.state, iss=found.iss)

    def _check_issuer(self, found: Callback) -> None:
        """RFC 9207, 2.4: before anything of the answer is used or shown, an error included."""
        assert self.provider is not None, "it asks"
        metadata = self.provider.context.oauth_metadata
        try:
            validate_authorization_response_iss(found.iss, metadata)
        except OAuthFlowError:
            expected = "" if metadata is None else str(metadata.issuer)
            raise AuthorizationError(
                f"the answer that came is from {shown(found.iss or 'nobody')}, expected"
                f" {shown(expected)}: it is not used, as somebody may be in between"
            ) from None

"""The grant of one server, between runs: loaded once, saved when it changes, never in the way."""

from collections.abc import Callable

from config.options import OAuthOptions
from pipeline.shell.oauth.grant import Grant
from pipeline.shell.oauth.storage import NoStore, Store, StoreError
from pipeline.shell.oauth.threads import in_thread

_PATIENCE = 60.0  # seconds: a keyring may ask for its password


class Keeper:
    """Loads and saves the grant of the server at `url`.

    A store that does not work is told with `say`, and then done without: the run goes on with the
    tokens in hand.
    """

    def __init__(
        self, url: str, options: OAuthOptions, store: Store, say: Callable[[str], None]
    ) -> None:
        self._url = url
        self._options = options
        self._store = store
        self._say = say

    async def load(self) -> Grant | None:
        """What is kept for this server, if it is for the client that we are."""
        try:
            grant = await in_thread(lambda: self._store.load(self._url), seconds=_PATIENCE)
        except (StoreError, TimeoutError) as exc:
            self._do_without(exc)
            return None
        return grant if grant is not None and self._is_ours(grant) else None

    async def save(self, grant: Grant) -> None:
        """Keep a grant."""
        try:
            await in_thread(lambda: self._store.save(grant), seconds=_PATIENCE)
        except (StoreError, TimeoutError) as exc:
            self._do_without(exc)

    def _is_ours(self, grant: Grant) -> bool:
        options = self._options
        is_of_client = not options.client_id or grant.client_id == options.client_id
        is_of_issuer = not options.issuer or (
            grant.issuer.rstrip("/") == options.issuer.rstrip("/")
        )
        return grant.resource == self._url and is_of_client and is_of_issuer

    def _do_without(self, exc: Exception) -> None:
        self._say(str(exc) or f"the place for tokens did not answer within {_PATIENCE:g} s")
        self._store = NoStore()

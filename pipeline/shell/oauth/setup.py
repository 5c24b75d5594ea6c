"""Puts the authorizer of a server together from what the user has set."""

from collections.abc import Callable
from pathlib import Path

from config.options import OAuthOptions
from pipeline.shell.authorizer import Authorizer, NoAuthorizer
from pipeline.shell.oauth.authorizer import OAuthAuthorizer
from pipeline.shell.oauth.keyring_store import KeyringStore
from pipeline.shell.oauth.storage import FileStore, NoStore, Store, StoreError, default_path
from pipeline.shell.targets import Target, origin

_KEYS = frozenset({"authorization", "x-api-key"})


def make_authorizer(
    target: Target, options: OAuthOptions, *, terminal: bool, say: Callable[[str], None]
) -> Authorizer:
    """The authorizer of one server; one that sends a key of its own keeps to that.

    `terminal`: is there a person at standard input who reads standard error? `say` gets lines for
    that person, without a newline.

    Raises:
        ValueError: If the options do not go together; the text says what is missing.
    """
    check(options)
    if any(name.lower() in _KEYS for name in target.headers):
        return NoAuthorizer()
    return OAuthAuthorizer(target, options, store=make_store(options), terminal=terminal, say=say)


def check(options: OAuthOptions) -> None:
    """See that all is there that a flow needs.

    Raises:
        ValueError: If not.
    """
    needed: dict[str, object] = {}
    match options.kind:
        case "client-credentials":
            needed["--oauth-client-id"] = options.client_id
            needed["RXMCP_OAUTH_CLIENT_SECRET or --oauth-private-key-file"] = (
                options.private_key_file or options.client_secret
            )
        case "workload":
            needed["RXMCP_OAUTH_WORKLOAD_JWT or RXMCP_OAUTH_WORKLOAD_JWT_FILE"] = (
                options.workload_jwt_file or options.workload_jwt
            )
        case "enterprise":
            needed["RXMCP_OAUTH_IDP_ID_TOKEN"] = options.idp_id_token
            needed["RXMCP_OAUTH_IDP_TOKEN_ENDPOINT or RXMCP_OAUTH_IDP_ISSUER"] = (
                options.idp_token_endpoint or options.idp_issuer
            )
        case "browser":
            pass
    missing = [name for name, value in needed.items() if not value]
    if missing:
        raise ValueError(
            f"the flow {options.kind!r} of authorization also needs {' and '.join(missing)}"
        )
    for url in (options.issuer, options.idp_issuer, options.idp_token_endpoint):
        if url:
            origin(url)  # which says what is wrong with it


def make_store(options: OAuthOptions) -> Store:
    """Where grants stay. What a machine can have again at any time stays nowhere.

    Raises:
        ValueError: If there is no place for it.
    """
    place = options.token_store
    if options.kind != "browser" or place == "none":
        return NoStore()
    try:
        path = Path(options.token_file) if options.token_file else default_path(options.state_home)
    except StoreError as exc:
        raise ValueError(str(exc)) from exc
    file = FileStore(path)
    if place == "file":
        return file
    return KeyringStore(file, is_strict=place == "keyring")

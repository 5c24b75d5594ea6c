"""Which authorizer a server gets, and what must be set for it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from config.options import OAuthOptions
from pipeline.shell.authorizer import NoAuthorizer
from pipeline.shell.oauth.authorizer import OAuthAuthorizer
from pipeline.shell.oauth.keyring_store import KeyringStore
from pipeline.shell.oauth.setup import make_authorizer, make_store
from pipeline.shell.oauth.storage import FileStore, NoStore
from pipeline.shell.targets import make_target

ROOT = Path(__file__).resolve().parents[3]
URL = "https://a.example/mcp"


def authorizer(options: OAuthOptions, **target: Any) -> object:
    made = make_target("a", URL, **target)
    return make_authorizer(made, options, terminal=False, say=print)


async def test_a_server_without_a_key_gets_one_that_knows_oauth() -> None:
    assert isinstance(authorizer(OAuthOptions()), OAuthAuthorizer)
    assert isinstance(authorizer(OAuthOptions(), extra_headers={"X-Team": "a"}), OAuthAuthorizer)


@pytest.mark.parametrize(
    "target",
    [
        {"api_key": "hush-hush"},
        {"api_key": "hush-hush", "api_key_header": "X-API-Key"},
        {"extra_headers": {"authorization": "Bearer x"}},
    ],
)
def test_a_server_with_a_key_of_its_own_keeps_to_it(target: dict[str, Any]) -> None:
    assert isinstance(authorizer(OAuthOptions(), **target), NoAuthorizer)


@pytest.mark.parametrize(
    ("options", "missing"),
    [
        ({"flow": "client-credentials"}, "--oauth-client-id and RXMCP_OAUTH_CLIENT_SECRET or"),
        ({"flow": "client-credentials", "client_id": "c"}, "--oauth-private-key-file"),
        ({"private_key_file": "k"}, "--oauth-client-id"),
        ({"flow": "workload"}, "RXMCP_OAUTH_WORKLOAD_JWT"),
        ({"flow": "enterprise"}, "RXMCP_OAUTH_IDP_ID_TOKEN"),
        ({"idp_issuer": "https://i"}, "RXMCP_OAUTH_IDP_ID_TOKEN"),
        ({"flow": "enterprise", "idp_id_token": "t"}, "RXMCP_OAUTH_IDP_TOKEN_ENDPOINT"),
        ({"issuer": "auth.example"}, "expected http"),
    ],
)
def test_what_is_missing_is_told_before_anything_is_sent(
    options: dict[str, Any], missing: str
) -> None:
    with pytest.raises(ValueError, match=missing):
        authorizer(OAuthOptions(**options))


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({}, "browser"),
        ({"client_id": "c", "client_secret": "s"}, "browser"),
        ({"private_key_file": "k"}, "client-credentials"),
        ({"workload_jwt": "j"}, "workload"),
        ({"workload_jwt_file": "j", "private_key_file": "k"}, "workload"),
        ({"idp_token_endpoint": "https://i/t", "workload_jwt": "j"}, "enterprise"),
        ({"flow": "client-credentials", "workload_jwt": "j"}, "client-credentials"),
    ],
)
def test_the_flow_goes_by_what_is_set(options: dict[str, Any], kind: str) -> None:
    assert OAuthOptions(**options).kind == kind


def test_a_server_that_is_not_the_users_gets_no_credentials() -> None:
    options = OAuthOptions(
        flow="workload",
        client_id="c",
        client_secret="client-secret",
        workload_jwt="jwt-secret",
        idp_client_secret="idp-secret",
        idp_id_token="id-secret",
        issuer="https://auth.example",
        scope="read",
        timeout=7,
    )
    assert options.secrets() == ("client-secret", "jwt-secret", "idp-secret", "id-secret")
    stranger = options.without_credentials()
    assert stranger.secrets() == ()
    assert (stranger.kind, stranger.client_id, stranger.issuer) == ("browser", "", "")
    assert (stranger.scope, stranger.timeout) == ("read", 7)


def test_no_secret_of_the_options_is_shown() -> None:
    options = OAuthOptions(client_secret="hush-hush", workload_jwt="hush-hush")
    assert "hush" not in repr(options)
    assert "hush" not in str(options)


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({}, KeyringStore),
        ({"token_store": "keyring"}, KeyringStore),
        ({"token_store": "file"}, FileStore),
        ({"token_store": "file", "token_file": "t.json"}, FileStore),
        ({"token_store": "none"}, NoStore),
        ({"workload_jwt": "j"}, NoStore),
    ],
)
def test_tokens_stay_where_the_user_wants_them(options: dict[str, Any], kind: type) -> None:
    assert isinstance(make_store(OAuthOptions(**options)), kind)


def test_without_a_home_there_is_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(ValueError, match="--token-file"):
        make_store(OAuthOptions())
    assert isinstance(make_store(OAuthOptions(state_home="/s")), KeyringStore)


def test_a_server_that_asks_for_nothing_costs_no_import() -> None:
    """The package mcp takes most of a second, and what comes with it 30 MB."""
    code = (
        "import sys\n"
        "import pipeline.shell.oauth.setup\n"
        "heavy = {'mcp', 'httpx2', 'jwt', 'keyring', 'cryptography'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr

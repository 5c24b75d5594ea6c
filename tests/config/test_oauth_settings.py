"""What a run is told about authorization, by flags and variables."""

import pytest

from config.command_line import UsageError, read_command_line
from config.options import OAuthOptions
from config.settings import Settings
from config.variables import FLAGS, VARIABLES

SECRET = "canary-0123456789"
SECRETS = ("client_secret", "workload_jwt", "idp_client_secret", "idp_id_token")
TEXTS = {
    "client_id": "c",
    "client_metadata_url": "https://c.example/c.json",
    "issuer": "https://auth.example",
    "scope": "read write",
    "browser": "firefox %s",
    "private_key_file": "key.pem",
    "private_key_alg": "RS256",
    "workload_jwt_file": "/run/jwt",
    "idp_issuer": "https://idp.example",
    "idp_token_endpoint": "https://idp.example/token",
    "idp_client_id": "i",
    "token_file": "/t.json",
    "state_home": "/state",
    "flow": "workload",
    "dpop": "always",
    "token_store": "file",
}


def read(*argv: str, **variables: str) -> Settings:
    return read_command_line(argv, variables, None)


def field(option: str) -> str:
    """The setting that an option comes from."""
    return option if option in Settings.model_fields else f"oauth_{option}"


def test_without_a_word_all_is_as_the_options_say() -> None:
    assert read().oauth == OAuthOptions()


@pytest.mark.parametrize("option", OAuthOptions.model_fields)
def test_every_option_can_be_set(option: str) -> None:
    name = field(option)
    assert name in VARIABLES
    if option in SECRETS:
        assert name not in FLAGS, "a secret on a command line is seen by everybody"


@pytest.mark.parametrize(("option", "value"), TEXTS.items())
def test_each_text_comes_from_its_own_variable(option: str, value: str) -> None:
    found = read(**{VARIABLES[field(option)]: value}).oauth
    assert found == OAuthOptions(**{option: value})


@pytest.mark.parametrize(
    ("argv", "option", "value"),
    [
        (("--oauth-client-id", "c"), "client_id", "c"),
        (("--oauth-scope", "a b"), "scope", "a b"),
        (("--oauth-redirect-port", "8123"), "redirect_port", 8123),
        (("--oauth-timeout", "9"), "timeout", 9.0),
        (("--no-browser",), "no_browser", True),
        (("--dpop", "never"), "dpop", "never"),
        (("--token-store=none",), "token_store", "none"),
    ],
)
def test_flags_say_the_same(argv: tuple[str, ...], option: str, value: object) -> None:
    assert read("tools", *argv).oauth == OAuthOptions.model_validate({option: value})


@pytest.mark.parametrize("option", SECRETS)
def test_a_secret_comes_from_its_variable_and_is_known_to_be_one(option: str) -> None:
    settings = read(**{VARIABLES[field(option)]: SECRET})
    assert settings.oauth.secrets() == (SECRET,)
    assert SECRET in settings.secrets()
    assert SECRET not in repr(settings)
    assert SECRET not in repr(settings.oauth)


def test_the_browser_and_the_folder_have_the_variables_that_everybody_knows() -> None:
    assert VARIABLES["oauth_browser"] == "BROWSER"
    assert VARIABLES["oauth_state_home"] == "XDG_STATE_HOME"


@pytest.mark.parametrize(
    "argv",
    [("--oauth-redirect-port", "65536"), ("--oauth-timeout", "0"), ("--dpop", "yes")],
)
def test_what_cannot_be_is_told(argv: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match=argv[0]):
        read(*argv)

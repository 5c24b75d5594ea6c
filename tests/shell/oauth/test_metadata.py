"""What is read out of the metadata of authorization servers."""

import json
from typing import Any

import pytest

from pipeline.shell.oauth.errors import oauth_error, said, shown
from pipeline.shell.oauth.metadata import is_metadata_url, read_metadata, without_scopes

BASIC, POST = "client_secret_basic", "client_secret_post"


@pytest.mark.parametrize(
    ("methods", "secret", "registration"),
    [
        (None, BASIC, BASIC),
        ([], BASIC, BASIC),
        ([BASIC, POST], BASIC, BASIC),
        (["none", BASIC], BASIC, "none"),
        ([POST], POST, POST),
        ([POST, "none"], POST, "none"),
        (["private_key_jwt"], "", None),
        ("none", BASIC, BASIC),
        ([1, "none"], "", "none"),
    ],
)
def test_how_to_authenticate_goes_by_what_the_server_takes(
    methods: Any, secret: str, registration: str | None
) -> None:
    document = {"issuer": "i", "token_endpoint_auth_methods_supported": methods}
    found = read_metadata(json.dumps(document).encode())
    assert found is not None
    assert (found.secret_method, found.registration_method) == (secret, registration)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b"1", b"\xff"])
def test_what_is_no_metadata_is_none(body: bytes) -> None:
    assert read_metadata(body) is None
    assert without_scopes(body) == body


def test_scopes_can_be_left_out_and_nothing_else() -> None:
    document = {"issuer": "i", "scopes_supported": ["a"], "x": 1}
    assert json.loads(without_scopes(json.dumps(document).encode())) == {"issuer": "i", "x": 1}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://a/.well-known/oauth-authorization-server", True),
        ("https://a/.well-known/oauth-authorization-server/tenant", True),
        ("https://a/.well-known/openid-configuration/tenant", True),
        ("https://a/tenant/.well-known/openid-configuration", True),
        ("https://a/.well-known/oauth-protected-resource", False),
        ("https://a/token?x=/.well-known/openid-configuration", False),
    ],
)
def test_metadata_is_known_by_its_place(url: str, expected: bool) -> None:
    assert is_metadata_url(url) is expected


@pytest.mark.parametrize(
    ("body", "code", "text"),
    [
        ({"error": "invalid_grant"}, "invalid_grant", "invalid_grant"),
        (
            {"error": "a", "error_description": "No\nway \x1b[1m"},
            "a",
            "a: " + repr("No\\x0away \\x1b[1m"),
        ),
        ({"error_description": "hush-hush is wrong"}, "", "'«redacted» is wrong'"),
        ({"error": "not a code!"}, "", ""),
        ({"error": 1, "error_description": 2}, "", ""),
        ({"error": "x" * 65}, "", ""),
    ],
)
def test_what_a_server_says_is_shown_harmless(body: dict[str, Any], code: str, text: str) -> None:
    raw = json.dumps(body).encode()
    assert oauth_error(raw) == code
    assert said(raw, ["hush-hush"]) == text


def test_long_text_is_cut() -> None:
    assert len(shown("x" * 10_000)) < 310

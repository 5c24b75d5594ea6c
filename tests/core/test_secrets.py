"""Secrets are found where they stand, and what only looks like one is left alone."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.secrets import Secret, find_secrets, merged, spans

# Written in two halves, so that no scanner of repositories takes this file for a leak.
ANTHROPIC = "sk-ant-" + "api03-Vx8mT2qLw9"
GITHUB = "ghp_" + "1a2B3c4D5e6F7g8H9i0J1k2L3m4N5o6P7q8R"
AWS = "AKIA" + "IOSFODNN7EXAMPLE"
JWT = "eyJhbGciOiJIUzI1" + ".eyJzdWIiOiIxMjM0" + ".SflKxwRJSMeKKF2QT4"
RANDOM = "q8Zr2Lk0Vt7Yw5Xe1Bn3Mc9A"

LOOKS = {
    ANTHROPIC: "anthropic-key",
    "sk-" + "proj-1234567890abcdefghij": "api-key",
    "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc": "stripe-key",
    GITHUB: "github-token",
    "github_pat_" + "11ABCDEFG0123456789abcdefghijk": "github-token",
    "glpat-" + "abcdefghij0123456789": "gitlab-token",
    AWS: "aws-key",
    "AIza" + "SyA1234567890abcdefghijklmnopqrstuv": "google-key",
    "xoxb-" + "123456789012-abcdef": "slack-token",
    "npm_" + "abcdefghijklmnopqrstuvwxyz0123456789": "npm-token",
    "pypi-" + "A" * 60: "pypi-token",
    "hf_" + "abcdefghijklmnopqrstuvwxyz0123": "huggingface-token",
    JWT: "jwt",
}


def text_of(value: Any) -> str:
    """JSON as others write it."""
    return json.dumps(value, ensure_ascii=False)


def found(value: Any) -> list[tuple[str, str, str]]:
    return [(each.path, each.rule, each.value) for each in find_secrets(text_of(value))]


@pytest.mark.parametrize(("secret", "rule"), LOOKS.items(), ids=LOOKS.values())
def test_a_secret_is_known_by_its_look_in_the_middle_of_a_text(secret: str, rule: str) -> None:
    text = f'please use "{secret}", it works'
    assert found({"text": text}) == [(".text", rule, secret)]
    ((start, end, name),) = spans(text)
    assert (text[start:end], name) == (secret, rule)


@pytest.mark.parametrize(
    ("text", "rule", "secret"),
    [
        (f"Authorization: Bearer {RANDOM}", "authorization", RANDOM),
        ("authorization: basic dXNlcjpodW50ZXIy", "authorization", "dXNlcjpodW50ZXIy"),
        ("postgres://me:hunter2@db:5432/x", "url-password", "hunter2"),
        ("https://h/sse?api_key=abc123&x=1", "telling-key", "abc123"),
        ("password=hunter2 and so on", "telling-key", "hunter2"),
        ("the password: hunter2!", "telling-key", "hunter2!"),
        (f"MY_TOKEN={RANDOM}", "random-text", RANDOM),
        ("Bearer a1b2c3d4", "authorization", "a1b2c3d4"),
        ("pwd=q", "telling-key", "q"),
    ],
)
def test_only_the_secret_part_of_a_text_is_taken(text: str, rule: str, secret: str) -> None:
    assert found([text]) == [(".[0]", rule, secret)]


@pytest.mark.parametrize("end", ["\n-----END RSA PRIVATE KEY-----", ""], ids=["whole", "cut off"])
def test_a_private_key_is_found_whole_or_cut_off(end: str) -> None:
    (secret,) = find_secrets(f"-----BEGIN RSA PRIVATE KEY-----\nMIIEow{end}")
    assert secret.rule == "private-key"
    assert "MIIEow" in secret.value


@pytest.mark.parametrize(
    "key",
    [
        "password", "api_key", "apiKey", "API-Key", "X-API-Key", "x-api-key", "client_secret",
        "clientSecret", "secret", "passwd", "refresh_token", "db_password", "openai.api_key",
    ],
)  # fmt: skip
def test_a_telling_key_makes_any_value_a_secret(key: str) -> None:
    ((_, rule, value),) = found({key: "hunter2"})
    assert (rule, value) == ("telling-key", "hunter2")


@pytest.mark.parametrize("key", ["authorization", "Cookie", "set-cookie", "passphrase"])
def test_a_secret_may_have_spaces_where_that_is_usual(key: str) -> None:
    assert [value for _, _, value in found({key: "correct horse; x=y"})] == ["correct horse; x=y"]


@pytest.mark.parametrize("key", ["token", "auth", "key", "deploy_key", "csrfToken"])
def test_under_a_key_that_only_hints_a_secret_is_long_and_random(key: str) -> None:
    assert [rule for _, rule, _ in found({key: RANDOM})] == ["random-text"]
    for harmless in (
        "call:c1",
        "a" * 40,
        "0" * 39 + "1",
        "some words that are long",
        "hyphenated-words-are-no-keys",
    ):
        assert found({key: harmless}) == []


@pytest.mark.parametrize(
    "value",
    [
        {"password": value}
        for value in (
            "", "***", "xxxx", "<your password>", "${PASSWORD}", "$PASSWORD", "[redacted]",
            "REDACTED", "string", "your-password",
            "the password of the user", None, 7, True,
        )
    ]
    + [
        {"properties": {"password": {"type": "string", "description": "Your password."}}},
        {"required": ["password", "api_key"]},
        {"session_id": RANDOM},
        {"url": f"http://127.0.0.1:1/messages/?session_id={RANDOM}"},
        {"max_tokens": "8192", "tokens": {"input": 3}},
        "Bearer authentication is required",
        "password: required, token: optional",
        "password=get_password() and api_key=os.environ",
        "http://user@host/ and mailto:me@host",
        {"hash": RANDOM},
    ],
)  # fmt: skip
def test_what_is_plainly_no_secret_is_left_alone(value: Any) -> None:
    assert found(value) == []


def test_the_path_is_one_that_jq_takes() -> None:
    value = {"a": [{"b c": {"password": "hunter2"}}], "secret": ["one1", "two2"]}
    assert [path for path, _, _ in found(value)] == [
        '.a[0]["b c"].password',
        ".secret[0]",
        ".secret[1]",
    ]


def test_json_inside_a_text_is_looked_into() -> None:
    inner = msgspec.json.encode({"result": [{"api_key": "abc123"}]}).decode()
    where = ".data | fromjson | .result[0].api_key"
    assert found({"data": inner}) == [(where, "telling-key", "abc123")]


def test_a_text_that_only_begins_like_json_is_read_as_a_text() -> None:
    assert found({"data": '{"api_key": "abc123"'}) == [(".data", "telling-key", "abc123")]


def test_a_secret_that_is_a_key_is_found_and_not_in_the_path_of_what_is_below_it() -> None:
    secrets = list(find_secrets(text_of({ANTHROPIC: {"password": "hunter2"}})))
    assert [each.rule for each in secrets] == ["anthropic-key", "telling-key"]
    assert not any(ANTHROPIC in each.path for each in secrets)


@pytest.mark.parametrize(
    "value",
    [
        {"password": "[redacted:telling-key:1]"},
        {"token": "pfx-[redacted:github-token:12]"},
        {"Authorization": "Bearer [redacted:authorization:1]"},
        "password=[redacted:telling-key:1] and Bearer [redacted:authorization:2]",
        "postgres://me:[redacted:url-password:1]@db/x",
        "-----BEGIN [redacted:private-key:1] RSA PRIVATE KEY-----",
    ],
)
def test_what_stands_for_a_secret_is_none(value: Any) -> None:
    assert found(value) == []


@pytest.mark.parametrize(
    ("value", "secret"),
    [
        ({"password": f"pfx-{GITHUB}"}, f"pfx-{GITHUB}"),
        ({"token": f"pfx-{GITHUB}"}, GITHUB),
        ({"Authorization": f"Bearer {ANTHROPIC}"}, ANTHROPIC),
        ({"Cookie": f"a={ANTHROPIC}; b=c"}, f"a={ANTHROPIC}; b=c"),
        ({"password": "[redacted:x:1] and more"}, ""),
        ({"secret": "more[redacted:x:1]"}, "more[redacted:x:1]"),
        (f"password=abc{GITHUB}", f"abc{GITHUB}"),
    ],
)
def test_a_key_makes_a_secret_of_what_is_left_beside_one(value: Any, secret: str) -> None:
    assert [each for _, _, each in found(value)] == ([secret] if secret else [])


def test_spans_that_overlap_are_one_and_those_that_touch_are_two() -> None:
    found = [(3, 8, "b"), (0, 5, "a"), (0, 4, "c"), (8, 9, "d")]
    assert merged(found) == [(0, 8, "a"), (8, 9, "d")]


def test_looks_that_overlap_are_one_secret() -> None:
    jwt = f"https://me:{JWT}x@h"
    assert [each for _, _, each in found([jwt])] == [f"{JWT}x"]


def test_both_values_of_a_key_that_stands_twice_are_found() -> None:
    text = f'{{"password":"hunter2","password":"{ANTHROPIC}"}}'
    assert [each.value for each in find_secrets(text)] == ["hunter2", ANTHROPIC]


def test_a_long_key_does_not_make_a_long_path() -> None:
    ((path, _, _),) = found({"k" * 1000: {"password": "hunter2"}})
    assert len(path) < 80


def test_what_may_be_shown_of_a_short_secret_is_its_length() -> None:
    assert Secret(path=".", rule="r", value="hunter2").hint == "(7 characters)"
    assert (
        Secret(path=".", rule="r", value=ANTHROPIC).hint == f"sk-a… ({len(ANTHROPIC)} characters)"
    )


def test_what_is_nested_deeper_than_any_stack_is_read_as_a_text() -> None:
    text = f'{"[" * 5000}{{"password": "hunter2"}}{"]" * 5000}'
    assert [each.value for each in find_secrets(text)] == ["hunter2"]


@given(
    st.recursive(
        st.none() | st.text(st.characters(codec="utf-8")),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner)
        ),
    ),
    st.sampled_from(sorted(LOOKS)),
)
def test_a_secret_beside_any_json_is_found(value: Any, secret: str) -> None:
    text = text_of([value, {"note": secret}])
    assert secret in [each.value for each in find_secrets(text)]

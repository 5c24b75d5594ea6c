from typing import Any

import pytest

from pipeline.core.model_errors import asked_wait, foreign, refused, secrets_in


def api(kind: str, message: str = "m") -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}}


@pytest.mark.parametrize(
    ("status", "body", "words", "may_retry"),
    [
        (400, api("invalid_request_error", "bad field"), "invalid (400); it says 'bad field'", 0),
        (422, {"detail": "max_tokens"}, "invalid (422); it says 'max_tokens'", 0),
        (400, api("invalid_request_error", "prompt is too long: 9 > 8"), "no longer fits", 0),
        (400, {"error": {"code": 400, "type": "exceed_context_size_error"}}, "no longer fits", 0),
        (400, {"error": "maximum context length is 8192 tokens"}, "no longer fits", 0),
        (401, api("authentication_error"), "check ANTHROPIC_API_KEY", 0),
        (402, api("billing_error"), "check its billing", 0),
        (403, api("permission_error"), "may not use 'm-1'", 0),
        (404, api("not_found_error"), "no model 'm-1'", 0),
        (404, "<html>nginx</html>", "check --model and ANTHROPIC_BASE_URL", 0),
        (408, None, "an error (408)", 0),
        (413, api("request_too_large"), "start a new one", 0),
        (429, api("rate_limit_error", "context window of requests"), "too many requests", 0),
        (500, api("api_error"), "failed (500)", 1),
        (503, None, "failed (503)", 1),
        (529, api("overloaded_error"), "overloaded (529)", 1),
        (307, None, "redirects (307)", 0),
        # in mid answer the type tells the status
        (200, api("overloaded_error"), "overloaded (529)", 1),
        (200, api("api_error"), "failed (500)", 1),
        (200, api("invalid_request_error"), "invalid (400)", 0),
        (
            200,
            {"code": 500, "message": "x", "type": "server_error"},
            "failed (500); it says 'x'",
            1,
        ),
        (200, {"error": {"code": 503, "message": "x"}}, "failed (503)", 1),
        (200, {"code": 7, "message": "x", "type": "odd"}, "an error ('odd', 200)", 0),
        (200, {"error": [1]}, "it says '{\"error\":[1]}'", 0),
        (200, {"type": "api_error", "error": "text"}, "failed (500); it says 'text'", 1),
        (200, "not json", "it says 'not json'", 0),
        (200, [1], "an error (200)", 0),
    ],
)
def test_a_refusal_says_what_to_do(status: int, body: object, words: str, may_retry: int) -> None:
    failure = refused(status, body, model="m-1")
    assert words in failure.reason
    assert failure.may_retry is bool(may_retry)
    assert failure.status != 200


def test_a_wait_that_is_too_long_is_told_and_nothing_to_retry() -> None:
    failure = refused(529, None, model="m", retry_after=7200.4)
    assert "asks to wait 7200 s" in failure.reason
    assert not failure.may_retry


def test_foreign_text_is_short_harmless_and_keeps_no_secret() -> None:
    text = "key sk-ant-secret1 \x1b[31m\u202e\n" + "x" * 1000
    shown = foreign(text, ["sk-ant-secret1"])
    assert shown.startswith("'key *** \\x1b[31m\\u202e xxx")
    assert len(shown) < 330


def test_a_secret_is_removed_before_the_text_is_cut() -> None:
    text = "x" * 295 + "sk-ant-secret1"
    assert "sk-a" not in foreign(text, ["sk-ant-secret1"])
    assert "sk-a" not in refused(401, text, model="m", secrets=["sk-ant-secret1"]).reason


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "Thu, 01 Jan 1970 00:01:40 GMT"}, 60.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "9" * 400}, None),
    ],
)
def test_a_wait_may_be_seconds_or_a_date(headers: dict[str, str], seconds: float | None) -> None:
    assert asked_wait(headers, 40.0) == seconds


def test_the_secrets_are_the_values_of_headers_that_tell_who_we_are() -> None:
    headers = {
        "Authorization": "Bearer sk-ant-1234",
        "X-Proxy-Token": "hidden-value",
        "X-Api-Key": "ollama",
        "User-Agent": "AsyncAnthropic/Python",
    }
    assert secrets_in(headers) == (
        "Bearer sk-ant-1234",
        "sk-ant-1234",
        "hidden-value",
        "hidden-value",
    )

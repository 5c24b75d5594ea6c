"""What stands between us and an answer: refusals, no connection, no key."""

import asyncio
import sys

import pytest

from pipeline.core.events import ModelFailed, ModelFinished
from pipeline.shell.claude import ClaudeModel
from pipeline.shell.models import ModelEvent
from tests.support.claude import (
    KEY,
    OPTIONS,
    PARTIAL,
    ask,
    command,
    fails,
    no_wait,
    pushed_by,
)
from tests.support.claude_fixtures import deadline, kill_switch  # noqa: F401  autouse
from tests.support.messages_api import (
    RESET,
    MessagesApi,
    Refusal,
    Reply,
    Request,
    Stream,
    refusal,
    say,
    turn,
)


@pytest.mark.parametrize(
    ("reply", "words", "may_retry"),
    [
        (refusal(400, "invalid_request_error", "bad"), "invalid (400); it says 'bad'", False),
        (Refusal(400, {"error": {"type": "exceed_context_size_error"}}), "no longer fits", False),
        (refusal(401, "authentication_error", f"no {KEY}"), "check ANTHROPIC_API_KEY", False),
        (refusal(403, "permission_error", "no"), "may not use 'claude-test'", False),
        (refusal(404, "not_found_error", "model: x"), "no model 'claude-test'", False),
        (Refusal(404, "<html>nginx</html>"), "check --model and ANTHROPIC_BASE_URL", False),
        (refusal(413, "request_too_large", "big"), "too large", False),
        (refusal(429, "rate_limit_error", "slow down"), "too many requests", False),
        (Refusal(500, {"error": "images are not supported"}), "failed (500)", True),
        (refusal(529, "overloaded_error", "Overloaded"), "overloaded (529)", True),
        (Refusal(307, "moved", {"location": "http://192.0.2.1/v1/messages"}), "redirects", False),
    ],
)
async def test_a_refusal_is_told_in_words(reply: Reply, words: str, may_retry: bool) -> None:
    failed = await fails([reply])
    assert words in failed.reason
    assert isinstance(reply, Refusal)
    assert (failed.status, failed.may_retry) == (reply.status, may_retry)


async def test_a_refused_try_is_made_again_before_a_word_was_heard() -> None:
    busy = refusal(529, "overloaded_error", "Overloaded", retry_after_ms="1")
    pushed, api = await ask(
        [busy, busy, turn(say("ok"))], OPTIONS.model_copy(update={"max_retries": 2})
    )
    assert isinstance(pushed[-1], ModelFinished)
    assert len(api.requests) == 3


async def test_a_broken_stream_is_not_asked_for_again_by_the_sdk() -> None:
    options = OPTIONS.model_copy(update={"max_retries": 2})
    pushed, api = await ask([Stream([*PARTIAL, RESET]), turn(say("ok"))], options)
    assert isinstance(pushed[-1], ModelFailed)
    assert len(api.requests) == 1


@pytest.mark.parametrize("status", [429, 529])
async def test_a_server_that_asks_to_wait_for_hours_is_not_waited_for(status: int) -> None:
    options = OPTIONS.model_copy(update={"max_retries": 2})
    busy = refusal(status, "x", "later", retry_after="7200", x_should_retry="true")
    async with asyncio.timeout(20):  # far below `first_token`, which is 120 s
        failed = await fails([busy] * 3, options)
    assert "asks to wait 7200 s" in failed.reason
    assert (failed.status, failed.may_retry) == (status, False)


async def test_waits_between_tries_end_with_first_token() -> None:
    options = OPTIONS.model_copy(update={"max_retries": 1000, "first_token": 1.0})
    busy = refusal(429, "rate_limit_error", "later")  # the SDK then waits 0.4 s by itself
    failed = await fails(lambda _: busy, options)
    assert "did not begin within 1 s (--model-first-token); refused so far: 429" in failed.reason


async def test_no_connection_names_the_place_and_not_the_password() -> None:
    async with MessagesApi([]) as api:
        port = api.url.rsplit(":", 1)[1]
    pushed = await pushed_by(
        ClaudeModel(OPTIONS, api_key=KEY, base_url=f"http://me:pass-word@127.0.0.1:{port}/x?q=1")
    )
    (failed,) = pushed
    assert isinstance(failed, ModelFailed)
    assert f"no connection to the model's server at http://127.0.0.1:{port}: " in failed.reason
    assert "check the network and ANTHROPIC_BASE_URL" in failed.reason
    assert "pass-word" not in failed.reason
    assert failed.may_retry


async def test_no_key_says_what_to_set() -> None:
    async with MessagesApi([turn(say("ok"))]) as api:
        (failed,) = await pushed_by(ClaudeModel(OPTIONS, base_url=api.url))
    assert isinstance(failed, ModelFailed)
    assert "set ANTHROPIC_API_KEY" in failed.reason
    assert "--model direct" in failed.reason
    assert not failed.may_retry
    assert api.requests == []


async def test_a_profile_that_cannot_be_read_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ANTHROPIC_PROFILE", "gone")
    (failed,) = await pushed_by(ClaudeModel(OPTIONS))
    assert isinstance(failed, ModelFailed)
    assert "profile 'gone'" in failed.reason
    assert "set ANTHROPIC_API_KEY" in failed.reason


@pytest.mark.parametrize(
    "settings",
    [
        {"api_key": KEY, "auth_token": "both"},
        {"api_key": KEY, "base_url": "http://[::1"},
        {"api_key": KEY, "base_url": "localhost:11434"},
        {"api_key": f"{KEY}\n", "base_url": "http://127.0.0.1:9"},
        {"api_key": f"{KEY}\u2019", "base_url": "http://127.0.0.1:9"},
    ],
)
async def test_settings_that_cannot_work_are_told_without_the_key(settings: dict[str, str]) -> None:
    model = ClaudeModel(OPTIONS, **settings)
    pushed: list[ModelEvent] = []
    await model.stream_turn(command(), pushed.append, no_wait)
    await model.close()
    (failed,) = pushed
    assert isinstance(failed, ModelFailed)
    assert KEY not in failed.reason


async def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anthropic", None)
    model = ClaudeModel(OPTIONS, api_key=KEY)
    pushed: list[ModelEvent] = []
    await model.stream_turn(command(), pushed.append, no_wait)
    await model.close()
    (failed,) = pushed
    assert isinstance(failed, ModelFailed)
    assert "`anthropic` cannot be imported" in failed.reason


async def test_a_secret_among_the_extra_headers_is_never_told() -> None:
    def echo(request: Request) -> Reply:
        return refusal(403, "permission_error", request.headers["x-proxy-token"])

    pushed, _ = await ask(echo, extra_headers={"X-Proxy-Token": "hidden-value"})
    assert isinstance(pushed[-1], ModelFailed)
    assert "it says '***'" in pushed[-1].reason


async def test_no_request_leaves_loopback(request: pytest.FixtureRequest) -> None:
    model = ClaudeModel(OPTIONS, api_key=KEY, base_url="http://192.0.2.1")
    (failed,) = await pushed_by(model)
    assert isinstance(failed, ModelFailed)
    attempts = request.getfixturevalue("kill_switch")
    assert attempts == ["192.0.2.1"]
    attempts.clear()

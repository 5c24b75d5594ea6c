"""Connections that do not come about: given up in words, after as many attempts as were allowed."""

from collections.abc import Sequence

import pytest

from tests.faults.dialects import (
    BY_ANSWER,
    CALL,
    DIALECTS,
    OF_ONE_STREAM,
    Dialect,
    unknown_method,
)
from tests.faults.exchange import On, Step
from tests.faults.good import as_json, begin, finish, name_endpoint, run, status
from tests.faults.meeting import FIRST, meet
from tests.faults.steps import close, pings, restart, silence

FEW = {"RXMCP_RETRY_FIRST_ATTEMPTS": "2"}
TRIES = 3  # the first one, and two more
NO_CONNECTION, UNAUTHORIZED = 4, 3


@pytest.mark.parametrize("dialect", OF_ONE_STREAM)
async def test_a_stream_without_an_endpoint_is_given_up_after_the_budget(dialect: Dialect) -> None:
    argv = ("--connect-timeout", "0.2")
    met = await meet(dialect, On("GET", begin, pings, n=None), argv=argv, env=FEW)
    assert met.played.ended.code == NO_CONNECTION
    assert "no `endpoint` event came within 0.2 s (--connect-timeout)" in met.told
    assert len(met.server.all("GET")) == TRIES


@pytest.mark.parametrize("dialect", BY_ANSWER)
async def test_a_first_message_that_is_never_answered_is_given_up_after_the_budget(
    dialect: Dialect,
) -> None:
    argv = ("--connect-timeout", "0.2")
    never = On(FIRST[dialect], silence, n=None)
    met = await meet(dialect, never, argv=argv, env=FEW)
    assert met.played.ended.code == NO_CONNECTION
    assert "(--connect-timeout)" in met.told
    assert len(met.server.all(FIRST[dialect])) == TRIES


@pytest.mark.parametrize("dialect", OF_ONE_STREAM)
async def test_a_server_that_accepts_and_closes_does_not_refill_the_budget(
    dialect: Dialect,
) -> None:
    met = await meet(dialect, On("GET", begin, name_endpoint, finish, n=None), env=FEW)
    assert met.played.ended.code == NO_CONNECTION
    assert "ended the stream" in met.told
    assert len(met.server.all("GET")) == TRIES


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_server_that_closes_at_once_is_given_up_after_the_budget(dialect: Dialect) -> None:
    met = await meet(dialect, On(FIRST[dialect], close, n=None), env=FEW)
    assert met.played.ended.code == NO_CONNECTION
    assert "closed the connection without an answer" in met.told
    assert len(met.server.all(FIRST[dialect])) == TRIES


async def test_a_stream_of_its_own_that_is_closed_unanswered_is_not_asked_for_again_at_once() -> (
    None
):
    """It is asked for once more after a pause, which this run does not last."""
    met = await meet("http", On("GET", close))
    assert [each.outcome for each in met.ends] == ["answered", "answered"]
    assert len(met.server.all("GET")) == 1


_NO_METHOD = as_json(lambda x: unknown_method(x.message["id"]).encode())
_REFUSALS = {
    "to the first question": [On("server/discover", _NO_METHOD), On("initialize", silence)],
    "to both": [On("server/discover", _NO_METHOD), On("initialize", _NO_METHOD)],
}


@pytest.mark.parametrize("name", _REFUSALS)
async def test_a_refusal_under_a_200_is_no_sign_that_the_server_is_of_use(name: str) -> None:
    """Whatever finds out what a server speaks shares one budget of attempts."""
    always = [On(each.method, *each.script, n=None) for each in _REFUSALS[name]]
    met = await meet("http", *always, argv=("--connect-timeout", "0.2"), env=FEW)
    assert met.played.ended.code == NO_CONNECTION
    assert len(met.server.all("initialize")) == TRIES


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ([b"HTTP/1.1 204 No Content\r\n\r\n"], "204"),
        ([status("205 Reset Content")], "205"),
        ([status("404 Not Found")], "404"),
        ([status("410 Gone")], "410"),
        ([status("301 Moved")], "without a Location"),
        ([status("200 OK", b"<html>", content_type="text/html")], "text/html"),
        ([status("200 OK", b"{}")], "content type"),
    ],
)
@pytest.mark.parametrize("dialect", OF_ONE_STREAM)
async def test_what_is_no_event_stream_and_will_be_none_is_asked_for_once(
    dialect: Dialect, script: Sequence[Step], words: str
) -> None:
    met = await meet(dialect, On("GET", *script, n=None))
    assert met.played.ended.code == NO_CONNECTION
    assert words in met.told
    assert len(met.server.all("GET")) == 1


@pytest.mark.parametrize("refusal", ["401 Unauthorized", "403 Forbidden"])
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_server_that_refuses_our_credentials_is_not_asked_again_and_again(
    dialect: Dialect, refusal: str
) -> None:
    met = await meet(dialect, On(FIRST[dialect], status(refusal), n=None))
    assert met.played.ended.code == UNAUTHORIZED
    assert refusal[:3] in met.told
    assert len(met.server.all(FIRST[dialect])) == 1


@pytest.mark.parametrize("dialect", ["seed", "sse", "http"])
async def test_credentials_that_expire_in_mid_session_end_it_in_words(dialect: Dialect) -> None:
    """The crash makes the client come back: at its door there is a 401 now."""
    gone = On(CALL, run, restart)
    refused = On(FIRST[dialect], status("401 Unauthorized"), n=2)
    met = await meet(dialect, gone, refused)
    assert met.played.ended.code == UNAUTHORIZED
    assert "401" in met.told
    assert (met.ends[0].outcome, bool(met.ends[0].reason)) == ("unknown", True)
    assert len(met.server.all(FIRST[dialect])) == 2


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ([b"HTTP/1.1 204 No Content\r\n\r\n"], "204"),
        ([status("205 Reset Content")], "205"),
        ([status("202 Accepted")], "202"),
        ([status("301 Moved")], "301"),
        ([status("307 Moved")], "without a Location"),
        ([status("410 Gone")], "410"),
        ([status("200 OK", b"<html>", content_type="text/html")], "gave no answer"),
        ([status("200 OK", b"{}")], "gave no answer"),
        ([status("200 OK", b"[]", content_type="application/json")], "gave no answer"),
    ],
)
async def test_what_is_no_answer_to_initialize_is_given_up_in_words(
    script: Sequence[Step], words: str
) -> None:
    met = await meet("http", On("initialize", *script, n=None), env=FEW)
    assert met.played.ended.code == NO_CONNECTION
    assert words in met.told
    assert 1 <= len(met.server.all("initialize")) <= TRIES

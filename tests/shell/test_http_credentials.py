"""Requests with credentials that are made at the last moment, and made anew when refused."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from multidict import CIMultiDict

from config.options import PostOptions, StreamOptions
from pipeline.core.events import PostAnswered
from pipeline.shell.authorizer import AuthorizationError, Authorizer, NoAuthorizer
from pipeline.shell.http import make_post_session, make_stream_session
from pipeline.shell.http_clock import Watch
from pipeline.shell.http_credentials import MOST_REPEATS, Answer, request_as, request_headers
from pipeline.shell.http_sse import StreamError, StreamMemory, read_stream
from pipeline.shell.targets import make_target
from tests.support.outbox import KEY, Answers, free_post, get, post, running
from tests.support.wire import EVENT_STREAM, Script, Wire, close, hold, reply, serve

ACCEPTED = reply("202 Accepted")
REFUSED = reply("401 No", b'{"error":"no"}', content_type="application/json", www_authenticate="x")
TOKEN = "token-number-%d"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@dataclass
class Tokens:
    """Hands out one token after the other; `asked` is what it was told of each refusal."""

    is_new: bool = True
    name: str = "Authorization"
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    is_waiting: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[tuple[str, str, int, Mapping[str, str], bytes]] = field(default_factory=list)
    wishes: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gate.set()

    async def headers(self, method: str, url: str) -> Mapping[str, str]:
        self.wishes.append((method, url))
        return {self.name: f"Bearer {TOKEN % len(self.asked)}"} if self.asked else {}

    async def refused(
        self, method: str, url: str, status: int, headers: Mapping[str, str], body: bytes
    ) -> bool:
        self.asked.append((method, url, status, headers, body))
        self.is_waiting.set()
        await self.gate.wait()
        return self.is_new


async def one_answer(wire: Wire, authorizer: Authorizer, *, method: str = "POST") -> Answer:
    """The answer to one request; no connection is left, however that ends."""
    target = replace(make_target("fs", wire.url, api_key=KEY), authorizer=authorizer)
    headers = request_headers(target, {"X-Own": "1"}, {})
    async with asyncio.timeout(10), make_post_session() as http:
        try:
            answer = await request_as(
                target,
                http,
                method,  # type: ignore[arg-type]
                wire.url,
                headers=headers,
                data=b"{}" if method == "POST" else None,
                watch=Watch(),
            )
            answer.response.close()
            return answer
        finally:
            assert http.connector is not None
            assert not http.connector._acquired  # type: ignore[attr-defined]


def tokens_sent(wire: Wire) -> list[str]:
    return [request.headers.get("authorization", "") for request in wire.requests]


# --- one request ------------------------------------------------------------------------------


async def test_without_an_authorizer_a_refusal_stands() -> None:
    async with serve([REFUSED]) as wire:
        answer = await one_answer(wire, NoAuthorizer())
    assert (answer.response.status, answer.body, answer.is_whole) == (401, b'{"error":"no"}', True)
    assert tokens_sent(wire) == [f"Bearer {KEY}"]


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
async def test_a_request_is_sent_again_with_new_credentials(method: str) -> None:
    tokens = Tokens()
    async with serve([REFUSED], [ACCEPTED]) as wire:
        answer = await one_answer(wire, tokens, method=method)
    assert answer.response.status == 202
    assert answer.is_success
    assert tokens_sent(wire) == [f"Bearer {KEY}", f"Bearer {TOKEN % 1}"]
    assert [r.headers["x-own"] for r in wire.requests] == ["1", "1"]
    assert len({r.body for r in wire.requests}) == 1
    ((asked_method, url, status, headers, body),) = tokens.asked
    assert (asked_method, url, status) == (method, wire.url, 401)
    assert headers["www-authenticate"] == "x"
    assert body == b'{"error":"no"}'
    assert tokens.wishes == [(method, wire.url)] * 2


async def test_a_403_is_a_matter_for_the_authorizer_too_and_nothing_else_is() -> None:
    for status, times in ((403, 2), (400, 1), (404, 1), (407, 1), (500, 1)):
        async with serve([reply(f"{status} No")], [ACCEPTED]) as wire:
            await one_answer(wire, Tokens())
        assert len(wire.requests) == times


async def test_it_is_sent_again_three_times_at_most() -> None:
    tokens = Tokens()
    async with serve([REFUSED]) as wire:
        answer = await one_answer(wire, tokens)
    assert len(wire.requests) == 1 + MOST_REPEATS == 4
    assert (answer.response.status, answer.body) == (401, None)
    assert len(tokens.asked) == MOST_REPEATS


async def test_it_is_not_sent_again_without_new_credentials() -> None:
    async with serve([REFUSED]) as wire:
        answer = await one_answer(wire, Tokens(is_new=False))
    assert (len(wire.requests), answer.body, answer.note) == (1, b'{"error":"no"}', "")


async def test_the_authorizer_sees_no_more_than_64_kib_of_a_refusal() -> None:
    tokens = Tokens(is_new=False)
    async with serve([reply("401 No", b"x" * 200_000)]) as wire:
        answer = await one_answer(wire, tokens)
    assert len(tokens.asked[0][4]) == 64 * 1024
    assert answer.is_whole is False


async def test_a_refusal_whose_body_hangs_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.shell.http_credentials._PATIENCE", 0.1)
    tokens = Tokens()
    head = b"HTTP/1.1 401 No\r\nContent-Length: 9\r\n\r\nabc"
    async with serve([head, hold], [head, close], [ACCEPTED]) as wire:
        answer = await one_answer(wire, tokens)
        await wire.all_gone()
    assert answer.response.status == 202
    assert [asked[4] for asked in tokens.asked] == [b"abc", b"abc"]


async def test_words_of_the_authorizer_come_with_the_refusal() -> None:
    class Closed(Tokens):
        async def refused(self, *_: object) -> bool:
            raise AuthorizationError("you said no")

    async with serve([REFUSED]) as wire:
        answer = await one_answer(wire, Closed())
    assert (answer.response.status, answer.note) == (401, "you said no")


async def test_what_the_authorizer_is_against_is_not_sent() -> None:
    class Against(Tokens):
        async def headers(self, *_: object) -> Mapping[str, str]:
            raise AuthorizationError("the token is no good", is_final=False)

    class Odd(Tokens):
        async def headers(self, *_: object) -> Mapping[str, str]:
            return {"Authorization": "Bearer a\r\nX-Evil: 1"}

    async with serve([ACCEPTED]) as wire:
        for authorizer, words in (
            (Against(), "the token is no good"),
            (Odd(), "the credentials cannot be sent: the value of the header 'Authorization' has"),
        ):
            with pytest.raises(AuthorizationError, match=words):
                await one_answer(wire, authorizer)
        assert wire.accepted == 0


async def test_a_fault_of_the_authorizer_leaves_no_connection() -> None:
    class Faulty(Tokens):
        async def refused(self, *_: object) -> bool:
            raise ZeroDivisionError

    async with serve([reply("401 No", b"x" * 200_000)]) as wire:
        with pytest.raises(ZeroDivisionError):
            await one_answer(wire, Faulty())


async def test_the_secrets_that_went_along_are_hidden_in_what_the_server_says() -> None:
    tokens = Tokens()
    async with serve([REFUSED], [ACCEPTED]) as wire:
        answer = await one_answer(wire, tokens)
    assert answer.hide(f"bad {TOKEN % 1} and {KEY}") == "bad «secret» and «secret»"


def test_of_two_values_for_a_header_the_servers_own_counts() -> None:
    target = make_target("fs", "http://h/mcp", api_key=KEY, extra_headers={"X-Team": "blue"})
    own = {"authorization": "Bearer not-ours", "x-team": "red", "accept": "x", "Mcp-Method": "ping"}
    assert request_headers(target, own, {"Accept": "text/plain"}) == CIMultiDict(
        {
            "authorization": f"Bearer {KEY}",
            "x-team": "blue",
            "accept": "text/plain",
            "Mcp-Method": "ping",
        }
    )


# --- messages and streams ---------------------------------------------------------------------


async def test_the_time_of_a_message_stands_still_while_a_person_is_at_a_browser() -> None:
    tokens, answers = Tokens(), Answers()
    tokens.gate.clear()
    options, stream = PostOptions(post_timeout=0.3), StreamOptions(connect_timeout=0.2)
    async with (
        serve([REFUSED], [hold], [ACCEPTED]) as wire,
        running(wire.url, answers, options, stream=stream, authorizer=tokens) as (outbox, _),
    ):
        outbox.send(free_post(wire.url, "refused"))
        await tokens.is_waiting.wait()
        outbox.send(free_post(wire.url, "another"))
        await answers.reach(1)  # its time is over, and so would be that of the first
        tokens.gate.set()
        await answers.reach(2)
    assert [(i.id, i.status) for i in answers.items] == [("another", None), ("refused", 202)]


async def test_so_does_the_time_of_those_that_wait_behind_it() -> None:
    tokens, answers, others = Tokens(), Answers(), Answers()
    tokens.gate.clear()
    options = PostOptions(post_timeout=0.3)
    async with (
        serve([REFUSED], [ACCEPTED]) as wire,
        serve([hold]) as silent,
        running(wire.url, answers, options, authorizer=tokens) as (outbox, _),
        running(silent.url, others, options) as (other, _),
    ):
        outbox.send(post(wire.url, "refused"))
        outbox.send(post(wire.url, "behind"))
        await tokens.is_waiting.wait()
        other.send(post(silent.url))
        await others.reach(1)  # its time is over, and so would be that of the two
        tokens.gate.set()
        await answers.reach(2)
    assert [(i.id, i.status) for i in answers.items] == [("refused", 202), ("behind", 202)]


async def test_a_token_that_comes_back_in_a_stream_is_hidden_there() -> None:
    answers = Answers()
    events = [EVENT_STREAM, b"data: your token is " + (TOKEN % 1).encode() + b"\n\n", close]
    async with serve([REFUSED], events) as wire:
        async with running(wire.url, answers, authorizer=Tokens()) as (outbox, _):
            outbox.send(free_post(wire.url))
            await answers.ended()
        assert answers.items[1].data == "your token is «secret»"
        pushed = await pushed_by(wire, Tokens(asked=[("", "", 401, {}, b"")]))
    assert pushed[1].data == "your token is «secret»"


async def test_words_of_the_authorizer_are_told_with_the_answer() -> None:
    class Closed(Tokens):
        async def refused(self, *_: object) -> bool:
            raise AuthorizationError("you said no")

    answers = Answers()
    async with (
        serve([REFUSED]) as wire,
        running(wire.url, answers, authorizer=Closed()) as (outbox, _),
    ):
        outbox.send(free_post(wire.url))
        assert await answers.reach(1) == [
            PostAnswered(
                server="fs", id="1", status=401, body='{"error":"no"}', reason="you said no"
            )
        ]


async def test_a_refusal_that_is_no_json_or_too_long_is_an_excerpt() -> None:
    answers = Answers()
    scripts: list[Script] = [
        [reply("401 No", b"<p>" * 90_000, content_type="text/html")],
        [reply("401 No", b"1" * 90_000, content_type="application/json")],
    ]
    async with serve(*scripts) as wire, running(wire.url, answers) as (outbox, _):
        for number in (1, 2):
            outbox.send(free_post(wire.url, str(number)))
            await answers.reach(number)
    assert [(i.status, len(i.body)) for i in answers.items] == [(401, 2000), (401, 2000)]


async def test_what_the_authorizer_is_against_is_answered_as_not_sent() -> None:
    class Against(Tokens):
        async def headers(self, *_: object) -> Mapping[str, str]:
            raise AuthorizationError("there is no token")

    answers = Answers()
    async with (
        serve([ACCEPTED]) as wire,
        running(wire.url, answers, authorizer=Against()) as (outbox, _),
    ):
        outbox.send(free_post(wire.url, "1"))
        outbox.get(get(wire.url, "2"))
        outbox.send(post(wire.url, "3"))
        await answers.reach(3)
        assert wire.accepted == 0
    assert {(i.status, i.is_sent, i.reason) for i in answers.items} == {
        (None, False, "there is no token")
    }


async def pushed_by(wire: Wire, authorizer: Authorizer) -> list[Any]:
    """What an event stream brought."""
    pushed: list[Any] = []
    await stream_error(wire, authorizer, pushed)
    return pushed


async def stream_error(
    wire: Wire, authorizer: Authorizer, pushed: list[Any] | None = None
) -> StreamError:
    """How an event stream ended."""
    target = replace(make_target("fs", wire.url), authorizer=authorizer)

    async def room() -> None:
        """There is room."""

    async with asyncio.timeout(10), make_stream_session() as http:
        with pytest.raises(StreamError) as caught:
            await read_stream(
                http,
                target,
                options=StreamOptions(connect_timeout=0.3),
                memory=StreamMemory(),
                push=([] if pushed is None else pushed).append,
                room=room,
                now=lambda: 0.0,
            )
    return caught.value


async def test_an_event_stream_is_asked_for_again_with_new_credentials() -> None:
    tokens = Tokens()
    async with serve([REFUSED], [EVENT_STREAM, close]) as wire:
        error = await stream_error(wire, tokens)
    assert str(error).endswith("ended the stream")
    assert tokens_sent(wire) == ["", f"Bearer {TOKEN % 1}"]


async def test_an_event_stream_that_is_refused_says_what_the_authorizer_says() -> None:
    class Closed(Tokens):
        async def refused(self, *_: object) -> bool:
            raise AuthorizationError("you said no")

    async with serve([REFUSED]) as wire:
        error = await stream_error(wire, Closed())
    assert (error.status, error.is_fatal) == (401, True)
    assert str(error).startswith("HTTP 401: ")
    assert str(error).endswith("""; you said no; it says '{"error":"no"}'""")


@pytest.mark.parametrize("is_final", [True, False])
async def test_a_refusal_is_final_if_the_authorizer_says_so(is_final: bool) -> None:
    class Down(Tokens):
        async def refused(self, *_: object) -> bool:
            raise AuthorizationError("the authorization server is down", is_final=is_final)

    answers = Answers()
    async with serve([REFUSED]) as wire:
        async with running(wire.url, answers, authorizer=Down()) as (outbox, _):
            outbox.send(free_post(wire.url))
            (answer,) = await answers.reach(1)
        error = await stream_error(wire, Down())
    assert answer.status == (401 if is_final else None)
    assert answer.reason == "the authorization server is down"
    assert (error.status, error.is_fatal) == ((401, True) if is_final else (None, False))
    assert "the authorization server is down" in str(error)


@pytest.mark.parametrize("is_final", [True, False])
async def test_an_event_stream_without_a_token_is_given_up_if_that_is_final(is_final: bool) -> None:
    class Against(Tokens):
        async def headers(self, *_: object) -> Mapping[str, str]:
            raise AuthorizationError("there is no token", is_final=is_final)

    async with serve([REFUSED]) as wire:
        error = await stream_error(wire, Against())
        assert wire.accepted == 0
    assert (str(error), error.is_fatal) == ("there is no token", is_final)

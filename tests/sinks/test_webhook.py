"""The webhook sink against a real receiver on loopback."""

import asyncio
import base64
import hashlib
import hmac
import shutil
import ssl
import subprocess
from pathlib import Path

import aiohttp
import pytest

from config.options import WebhookOptions
from pipeline.core.commands import Item
from pipeline.core.events import (
    AnswerDelta,
    ModelSpoke,
    Problem,
    PromptSubmitted,
    Route,
    RunEnded,
    SessionClosed,
    SessionReady,
    ToolEnded,
    ToolProgress,
)
from sinks.base import SinkError
from sinks.webhook import WebhookSink, open_http
from sinks.webhook_courier import delay_before
from sinks.webhook_post import Answer as Verdict
from sinks.webhook_post import judge, post, shown
from sinks.webhook_queue import MAX_WAITING
from sinks.webhook_times import Times
from tests.support.receiver import Answer, Receiver
from tests.support.webhooks import AT, QUICK, answer, entries, opened

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


async def test_events_arrive_in_order_in_the_form_of_standard_webhooks() -> None:
    async with Receiver() as receiver:
        async with opened(receiver.url, times=Times(clock=lambda: 1_700_000_000.9)) as (sink, told):
            await sink.emit(entries(answer("one"), Problem(where="x", detail="y")))
            await sink.emit(entries(answer("two"), start=7))
        assert [posted.id for posted in receiver.posted] == ["msg_s1_1", "msg_s1_2", "msg_s1_7"]
        first = receiver.posted[0]
        assert first.headers["webhook-timestamp"] == "1700000000"
        assert first.headers["Content-Type"] == "application/json"
        assert "webhook-signature" not in first.headers
        assert first.json == {
            "type": "answer_completed",
            "timestamp": AT,
            "data": {
                "seq": 1,
                "session": "s1",
                "kind": "answer_completed",
                "text": "one",
                "turns": 1,
            },
        }
        assert told == []


async def test_deliveries_and_failures_share_one_connection() -> None:
    async with Receiver([Answer(200), Answer(500)]) as receiver:
        async with opened(receiver.url) as (sink, _):
            await sink.emit(entries(*[answer("x")] * 3))
            await receiver.received(4)
        assert len({posted.port for posted in receiver.posted}) == 1


async def test_a_signature_covers_id_timestamp_and_the_bytes_sent() -> None:
    async with Receiver() as receiver:
        async with opened(receiver.url, secret=SECRET, times=Times(clock=lambda: 99.0)) as (
            sink,
            _,
        ):
            await sink.emit(entries(answer("grüße")))
        posted = receiver.posted[0]
    signed = b"msg_s1_1.99." + posted.body
    expected = base64.b64encode(hmac.new(bytes(range(32)), signed, hashlib.sha256).digest())
    assert posted.headers["webhook-signature"] == f"v1,{expected.decode()}"


async def test_a_message_is_repeated_under_the_same_id_until_it_is_accepted_once() -> None:
    script = [Answer(503), Answer(drops=True), Answer(200)]
    ticks = iter([10.0, 20.0, 30.0])
    async with Receiver(script) as receiver:
        async with opened(receiver.url, times=Times(clock=lambda: next(ticks))) as (sink, told):
            await sink.emit(entries(answer("once")))
            await receiver.received(3)
        assert [p.id for p in receiver.posted] == ["msg_s1_1"] * 3
        assert [p.headers["webhook-timestamp"] for p in receiver.posted] == ["10", "20", "30"]
        assert len({p.body for p in receiver.posted}) == 1
        assert len(receiver.accepted) == 1
        assert told == []


async def test_a_receiver_that_is_down_stalls_nobody_and_is_told_once() -> None:
    receiver = Receiver()
    async with receiver:
        pass  # Now the port is known, and nobody listens.
    async with opened(receiver.url) as (sink, told):
        for seq in range(1, 4):
            async with asyncio.timeout(1):
                await sink.emit(entries(answer(str(seq)), start=seq))
        await told.first()
    assert told[0] == "could not deliver 1 message: connection refused; others are still tried"
    assert told[1:] == ["2 messages not delivered: connection refused"]


async def test_deliveries_go_on_when_the_receiver_comes_back() -> None:
    receiver = Receiver()
    async with receiver:
        pass
    async with opened(receiver.url) as (sink, told):
        await sink.emit(entries(answer("lost")))
        await told.first()
        async with receiver:
            await sink.emit(entries(answer("after"), start=2))
            await receiver.received(1)
    assert [p.id for p in receiver.accepted] == ["msg_s1_2"]
    assert told[1:] == ["delivers again"]


async def test_how_many_were_lost_in_an_outage_is_told_when_it_is_over() -> None:
    async with Receiver([Answer(500)] * 9) as receiver:
        async with opened(receiver.url) as (sink, told):
            await sink.emit(entries(*[answer("x")] * 3))
            await receiver.received(9)
            await sink.emit(entries(answer("x"), start=4))
            await receiver.received(10)
        assert [p.id for p in receiver.accepted] == ["msg_s1_4"]
    assert told == [
        "could not deliver 1 message: HTTP 500; others are still tried",
        "delivers again; 2 messages more lost in between",
    ]


async def test_trouble_is_over_only_when_nothing_waits() -> None:
    """A receiver that accepts every other message is told once, not once per message."""
    script = [*[Answer(500)] * 3, Answer(200)] * 3
    async with Receiver(script) as receiver:
        async with opened(receiver.url) as (sink, told):
            await sink.emit(entries(*[answer("x")] * 6))
            await receiver.received(12)
        assert len(receiver.accepted) == 3
    assert told == [
        "could not deliver 1 message: HTTP 500; others are still tried",
        "delivers again; 2 messages more lost in between",
    ]


async def test_a_message_that_is_refused_for_good_does_not_hold_up_the_next() -> None:
    async with Receiver([Answer(400)] * 3) as receiver:
        async with opened(receiver.url) as (sink, told):
            await sink.emit(entries(answer("bad"), answer("good")))
            await receiver.received(4)
        assert [p.id for p in receiver.accepted] == ["msg_s1_2"]
        assert told == [
            "could not deliver 1 message: HTTP 400; others are still tried",
            "delivers again",
        ]


async def test_410_ends_it_for_good_and_is_told() -> None:
    async with Receiver([Answer(200), Answer(410)]) as receiver:
        async with opened(receiver.url) as (sink, told):
            await sink.emit(entries(answer("1"), answer("2"), answer("3")))
            await told.first()
            await sink.emit(entries(answer("4"), start=4))
        assert len(receiver.posted) == 2
    assert told == [
        "the receiver wants nothing more (HTTP 410), so nothing more is sent",
        "3 messages not delivered: HTTP 410",
    ]


async def test_a_redirect_is_a_failure_and_nothing_is_sent_where_it_points() -> None:
    async with Receiver() as elsewhere:
        script = [Answer(307, {"Location": elsewhere.url})] * 3
        async with Receiver(script) as receiver, opened(receiver.url) as (sink, told):
            await sink.emit(entries(answer("secret")))
            await told.first()
            assert "HTTP 307 (not followed)" in told[0]
        assert elsewhere.posted == []


@pytest.mark.parametrize("script", [Answer(endless=True), Answer(stalls=True)])
async def test_a_2xx_is_delivered_whatever_becomes_of_its_body(script: Answer) -> None:
    async with Receiver([script]) as receiver:
        async with opened(receiver.url) as (sink, told):
            await sink.emit(entries(answer("1"), answer("2")))
            await receiver.received(2)
        assert [p.id for p in receiver.posted] == ["msg_s1_1", "msg_s1_2"]
        assert told == []


async def test_a_receiver_that_never_answers_times_out_and_is_tried_again() -> None:
    options = QUICK.model_copy(update={"timeout": 0.5})
    async with Receiver([Answer(hangs=True)]) as receiver:
        async with opened(receiver.url, options) as (sink, told):
            await sink.emit(entries(answer("1")))
            await receiver.received(2)
        assert len(receiver.accepted) == 1
        assert told == []


async def test_close_waits_no_longer_than_drain_and_tells_what_was_not_delivered() -> None:
    options = QUICK.model_copy(update={"drain": 0.05, "timeout": 60})
    async with Receiver([Answer(hangs=True)]) as receiver:
        async with asyncio.timeout(5):
            async with opened(receiver.url, options) as (sink, told):
                await sink.emit(entries(answer("1"), answer("2")))
                await receiver.received(1)
        assert told == ["2 messages not delivered: there was no time left"]


@pytest.mark.parametrize("is_pausing", [True, False])
async def test_the_end_of_a_run_cuts_a_long_pause_short(is_pausing: bool) -> None:
    """Whether the pause has begun when the end comes, or begins after it."""
    options = QUICK.model_copy(update={"first_delay": 600, "max_delay": 600, "drain": 3})
    drawn = asyncio.Event()

    def chance() -> float:
        drawn.set()
        return 1.0

    async with Receiver([Answer(500)]) as receiver:
        async with asyncio.timeout(10):
            async with opened(receiver.url, options, times=Times(chance=chance)) as (sink, told):
                await sink.emit(entries(answer("1")))
                if is_pausing:
                    await drawn.wait()
        assert len(receiver.accepted) == 1
        assert told == []


async def test_the_end_of_a_run_does_not_shorten_a_wait_that_the_receiver_asked_for() -> None:
    options = QUICK.model_copy(update={"max_delay": 600, "drain": 0.05})
    async with Receiver([Answer(503, {"Retry-After": "500"})]) as receiver:
        async with opened(receiver.url, options) as (sink, told):
            await sink.emit(entries(answer("1")))
            await receiver.received(1)
        assert len(receiver.posted) == 1
        assert told == ["1 message not delivered: HTTP 503"]


async def test_failures_at_the_end_of_a_run_are_still_tried_again() -> None:
    async with Receiver([Answer(500), Answer(500)]) as receiver:
        async with opened(receiver.url) as (sink, _):
            await sink.emit(entries(answer("1")))
        assert len(receiver.posted) == 3
        assert len(receiver.accepted) == 1


async def test_too_many_waiting_messages_forget_the_oldest_and_say_so() -> None:
    options = QUICK.model_copy(update={"drain": 0, "timeout": 60})
    async with Receiver([Answer(hangs=True)]) as receiver:
        async with opened(receiver.url, options) as (sink, told):
            await sink.emit(entries(answer("0")))
            await receiver.received(1)
            await sink.emit(entries(*[answer("x")] * (MAX_WAITING + 5), start=2))
            await sink.emit(entries(answer("y"), start=9000))
        assert told[0].startswith(f"could not deliver 5 messages: more than {MAX_WAITING} messages")
        assert told[1].startswith(f"{MAX_WAITING + 2} messages not delivered")
        assert len(told) == 2


async def test_user_info_of_the_url_is_sent_as_authorization_and_shown_nowhere() -> None:
    async with Receiver([Answer(500)] * 3) as receiver:
        url = f"http://me:hunter2@127.0.0.1:{receiver.port}/T00/token?key=abc"
        async with opened(url) as (sink, told):
            await sink.emit(entries(answer("1")))
            await told.first()
        expected = base64.b64encode(b"me:hunter2").decode()
        assert receiver.posted[0].headers["Authorization"] == f"Basic {expected}"
        words = " ".join([sink.name, *told])
        assert not [secret for secret in ("hunter2", "me:", "token", "abc") if secret in words]
        assert sink.name.startswith(f"webhook=http://127.0.0.1:{receiver.port}/…#")


@pytest.mark.parametrize(
    ("url", "secret", "session", "words"),
    [
        ("ftp://example.test/x-hidden", None, "s", "found 'ftp' as scheme"),
        ("http://", None, "s", "no host"),
        ("http://[hidden", None, "s", "cannot be read"),
        ("http://a.test:hidden/", None, "s", "cannot be read"),
        ("http://a.test/", "hidden", "s", "does not begin with whsec_"),
        ("http://a.test/", "whsec_hidden!", "s", "is not base64"),
        ("http://a.test/", "whsec_aGlkZGVu", "s", "has 6 bytes"),
        ("http://a.test/", None, "a.b", "found session 'a.b'"),
    ],
)
async def test_a_url_secret_or_session_of_another_form_is_refused_without_showing_it(
    url: str, secret: str | None, session: str, words: str
) -> None:
    sink = WebhookSink(url, QUICK, session=session, secret=secret, on_problem=pytest.fail)
    with pytest.raises(SinkError, match=words.replace("[", "\\[")) as caught:
        await sink.open()
    assert "hidden" not in str(caught.value)
    assert "hidden" not in sink.name
    await sink.close()


async def test_two_urls_on_one_host_have_two_names() -> None:
    names = {
        WebhookSink(url, QUICK, session="s", on_problem=pytest.fail).name
        for url in ("https://hooks.test/a", "https://hooks.test/b")
    }
    assert len(names) == 2


async def test_a_sender_that_broke_down_is_a_failure_of_the_sink() -> None:
    def broken_clock() -> float:
        raise ZeroDivisionError("no time")

    told: list[str] = []
    sink = WebhookSink(
        "http://127.0.0.1:9/",
        QUICK,
        session="s",
        on_problem=told.append,
        times=Times(clock=broken_clock),
    )
    with pytest.raises(RuntimeError, match="before open"):
        await sink.emit(entries(answer("0")))
    await sink.open()
    await sink.emit(entries(answer("1")))
    assert sink._sender is not None
    await asyncio.wait([sink._sender], timeout=10)
    with pytest.raises(ZeroDivisionError):
        await sink.emit(entries(answer("2"), start=2))
    with pytest.raises(ZeroDivisionError):
        await sink.close()
    assert told == ["1 message not delivered: there was no time left"]


async def test_a_cancelled_close_leaves_no_task_and_no_open_session_and_tells() -> None:
    async with Receiver([Answer(hangs=True)]) as receiver:
        sessions: list[aiohttp.ClientSession] = []
        told: list[str] = []

        def http() -> aiohttp.ClientSession:
            sessions.append(aiohttp.ClientSession())
            return sessions[0]

        options = QUICK.model_copy(update={"drain": 600, "timeout": 600})
        sink = WebhookSink(receiver.url, options, session="s", on_problem=told.append, http=http)
        await sink.open()
        await sink.emit(entries(answer("1")))
        await receiver.received(1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await sink.close()
        assert sessions[0].closed
        assert sink._sender is not None
        assert sink._sender.cancelled()
    assert told == ["1 message not delivered: there was no time left"]


def test_outcomes_are_wanted_and_letters_and_inputs_are_not() -> None:
    sink = WebhookSink("http://a.test/", QUICK, session="s", on_problem=pytest.fail)
    route = Route(server="s", url="u", dialect="sse")
    wanted: list[Item] = [
        answer(""),
        ToolEnded(call="c", server="s", tool="t", outcome="answered"),
        SessionReady(server="s", route=route),
        SessionClosed(server="s", reason="r"),
        Problem(where="w", detail="d"),
        RunEnded(code=0),
    ]
    unwanted: list[Item] = [
        AnswerDelta(text="x"),
        ModelSpoke(call="c", text="x"),
        PromptSubmitted(text="x"),
        ToolProgress(call="c", progress=1),
    ]
    assert all(map(sink.wants, wanted))
    assert not any(map(sink.wants, unwanted))


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (204, {}, Verdict("delivered")),
        (410, {}, Verdict("gone", "HTTP 410")),
        (401, {"Retry-After": "9"}, Verdict("refused", "HTTP 401")),
        (302, {}, Verdict("refused", "HTTP 302 (not followed)")),
        (408, {}, Verdict("failed", "HTTP 408")),
        (425, {}, Verdict("failed", "HTTP 425")),
        (500, {}, Verdict("failed", "HTTP 500")),
        (600, {}, Verdict("failed", "HTTP 600")),
        (429, {"Retry-After": "9"}, Verdict("failed", "HTTP 429", 9.0)),
        (503, {"Retry-After": "Thu, 01 Jan 1970 00:01:40 GMT"}, Verdict("failed", "HTTP 503", 90)),
        (503, {"Retry-After": "Thu, 01 Jan 1970 00:00:01 GMT"}, Verdict("failed", "HTTP 503", 0)),
        (502, {"Retry-After": "-1"}, Verdict("failed", "HTTP 502")),
        (504, {"Retry-After": "soon"}, Verdict("failed", "HTTP 504")),
        (503, {"Retry-After": "²"}, Verdict("failed", "HTTP 503")),
    ],
)
def test_an_answer_means_what_standard_webhooks_says(
    status: int, headers: dict[str, str], expected: Verdict
) -> None:
    assert judge(status, headers, now=10.0) == expected


@pytest.mark.parametrize(
    ("attempt", "jitter", "wish", "expected"),
    [
        (2, 1.0, None, 0.5),
        (3, 1.0, None, 1.0),
        (3, 0.5, None, 0.5),
        (99, 1.0, None, 30.0),
        (9999, 0.0, None, 0.0),
        (2, 0.5, 7.0, 7.0),
        (2, 0.5, 1e9, 30.0),
        (9, 1.0, 7.0, 30.0),
    ],
)
def test_a_delay_is_a_share_of_a_doubling_ceiling_or_what_was_asked_for(
    attempt: int, jitter: float, wish: float | None, expected: float
) -> None:
    assert delay_before(WebhookOptions(), attempt, jitter, wish) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://hooks.test", "https://hooks.test"),
        ("https://hooks.test/", "https://hooks.test"),
        ("https://u:p@hooks.test:8443/T0/B0/x", "https://hooks.test:8443/…"),
        ("http://[::1]:80?token=1", "http://[::1]:80/…"),
    ],
)
def test_a_url_is_shown_without_what_may_be_secret(url: str, expected: str) -> None:
    assert shown(url) == expected


async def test_a_big_message_arrives_whole() -> None:
    text = "ü" * 1_500_000
    async with Receiver() as receiver:
        async with opened(receiver.url) as (sink, told):
            await sink.emit(entries(answer(text)))
        assert receiver.posted[0].json["data"]["text"] == text
        assert told == []


@pytest.mark.parametrize(
    ("serve", "words"),
    [
        (b"", "the connection was closed before an answer"),
        (b"not http\r\n\r\n", "the answer is no valid HTTP"),
    ],
)
async def test_what_is_no_http_is_a_failure_in_words(serve: bytes, words: str) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.write(serve)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, aiohttp.ClientSession() as http:
        url = f"http://127.0.0.1:{port}/"
        got = await post(http, url, b"{}", {}, timeout=5, now=0.0)
    assert got == Verdict("failed", words)


async def test_a_host_without_an_address_and_a_plain_port_asked_for_tls_fail_in_words() -> None:
    async with Receiver() as receiver, aiohttp.ClientSession() as http:
        tls = f"https://127.0.0.1:{receiver.port}/"
        got = [
            await post(http, url, b"{}", {}, timeout=5, now=0.0)
            for url in ("http://nowhere.invalid/", tls, "http://a b/")
        ]
    assert [answer.verdict for answer in got] == ["failed"] * 3
    assert got[0].reason == "the host name cannot be resolved"
    assert got[1].reason == "the TLS connection failed"
    assert "a b" not in got[2].reason


@pytest.fixture
def self_signed(tmp_path: Path) -> ssl.SSLContext:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = f"req -x509 -newkey rsa:2048 -nodes -subj /CN=127.0.0.1 -keyout {key} -out {cert}"
    subprocess.run([openssl, *command.split()], check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    return context


async def test_a_certificate_that_nobody_vouches_for_is_not_accepted(
    self_signed: ssl.SSLContext,
) -> None:
    async with Receiver(tls=self_signed) as receiver, aiohttp.ClientSession() as http:
        got = await post(http, receiver.url, b"{}", {}, timeout=5, now=0.0)
    assert got == Verdict("failed", "its TLS certificate is not trusted, or is for another host")
    assert receiver.posted == []


async def test_the_proxy_of_the_environment_is_used_and_its_refusal_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Receiver() as proxy:  # which knows no CONNECT
        monkeypatch.setenv("https_proxy", proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        async with open_http() as http:
            got = await post(http, "https://hooks.test/", b"{}", {}, timeout=5, now=0.0)
    assert got == Verdict("failed", "the proxy answered HTTP 404")

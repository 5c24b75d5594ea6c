import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.options import PostOptions, StreamOptions
from pipeline.core.commands import Get, Post
from pipeline.core.events import AnswerEnded, FrameReceived, PostAnswered
from pipeline.core.sse import SseEvent
from pipeline.shell.http_clock import Clock, Limit, Watch
from pipeline.shell.http_letters import Letter, make_letter, write_request
from pipeline.shell.targets import make_target

URL = "https://h.example/mcp"
POST = Post(server="fs", url=URL, id="1", message={"a": 1}, side_by_side=True)
EVENT = SseEvent(event="message", data="x", id="7")
TARGET = make_target("fs", f"{URL}?key=0123456789", api_key="sk-0123456789abcdef")

# What may happen to a letter, by name; the order is hypothesis's business.
TURNS: dict[str, Callable[[Letter], None]] = {
    "answer": lambda letter: letter.answer(status=200, body="{}"),
    "fail": lambda letter: letter.answer(reason="reset"),
    "open": lambda letter: letter.answer(status=200, is_open=True),
    "frame": lambda letter: letter.frame(EVENT),
    "end": lambda letter: letter.end("", "7", 9),
    "stop": lambda letter: letter.stop("cut off by us"),
}


def letter_in(loop: asyncio.AbstractEventLoop, said: list[Any]) -> Letter:
    async def make() -> Letter:
        return Letter(POST, Clock(Limit(30.0)), Watch(), said.append)

    return loop.run_until_complete(make())


@given(turns=st.lists(st.sampled_from(sorted(TURNS)), max_size=12))
def test_whatever_happens_in_whatever_order_each_thing_is_said_once(turns: list[str]) -> None:
    said: list[Any] = []
    loop = asyncio.new_event_loop()
    try:
        letter = letter_in(loop, said)
        for turn in turns:
            TURNS[turn](letter)
            is_told = bool(said)
            if turn == "stop":
                assert letter.state != "open"
                assert (letter.state == "over") is is_told
        letter.answer(reason=letter.last_word)  # as its owner does in the end
    finally:
        loop.close()
    first, *rest = said
    assert isinstance(first, PostAnswered)
    if not first.is_open:
        assert rest == []
        return
    frames = [item for item in rest if isinstance(item, FrameReceived)]
    ends = [item for item in rest if isinstance(item, AnswerEnded)]
    assert rest == [*frames, *ends]
    assert len(ends) <= 1
    after = turns[turns.index("open") + 1 :]
    last = next((turn for turn in after if turn in ("end", "stop")), None)
    assert len(ends) == (1 if last == "end" else 0)


def test_what_is_said_has_the_name_of_the_message() -> None:
    said: list[Any] = []
    loop = asyncio.new_event_loop()
    try:
        letter = letter_in(loop, said)
    finally:
        loop.close()
    letter.answer(status=200, is_open=True, session_id="s-1")
    letter.frame(EVENT)
    letter.end("broke off", "7", 9)
    assert said == [
        PostAnswered(
            server="fs", id="1", status=200, is_open=True, session_id="s-1", is_sent=False
        ),
        FrameReceived(server="fs", event="message", data="x", id="7", stream="1"),
        AnswerEnded(server="fs", id="1", reason="broke off", last_event_id="7", retry_ms=9),
    ]


@pytest.mark.parametrize(
    ("ask", "limit", "has_sending"),
    [
        (POST, "30 s (--post-timeout)", True),
        (Post(server="fs", url=URL, id="1", message={}), "30 s (--post-timeout)", False),
        (Post(server="fs", url=URL, id="1", message={}, seconds=7), "7 s", False),
        (
            Post(server="fs", url=URL, id="1", message={}, side_by_side=True, seconds=0.5),
            "0.5 s",
            0,
        ),
        (Get(server="fs", url=URL, id="1"), "10 s (--connect-timeout)", False),
    ],
)
async def test_each_kind_of_letter_has_its_time(
    ask: Post | Get, limit: str, has_sending: bool
) -> None:
    letter = make_letter(ask, lambda _: None, PostOptions(), StreamOptions())
    assert str(letter.clock.limit) == limit
    letter.watch.begin(0)
    expected = "10 s (--connect-timeout)" if has_sending else limit
    assert str(letter.clock.limit) == expected
    assert letter.is_ordered is (isinstance(ask, Post) and not ask.side_by_side)


async def test_the_whole_address_is_used_where_the_core_means_the_server_itself() -> None:
    letter = make_letter(POST, lambda _: None, PostOptions(), StreamOptions())
    request = write_request(letter, TARGET)
    assert (request.method, request.url) == ("POST", f"{URL}?key=0123456789")
    assert request.data == b'{"a":1}'
    other = Get(server="fs", url=f"{URL}/x?page=2", id="1")
    letter = make_letter(other, lambda _: None, PostOptions(), StreamOptions())
    request = write_request(letter, TARGET)
    assert (request.method, request.url, request.data) == ("GET", f"{URL}/x?page=2", None)


async def test_an_ordered_message_takes_compressed_answers_as_ever() -> None:
    ordered = Post(server="fs", url=URL, id="1", message={})
    letter = make_letter(ordered, lambda _: None, PostOptions(), StreamOptions())
    assert "Accept-Encoding" not in write_request(letter, TARGET).headers

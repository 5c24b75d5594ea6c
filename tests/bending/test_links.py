"""Which message is answered, and an answer put into the mouth of another."""

import pytest

from pipeline.bending.links import as_answer_to, is_answer, is_request, meaning, named_in
from pipeline.core.commands import Get, Post
from pipeline.core.events import AnswerEnded, FrameReceived, Json, PostAnswered, StreamOpened
from tests.support.play import URL, frame


def post(message: Json) -> Post:
    return Post(server="s", url=URL, id="x", message=message)


CALL: Json = {"name": "add", "arguments": {"a": 1}, "_meta": {"progressToken": "x"}}


@pytest.mark.parametrize(
    ("message", "meant", "wants_answer"),
    [
        (
            {"jsonrpc": "2.0", "id": "x", "method": "tools/call", "params": CALL},
            {"method": "tools/call", "name": "add", "arguments": {"a": 1}},
            True,
        ),
        (
            {"session_id": "s", "tool": "add", "args": {"a": 1}, "id": "x"},
            {"method": "tools/call", "name": "add", "arguments": {"a": 1}},
            True,
        ),
        ({"jsonrpc": "2.0", "method": "notifications/x"}, {"method": "notifications/x"}, False),
        ({"jsonrpc": "2.0", "id": 7, "result": {}}, {"method": "(an answer)", "to": 7}, False),
    ],
)
def test_a_message_means_the_same_in_whatever_run_it_is_sent(
    message: Json, meant: Json, wants_answer: bool
) -> None:
    assert meaning(post(message)) == meant
    assert is_request(post(message)) is wants_answer


@pytest.mark.parametrize(
    ("message", "answers"),
    [
        ({"jsonrpc": "2.0", "id": 7, "result": {"action": "accept"}}, True),
        ({"jsonrpc": "2.0", "id": 7, "error": {"code": -1, "message": "no"}}, True),
        ({"jsonrpc": "2.0", "id": 7, "result": {}}, False),  # to a ping
        ({"jsonrpc": "2.0", "id": "x", "method": "tools/list"}, False),
    ],
)
def test_a_server_waits_for_our_answers_but_for_a_sign_of_life(
    message: Json, answers: bool
) -> None:
    assert is_answer(post(message)) is answers


def test_a_wish_for_a_stream_means_a_stream() -> None:
    get = Get(server="s", url=URL, id="own:s:1", headers={"Last-Event-ID": "3"})
    assert meaning(get) == {"method": "(a stream)"}
    assert not is_request(get)
    assert not is_answer(get)


@pytest.mark.parametrize(
    ("data", "ids"),
    [
        ({"id": "call:c1", "result": {}}, ["call:c1"]),
        ([{"id": "a", "result": 1}, {"id": "b", "error": {}}], ["a", "b"]),
        ({"method": "notifications/progress", "params": {"progressToken": "call:c1"}}, ["call:c1"]),
        ({"id": "call:c1", "method": "ping"}, []),
        ({"id": 5, "result": {}}, []),
        ("[{oops", []),
        ('"text"', []),
    ],
)
def test_a_frame_names_what_it_answers_or_reports_on(data: object, ids: list[str]) -> None:
    assert list(named_in(frame("message", data))) == ids


def test_an_answer_gets_the_id_of_the_new_message_wherever_json_has_the_old_one() -> None:
    text = r'{"id":"call:c1","result":{"text":"say \"call:c1\" to call:c1"}}'
    item = as_answer_to(frame("message", text), "call:c1~2", "call:c1")
    assert isinstance(item, FrameReceived)
    assert item.data == r'{"id":"call:c1~2","result":{"text":"say \"call:c1\" to call:c1"}}'
    posted = PostAnswered(server="s", id="call:c1", body='data: {"id":"call:c1"}')
    assert as_answer_to(posted, "n", "call:c1") == PostAnswered(
        server="s", id="n", body='data: {"id":"n"}'
    )


def test_an_id_is_found_however_the_server_spells_it() -> None:
    item = as_answer_to(frame("message", r'["init:caf\u00e9:1","init:café:1"]'), "n", "init:café:1")
    assert isinstance(item, FrameReceived)
    assert item.data == '["n","n"]'


def test_the_stream_of_an_answer_is_named_after_the_new_message_too() -> None:
    ours = FrameReceived(server="s", event="message", data="{}", stream="call:c1")
    item = as_answer_to(ours, "n", "call:c1")
    assert isinstance(item, FrameReceived)
    assert item.stream == "n"
    ended = as_answer_to(AnswerEnded(server="s", id="call:c1"), "n", "call:c1")
    assert ended == AnswerEnded(server="s", id="n")


def test_what_names_no_message_stays_as_it_is() -> None:
    assert as_answer_to(StreamOpened(server="s"), "n", "call:c1") == StreamOpened(server="s")

"""The conversation stays one that the Messages API takes."""

from typing import Any

import pytest

from pipeline.core.conversation import (
    Conversation,
    spoken,
    text,
    with_prompt,
    without_tools,
)
from tests.support.play import use

THINKING = {"type": "thinking", "thinking": "hm", "signature": "x"}


def test_two_things_said_by_the_user_in_a_row_are_one_message() -> None:
    talk = Conversation().with_user(text("a")).with_user(text("b"))
    assert talk.messages == ({"role": "user", "content": [text("a"), text("b")]},)


def test_two_things_said_by_the_model_in_a_row_are_one_message() -> None:
    talk = Conversation().with_user(text("q")).with_assistant([text("a")])
    talk = talk.with_assistant([text("b")])
    assert [m["role"] for m in talk.messages] == ["user", "assistant"]
    assert talk.messages[1]["content"] == [text("a"), text("b")]


def test_an_empty_answer_is_not_kept() -> None:
    talk = Conversation().with_user(text("q"))
    assert talk.with_assistant([]) == talk


def test_thinking_at_the_end_of_an_answer_is_not_kept_for_the_api_refuses_it() -> None:
    talk = Conversation().with_user(text("q"))
    assert talk.with_assistant([THINKING]) == talk
    kept = talk.with_assistant([THINKING, text("a"), THINKING])
    assert kept.messages[-1]["content"] == [THINKING, text("a")]


def test_thinking_before_a_call_is_kept_as_it_came() -> None:
    blocks = [THINKING, use("t1", "x")]
    talk = Conversation().with_user(text("q")).with_assistant(blocks)
    assert talk.messages[-1]["content"] == blocks


def test_sent_counts_the_messages_of_the_last_request_that_still_stand() -> None:
    talk = Conversation().with_user(text("q"))
    assert talk.sent == 0
    talk = talk.as_sent()
    assert talk.sent == 1
    talk = talk.with_assistant([text("a")])
    assert talk.sent == 1
    assert talk.with_user(text("b")).sent == 1


def test_a_message_that_grew_since_it_was_sent_does_not_count_as_sent() -> None:
    talk = Conversation().with_user(text("q")).as_sent().with_user(text("more"))
    assert talk.sent == 0


def test_a_conversation_is_never_changed_in_place() -> None:
    first = Conversation().with_user(text("q"))
    before = first.messages
    first.with_user(text("more"))
    first.with_assistant([text("a")]).with_assistant([text("b")])
    assert first.messages is before
    assert before == ({"role": "user", "content": [text("q")]},)


def test_spoken_is_the_text_and_nothing_else() -> None:
    assert spoken([THINKING, text("a"), use("t", "x"), text("b"), {"type": "text"}]) == "ab"


def test_without_tools_leaves_out_the_calls() -> None:
    assert without_tools([text("a"), use("t", "x")]) == (text("a"),)


# --- prompts of servers -------------------------------------------------------------------------


def test_a_servers_prompt_goes_on_from_what_was_said() -> None:
    before = Conversation().with_user(text("a")).with_assistant([text("A")])
    said = [{"role": "user", "content": text("b")}, {"role": "user", "content": [text("c")]}]
    talk = with_prompt(before, {"messages": said})
    assert talk is not None
    assert [len(message["content"]) for message in talk.messages] == [1, 1, 2]


def test_what_a_model_cannot_take_is_named_in_words() -> None:
    resource = {"type": "resource", "resource": {"uri": "demo://a", "text": "A"}}
    talk = with_prompt(Conversation(), {"messages": [{"role": "user", "content": resource}]})
    assert talk is not None
    assert talk.messages[0]["content"] == [text("demo://a:\nA")]


@pytest.mark.parametrize(
    "messages",
    [
        None,
        [],
        "hi",
        ["hi"],
        [{"role": "user", "content": "hi"}],
        [{"role": "user", "content": []}],
        [{"role": "tool", "content": text("hi")}],
        [{"role": "user", "content": text("hi")}, {"role": "assistant", "content": text("A")}],
    ],
)
def test_a_prompt_that_asks_nothing_changes_nothing(messages: Any) -> None:
    before = Conversation().with_user(text("a"))
    assert with_prompt(before, {"messages": messages}) is None

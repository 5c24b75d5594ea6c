"""What servers ask of the model, and the model's answer in their words."""

from typing import Any

import mcp_types
import pytest

from pipeline.core.events import Json, ModelFinished
from pipeline.core.sampling import MOST_TOKENS, BadSampleError, read_sample, sampled
from tests.support.play import text_block


def says(role: str, content: Any) -> Json:
    return {"role": role, "content": content}


HELLO = says("user", text_block("Hello"))
PNG: Json = {"type": "image", "data": "aGk=", "mimeType": "image/png"}


def test_a_request_is_put_in_the_words_of_the_messages_api() -> None:
    sample = read_sample(
        {
            "messages": [HELLO, says("assistant", text_block("Hi")), says("user", [PNG])],
            "systemPrompt": "Be kind.",
            "maxTokens": 100,
            "temperature": 0.5,
            "modelPreferences": {"hints": [{"name": "x"}]},
            "includeContext": "none",
        }
    )
    image = {"type": "base64", "media_type": "image/png", "data": "aGk="}
    assert sample.messages == (
        {"role": "user", "content": [text_block("Hello")]},
        {"role": "assistant", "content": [text_block("Hi")]},
        {"role": "user", "content": [{"type": "image", "source": image}]},
    )
    assert (sample.system, sample.max_tokens, sample.summary) == ("Be kind.", 100, "(an image)")


def test_messages_of_one_role_after_each_other_are_one() -> None:
    (message,) = read_sample({"messages": [HELLO, HELLO]}).messages
    assert message["content"] == [text_block("Hello")] * 2


@pytest.mark.parametrize(
    ("asked", "given"),
    [(1, 1), (10**9, MOST_TOKENS), (None, MOST_TOKENS), (0, MOST_TOKENS), (True, MOST_TOKENS)],
)
def test_no_more_tokens_are_asked_for_than_the_server_wants(asked: Any, given: int) -> None:
    assert read_sample({"messages": [HELLO], "maxTokens": asked}).max_tokens == given


def test_the_summary_is_the_beginning_of_what_was_said_last() -> None:
    summary = read_sample({"messages": [HELLO, says("user", text_block("x" * 999))]}).summary
    assert summary == "x" * 200 + "…"


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({}, "no messages"),
        ({"messages": []}, "no messages"),
        ({"messages": "Hello"}, "no messages"),
        ({"messages": [HELLO], "tools": [{"name": "a"}]}, "found tools"),
        ({"messages": ["Hello"]}, "without role"),
        ({"messages": [says("system", text_block("a"))]}, "without role"),
        ({"messages": [{"role": "user"}]}, "or content"),
        ({"messages": [says("user", "Hello")]}, "found content of type 'str'"),
        ({"messages": [says("user", [])]}, "nothing in it"),
        ({"messages": [says("user", {"type": "audio", "data": ""})]}, "type 'audio'"),
        ({"messages": [says("user", {"type": "tool_result"})]}, "type 'tool_result'"),
        ({"messages": [says("user", {"type": ["x"] * 99})]}, "expected text or image"),
    ],
)
def test_what_cannot_be_put_to_the_model_is_refused_in_words(params: Json, words: str) -> None:
    with pytest.raises(BadSampleError) as caught:
        read_sample(params)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("stop", "told"),
    [
        ("end_turn", "endTurn"),
        ("max_tokens", "maxTokens"),
        ("stop_sequence", "stopSequence"),
        ("refusal", "refusal"),
    ],
)
def test_the_answer_is_a_result_that_the_official_models_take(stop: str, told: str) -> None:
    turn = ModelFinished(
        call="sample:q1",
        content=({"type": "thinking", "thinking": "hm"}, text_block("Pa"), text_block("ris")),
        stop_reason=stop,
        model="claude-x",
    )
    result = sampled(turn)
    parsed = mcp_types.CreateMessageResult.model_validate(result, by_name=False)
    assert parsed.stop_reason == told
    assert result["content"] == text_block("Paris")
    assert (result["role"], result["model"]) == ("assistant", "claude-x")

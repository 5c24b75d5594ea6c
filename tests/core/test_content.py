"""Results of tools, as a model takes them and as people read them."""

from typing import Any

import pytest

from pipeline.core.content import read_content, to_block, to_text, tool_result
from pipeline.core.events import CallOutcome, Json, ToolEnded
from tests.support.play import text_block

IMAGE: Json = {"type": "image", "data": "QUJD", "mimeType": "image/png"}


def ended(*content: Json, outcome: CallOutcome = "answered", **changes: Any) -> ToolEnded:
    return ToolEnded(call="c1", server="s", tool="add", outcome=outcome, content=content, **changes)


def texts(block: Json) -> list[str]:
    return [item["text"] for item in block["content"]]


def test_an_answer_is_handed_on_under_the_models_own_id() -> None:
    assert tool_result("t1", ended(text_block("5"))) == {
        "type": "tool_result",
        "tool_use_id": "t1",
        "content": [text_block("5")],
    }


def test_an_error_of_a_tool_is_marked_as_one() -> None:
    block = tool_result("t1", ended(text_block("no"), is_error=True))
    assert block["is_error"] is True
    assert texts(block) == ["no"]


def test_an_image_with_an_error_becomes_words_for_the_api_takes_text_only() -> None:
    block = tool_result("t1", ended(text_block("no"), IMAGE, is_error=True))
    assert texts(block) == ["no", "(image, image/png, 3 bytes)"]


def test_structured_content_stands_in_where_there_is_no_other() -> None:
    assert texts(tool_result("t1", ended(structured={"sum": 5}))) == ['{"sum":5}']
    both = ended(text_block("5"), structured={"sum": 5})
    assert texts(tool_result("t1", both)) == ["5"]


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (ended(), "(the tool returned nothing)"),
        (ended(text_block("")), "(the tool returned nothing)"),
        (ended(text_block(" \n")), "(the tool returned nothing)"),
        (ended(text_block(""), text_block("x")), "x"),
        (ended(reason="malformed result: x", is_error=True), "malformed result: x"),
        (ended(text_block(""), is_error=True), "(the tool returned nothing)"),
    ],
)
def test_no_text_block_is_ever_blank_for_the_api_refuses_it(end: ToolEnded, words: str) -> None:
    assert texts(tool_result("t1", end)) == [words]


def test_a_call_that_was_not_sent_says_that_the_tool_did_not_run() -> None:
    block = tool_result("t1", ended(outcome="not_sent", reason="no server"))
    assert block["is_error"] is True
    assert texts(block) == ["The call was not sent: no server. The tool did not run."]


def test_an_unknown_outcome_is_told_as_unknown() -> None:
    block = tool_result("t1", ended(outcome="unknown", reason="it broke off"))
    assert block["is_error"] is True
    (text,) = texts(block)
    assert text.startswith("The outcome is unknown: it broke off. The tool may or may not have run")


def test_an_image_that_a_model_takes_is_handed_on() -> None:
    source = {"type": "base64", "media_type": "image/png", "data": "QUJD"}
    assert to_block(IMAGE) == {"type": "image", "source": source}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"type": "text", "text": "x", "annotations": {"priority": 1}}, "x"),
        ({**IMAGE, "mimeType": "image/tiff"}, "(image, image/tiff, 3 bytes)"),
        ({**IMAGE, "mimeType": ["x"]}, "(image, ['x'], 3 bytes)"),
        ({"type": "image", "data": "QUJD"}, "(image, of unknown type, 3 bytes)"),
        ({"type": "audio", "data": "QUJD", "mimeType": "audio/wav"}, "(audio, audio/wav, 3 bytes)"),
        ({"type": "resource", "resource": {"uri": "a://b", "text": "x"}}, "a://b:\nx"),
        ({"type": "resource", "resource": {"uri": "a:b", "blob": "QQ"}}, "(a:b, binary, 1 bytes)"),
        ({"type": "resource_link", "uri": "a://b"}, "(link to a://b)"),
        ({"type": "resource_link", "uri": "a://b", "name": "n"}, "(link to a://b, n)"),
        (
            {"type": "resource_link", "uri": "a://b", "name": "n", "title": "T"},
            "(link to a://b, T)",
        ),
        ({"type": "text", "text": 5}, '{"type":"text","text":5}'),
        ({"type": "of tomorrow", "x": 1}, '{"type":"of tomorrow","x":1}'),
        ({}, "{}"),
    ],
)  # fmt: skip
def test_what_a_model_cannot_take_is_named_in_words(content: Json, words: str) -> None:
    assert to_text(content) == words
    assert to_block(content) == text_block(words)


@pytest.mark.parametrize(
    ("result", "content"),
    [
        ({"content": [IMAGE]}, (IMAGE,)),
        ({"content": []}, ()),
        ({}, ()),
        ({"structuredContent": {"a": 1}}, ()),
        ({"content": "text"}, None),
        ({"content": None}, None),
        ({"content": {"type": "text"}}, None),
        ({"content": ["text"]}, None),
        ({"content": [{"type": "text", "text": "x"}, 1]}, None),
    ],
)
def test_content_is_a_list_of_objects_or_malformed(result: Json, content: Any) -> None:
    assert read_content(result) == content

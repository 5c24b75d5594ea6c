"""Resources, prompts and what is in them, as text to read."""

from typing import Any

import pytest

from pipeline.core.events import RequestEnded
from sinks.offers import format_result


def shown(method: str, result: Any) -> str:
    ended = RequestEnded(request="r1", server="s", method=method, outcome="answered", result=result)
    return format_result(ended)


@pytest.mark.parametrize(
    ("method", "result", "text"),
    [
        (
            "resources/list",
            {
                "resources": [
                    {"uri": "demo://a", "name": "a", "mimeType": "text/plain"},
                    {"uri": "demo://b", "title": "B", "description": "The b.\nMore of it."},
                    "odd",
                    {},
                ]
            },
            "demo://a (text/plain)\n    a\ndemo://b\n    The b.\n",
        ),
        ("resources/list", {"resources": []}, "no resources"),
        ("resources/list", {"resources": "odd"}, "no resources"),
        (
            "resources/templates/list",
            {"resourceTemplates": [{"uriTemplate": "demo://{id}", "name": "one"}]},
            "demo://{id}\n    one",
        ),
        ("resources/templates/list", {}, "no resource templates"),
        (
            "prompts/list",
            {
                "prompts": [
                    {
                        "name": "greet",
                        "title": "Greet",
                        "arguments": [{"name": "who", "required": True}, {"name": "mood"}],
                    },
                    {"name": "bare"},
                ]
            },
            "greet who=… [mood=…]\n    Greet\nbare",
        ),
        ("prompts/list", {"prompts": []}, "no prompts"),
        (
            "skills/list",
            {"skills": [{"uri": "skill://a", "frontmatter": {"name": "a", "description": "A."}}]},
            "skill://a\n    A.",
        ),
        (
            "resources/read",
            {
                "contents": [
                    {"uri": "demo://a", "text": "one\n\ttwo\x07"},
                    {"uri": "demo://b", "blob": "AAEC"},
                    {"uri": "demo://c"},
                ]
            },
            'one\n\ttwo\\x07\n(demo://b, binary, 3 bytes)\n{"type":"resource","resource":'
            '{"uri":"demo://c"}}',
        ),
        (
            "prompts/get",
            {
                "messages": [
                    {"role": "user", "content": {"type": "text", "text": "Hi"}},
                    {"role": "assistant", "content": [{"type": "text", "text": "A"}, 5]},
                    {"content": "odd"},
                ]
            },
            "user: Hi\nassistant: A\nuser: ",
        ),
        ("completion/complete", {"completion": {"values": ["a", "b\n"]}}, "a\nb\\n"),
        ("completion/complete", {"completion": "odd"}, ""),
        ("completion/complete", {}, ""),
        ("resources/subscribe", {}, ""),
        ("other", {"x": "\x1b"}, '{"x":"\\u001b"}'),
    ],
)
def test_what_a_server_answers_is_text_to_read(method: str, result: Any, text: str) -> None:
    assert shown(method, result) == text


def test_a_line_of_a_list_is_no_longer_than_one_reads() -> None:
    text = shown("resources/list", {"resources": [{"uri": "x" * 9999, "description": "y" * 9999}]})
    assert all(len(line) < 350 for line in text.splitlines())

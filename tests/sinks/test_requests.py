"""What the commands print that ask servers for something else than tools."""

import io
import json
from typing import Any

import pytest

from pipeline.core.codec import Entry
from pipeline.core.commands import Item
from pipeline.core.events import AnswerDelta, RequestEnded, Route, SessionReady
from sinks.requests import RequestSink

ROUTE = Route(server="s", url="http://x/", dialect="http")
READ, LIST, TEMPLATES = "resources/read", "resources/list", "resources/templates/list"


def ended(method: str, result: Any, server: str = "s", **fields: Any) -> RequestEnded:
    outcome = "unknown" if result is None else "answered"
    return RequestEnded(
        request="r1", server=server, method=method, outcome=outcome, result=result, **fields
    )


def ready(server: str) -> SessionReady:
    return SessionReady(server=server, route=ROUTE)


async def printed(*items: Item, as_json: bool = False, as_it_is: bool = False) -> bytes:
    raw = io.BytesIO()
    sink = RequestSink(io.TextIOWrapper(raw, encoding="utf-8"), as_json=as_json, as_it_is=as_it_is)
    await sink.open()
    for seq, item in enumerate(items, 1):
        if sink.wants(item):
            await sink.emit([Entry(seq, "2026-01-01T00:00:00.000000Z", item)])
    await sink.close()
    return raw.getvalue()


async def test_an_answer_is_text_to_read() -> None:
    text = {"contents": [{"uri": "demo://a", "text": "A\x1b[2J"}]}
    assert await printed(ready("s"), ended(READ, text)) == b"A\\x1b[2J\n"
    assert await printed(AnswerDelta(text="x")) == b""


async def test_the_server_is_named_where_there_are_several() -> None:
    one = ended(LIST, {"resources": [{"uri": "demo://a"}]})
    none = ended(LIST, {"resources": []}, server="t")
    assert await printed(ready("s"), ready("t"), one, none) == b"s:\ndemo://a\nt:\nno resources\n"


async def test_that_there_are_no_templates_goes_without_saying() -> None:
    none = ended(TEMPLATES, {"resourceTemplates": []})
    assert await printed(none) == b""
    assert json.loads(await printed(none, as_json=True))["result"] == {"resourceTemplates": []}


async def test_as_json_it_is_an_object_a_line_with_its_server() -> None:
    lines = await printed(
        ended(LIST, {"resources": []}, reason="why"), ended(READ, {"x": "ü"}), as_json=True
    )
    assert [json.loads(line) for line in lines.splitlines()] == [
        {"server": "s", "method": LIST, "result": {"resources": []}, "reason": "why"},
        {"server": "s", "method": READ, "result": {"x": "ü"}},
    ]


@pytest.mark.parametrize("as_json", [True, False])
async def test_what_did_not_come_is_not_printed(as_json: bool) -> None:
    assert await printed(ended(READ, None), ended(READ, None, error="x"), as_json=as_json) == b""


@pytest.mark.parametrize(
    ("contents", "found"),
    [
        ([{"text": "a\r\n\x1b ü"}], "a\r\n\x1b ü".encode()),
        ([{"blob": "AAEC/w=="}, {"text": "x"}], b"\x00\x01\x02\xffx"),
        ([{"blob": "no base64!"}], b"no base64!"),
        (["odd", {}, {"text": 5}], b""),
        ("odd", b""),
    ],
)
async def test_for_a_file_or_a_program_a_resource_is_as_it_is(contents: Any, found: bytes) -> None:
    assert await printed(ended(READ, {"contents": contents}), as_it_is=True) == found


async def test_only_a_resource_can_be_as_it_is() -> None:
    listed = ended(LIST, {"resources": [{"uri": "demo://a\x1b"}]})
    assert await printed(listed, as_it_is=True) == b"demo://a\\x1b\n"

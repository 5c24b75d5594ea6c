"""Sessions to bend, as inputs with their seconds: a prompt, a call, an answer, another prompt."""

from typing import Any

import msgspec

from pipeline.core.events import InputEnded, Json, ModelSpoke, PostAnswered, PromptSubmitted
from pipeline.core.plan import Plan
from tests.support.bending import Timed, to
from tests.support.play import (
    ADD,
    a_plan,
    answered,
    endpoint,
    finished,
    greeting,
    opened,
    posted,
    text_block,
    use,
)

READ: Json = {**ADD, "annotations": {"readOnlyHint": True}}
FIVE: Json = {"content": [text_block("5")]}
MODEL = "claude-x"


def sse_plan(**changes: Any) -> Plan:
    """One server, HTTP+SSE, and a model that has to be recorded."""
    return a_plan("s", dialect="sse", model=MODEL, **changes)


def sse_start(*tools: Json) -> list[Timed]:
    """The server is ready after 70 ms."""
    return [
        (0.01, opened()),
        (0.02, endpoint()),
        (0.03, to("initialize", posted)),
        (0.04, to("initialize", lambda id_: answered(id_, greeting()))),
        (0.05, to("notifications/initialized", posted)),
        (0.06, to("tools/list", posted)),
        (0.07, to("tools/list", lambda id_: answered(id_, {"tools": list(tools)}))),
    ]


def chat(tool: Json = ADD) -> list[Timed]:
    """A call at 2 s, its answer at 3 s, the model's at 4 s; thanks at 5 s; the end at 7 s."""
    return [
        *sse_start(tool),
        (1.0, PromptSubmitted(text="sum?")),
        (2.0, finished(1, use("u1", "mcp__s__add", a=1))),
        (2.1, posted("call:c1")),
        (3.0, answered("call:c1", FIVE)),
        (3.5, ModelSpoke(call="model:2", text="five")),
        (4.0, finished(2, "five")),
        (5.0, PromptSubmitted(text="thanks")),
        (6.0, finished(3, "welcome")),
        (7.0, InputEnded()),
    ]


def http_plan() -> Plan:
    """One server, Streamable HTTP."""
    return a_plan("s", dialect="http", model=MODEL)


def http_start(*tools: Json) -> list[Timed]:
    """The server is ready after 70 ms, and has no stream of its own."""
    return [
        (0.01, opened()),
        (0.02, to("server/discover", lambda id_: posted(id_, 404))),
        (0.03, to("initialize", lambda id_: with_body(id_, greeting()))),
        (0.04, to("notifications/initialized", posted)),
        (0.06, to("GET", lambda id_: posted(id_, 405))),
        (0.07, to("tools/list", lambda id_: with_body(id_, {"tools": list(tools)}))),
    ]


def with_body(id_: str, result: Json) -> PostAnswered:
    """The answer came with the response."""
    body = msgspec.json.encode({"jsonrpc": "2.0", "id": id_, "result": result}).decode()
    return posted_ok(id_, body=body)


def posted_ok(id_: str, **changes: Any) -> PostAnswered:
    """Status 200."""
    return PostAnswered(server="s", id=id_, status=200, **changes)

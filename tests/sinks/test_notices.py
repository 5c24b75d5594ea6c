"""What a person is told, word by word."""

from typing import Any

import pytest

from pipeline.core.commands import Ask, Item
from pipeline.core.events import (
    AnswerCompleted,
    CallRejected,
    OffersChanged,
    Problem,
    PromptSubmitted,
    QuestionAsked,
    QuestionClosed,
    RequestEnded,
    RequestStarted,
    ResourceUpdated,
    Route,
    RunEnded,
    ServerLogged,
    ServersSettled,
    SessionClosed,
    SessionReady,
    StreamLost,
    StreamOpened,
    Tokens,
    Tool,
    ToolDelayed,
    ToolEnded,
    ToolProgress,
    ToolsChanged,
    ToolStarted,
    Usage,
)
from sinks.notices import Notices

ROUTE = Route(server="local", url="http://x/", dialect="sse")
READY = SessionReady(
    server="local", route=ROUTE, server_name="rxmcp-reference", server_version="0.1.0"
)
OPENED = StreamOpened(server="local")
LOST = StreamLost(server="local", reason="reset by peer", retry_in=1.24, attempt=2)
CLOSED = SessionClosed(server="local", reason="reset by peer", retry_in=1.24)
STARTED = ToolStarted(call="c1", server="local", tool="add", arguments={"a": 2, "b": 3})


def offer(*names: str, **changes: Any) -> ToolsChanged:
    tools = tuple(Tool(server="local", name=name) for name in names)
    return ToolsChanged(server="local", tools=tools, **changes)


def ended(outcome: Any = "answered", **fields: Any) -> ToolEnded:
    return ToolEnded(call="c1", server="local", tool="add", outcome=outcome, **fields)


def stopped(stop: Any) -> AnswerCompleted:
    return AnswerCompleted(text="", turns=16, stop=stop)


def asked(form: Any, message: str, id_: str = "q1", url: str = "") -> QuestionAsked:
    return QuestionAsked(question=id_, server="local", form=form, message=message, url=url)


def closed(action: Any, reason: str = "") -> QuestionClosed:
    return QuestionClosed(question="q1", server="local", action=action, reason=reason)


def request(method: str = "resources/read") -> RequestStarted:
    params = {"uri": "demo://a"}
    return RequestStarted(request="r1", server="local", method=method, params=params)


def request_ended(
    outcome: Any = "answered", *, method: str = "resources/read", **fields: Any
) -> RequestEnded:
    return RequestEnded(request="r1", server="local", method=method, outcome=outcome, **fields)


def told(*items: Item, verbose: bool = False) -> list[str]:
    notices = Notices(verbose=verbose)
    lines: list[str] = []
    for item in items:
        for notice in notices.read(item):
            lines.append(f"{notice.sign} {notice.text}")
            lines += [f"  {notice.hint}"] if notice.hint else []
    return lines


@pytest.mark.parametrize(
    ("items", "lines"),
    [
        pytest.param(
            [READY, offer("add", "echo", added=("add", "echo"))],
            ["= local: rxmcp-reference 0.1.0 ready, 2 tools: add, echo"],
            id="a session is told together with its tools",
        ),
        pytest.param(
            [SessionReady(server="local", route=ROUTE), offer("add")],
            ["= local: ready, 1 tool: add"],
            id="a server may have no name",
        ),
        pytest.param([READY, offer()], ["= local: rxmcp-reference 0.1.0 ready, no tools"], id="0"),
        pytest.param(
            [SessionReady(server="local", route=ROUTE), offer(*"abcdefghij")],
            ["= local: ready, 10 tools: a, b, c, d, e, f, g, h, …"],
            id="many tools are cut short",
        ),
        pytest.param(
            [READY, offer("a"), offer("b", "c", added=("b",), removed=("a",), changed=("c",))],
            [
                "= local: rxmcp-reference 0.1.0 ready, 1 tool: a",
                "= local: tools + b - a ~ c",
            ],
            id="later changes are told by name",
        ),
        pytest.param([offer("a", added=("a",))], ["= local: tools + a"], id="without a session"),
        pytest.param(
            [READY, offer("a"), OPENED, LOST, CLOSED, OPENED, READY, offer("a")],
            [
                "= local: rxmcp-reference 0.1.0 ready, 1 tool: a",
                "! local: connection lost: reset by peer; trying again in 1.2 s (attempt 2)",
                "= local: rxmcp-reference 0.1.0 ready again",
            ],
            id="a loss is told once, and that it is over",
        ),
        pytest.param(
            [ToolDelayed(call="c", server="local", tool="add", reason="HTTP 503", retry_in=2.0)],
            ["! add has to wait: HTTP 503; trying again in 2.0 s"],
            id="a call that a busy server refused",
        ),
        pytest.param(
            [OPENED, READY, CLOSED],
            ["! local: session lost: reset by peer; trying again in 1.2 s"],
            id="a session may be lost alone",
        ),
        pytest.param(
            [StreamLost(server="local", reason="refused", retry_in=0.04, attempt=1)],
            ["! local: no connection: refused; trying again at once (attempt 1)"],
            id="what never was cannot be lost",
        ),
        pytest.param(
            [OPENED, StreamLost(server="local", reason="HTTP 401", status=401, attempt=3)],
            ["! local: connection lost: HTTP 401; not trying again"],
            id="the end of trying",
        ),
        pytest.param(
            [LOST, LOST],
            ["! local: no connection: reset by peer; trying again in 1.2 s (attempt 2)"] * 2,
            id="each attempt is told",
        ),
        pytest.param([ServersSettled(ready=("a",))], [], id="all have settled"),
        pytest.param(
            [ServersSettled(ready=(), starting=("a", "b"))],
            ["= still starting: a, b"],
            id="not all",
        ),
        pytest.param([STARTED], ["> add a=2 b=3"], id="a call"),
        pytest.param(
            [ToolStarted(call="c", server="s", tool="now")],
            ["> now"],
            id="a call without arguments",
        ),
        pytest.param(
            [
                ToolStarted(
                    call="c",
                    server="s",
                    tool="t",
                    arguments={"a": "x y", "b": ["ü", None], "c": "", "d": "plain", "e": True},
                )
            ],
            ['> t a="x y" b=["ü", null] c="" d=plain e=true'],
            id="arguments are shown as they may be typed",
        ),
        pytest.param(
            [
                ToolStarted(
                    call="c", server="s", tool="t", arguments={"a": "\ud800 x", "b": ["\ud800"]}
                )
            ],
            ['> t a="\ud800 x" b=["\ud800"]'],
            id="arguments that are no valid Unicode",
        ),
        pytest.param(
            [STARTED, ToolProgress(call="c1", progress=3, total=10, message="half way")],
            ["> add a=2 b=3", "· add 3/10 half way"],
            id="progress",
        ),
        pytest.param(
            [STARTED, ToolProgress(call="c1", progress=0.25)],
            ["> add a=2 b=3", "· add 0.25"],
            id="progress of unknown length",
        ),
        pytest.param([ToolProgress(call="c9", progress=1)], ["· c9 1"], id="an unknown call"),
        pytest.param([ended(content=({"type": "text", "text": "5"},))], ["< add ok"], id="ok"),
        pytest.param(
            [ended(is_error=True, content=({"type": "text", "text": "no b"},))],
            ["< add failed: no b"],
            id="an error in the content",
        ),
        pytest.param([ended(is_error=True, reason="-32602")], ["< add failed: -32602"], id="error"),
        pytest.param([ended(is_error=True)], ["< add failed: it gave no reason"], id="no reason"),
        pytest.param([ended("unknown", reason="lost")], ["? add outcome unknown: lost"], id="?"),
        pytest.param([ended("not_sent", reason="no route")], ["! add not sent: no route"], id="!"),
        pytest.param(
            [Problem(where="local", detail="odd", hint="try this")],
            ["! local: odd", "  try this"],
            id="a problem and what to do",
        ),
        pytest.param(
            [
                CallRejected(tool="ad", reason="no such tool", hint="add?"),
                RunEnded(code=2, reason="x"),
            ],
            ["! ad: no such tool", "  add?"],
            id="a call that never was",
        ),
        pytest.param([stopped("end_turn")], [], id="an end as it should be"),
        pytest.param(
            [stopped("max_turns")],
            ["! stopped after 16 turns; --max-turns raises that"],
            id="turns",
        ),
        pytest.param(
            [stopped("max_budget"), RunEnded(code=8, reason="the answer ended by max_budget")],
            ["! stopped: the budget is spent; --max-budget-usd raises it"],
            id="what was told is not told again at the end",
        ),
        pytest.param(
            [LOST, RunEnded(code=4, reason="no server could be used; check --server")],
            [
                "! local: no connection: reset by peer; trying again in 1.2 s (attempt 2)",
                "! no server could be used; check --server",
            ],
            id="no connection at the end is always told",
        ),
        pytest.param([RunEnded(code=1, reason="why")], ["! why"], id="a failure nobody told"),
        pytest.param([RunEnded(code=0, reason="why"), RunEnded(code=1)], [], id="nothing to tell"),
        pytest.param(
            [ServerLogged(server="local", level="warning", text="hot")],
            ["! local: warning: hot"],
            id="a warning",
        ),
        pytest.param([ServerLogged(server="local", level="info", text="x")], [], id="chatter"),
        pytest.param([Usage(model="m", tokens=Tokens(input=1))], [], id="usage"),
        pytest.param([PromptSubmitted(text="hi")], [], id="what the person knows already"),
        pytest.param(
            [asked("form", "who?"), Ask(question="q1"), closed("accept")],
            ["= local asks: who?", "= local: question answered"],
            id="a question is told when somebody is asked",
        ),
        pytest.param(
            [asked("form", "1", "q1"), asked("form", "2", "q2"), Ask(question="q2")],
            ["= local asks: 2"],
            id="each question in its turn",
        ),
        pytest.param(
            [asked("sample", "Hello"), closed("refused", "the budget is used up")],
            [
                "= local asks your model: Hello",
                "= local: question refused: the budget is used up",
            ],
            id="a question that nobody is asked is told with its end",
        ),
        pytest.param(
            [asked("url", "log in", url="https://a.example/" + "x" * 900), Ask(question="q1")],
            ["= local wants you to visit https://a.example/" + "x" * 900, "  log in"],
            id="an address is shown in full",
        ),
        pytest.param(
            [request(), request_ended(result={"contents": []})],
            [],
            id="a result speaks for itself",
        ),
        pytest.param(
            [request(), request_ended(error="gone")],
            ["! resources/read at local: gone"],
            id="a server refuses a request",
        ),
        pytest.param(
            [request_ended("unknown", reason="cut"), request_ended("not_sent", reason="no route")],
            [
                "? resources/read at local: unknown: cut",
                "! resources/read at local: not sent: no route",
            ],
            id="a request without an answer",
        ),
        pytest.param(
            [
                request_ended(result={"resources": [{}]}, reason="the list is cut after 1 items"),
                request_ended(result={"resources": []}, reason="the server does not offer any"),
            ],
            ["! resources/read at local: the list is cut after 1 items"],
            id="a list that is not whole is told so",
        ),
        pytest.param(
            [
                request("resources/subscribe"),
                request_ended(method="resources/subscribe", result={}),
                request_ended(method="resources/unsubscribe", result={}),
            ],
            ["= local: subscribed to demo://a", "= local: no longer subscribed to"],
            id="a subscription",
        ),
        pytest.param(
            [ResourceUpdated(server="local", uri="demo://a")],
            ["= local: demo://a has changed"],
            id="a resource has changed",
        ),
        pytest.param(
            [OffersChanged(server="local", what="prompts")], [], id="lists change without a word"
        ),
    ],
)
def test_events_are_told(items: list[Item], lines: list[str]) -> None:
    assert told(*items) == lines


@pytest.mark.parametrize(
    "stop", ["max_tokens", "max_turns", "max_budget", "refusal", "context_full", "cancelled"]
)
def test_each_way_to_stop_has_words_of_its_own(stop: str) -> None:
    (line,) = told(stopped(stop))
    assert line.startswith("! ")
    assert "_" not in line


@pytest.mark.parametrize(
    ("item", "lines"),
    [
        (ended(content=({"type": "text", "text": "5"},)), ["< add ok: 5"]),
        (ended(), ["< add ok"]),
        (
            ServerLogged(server="local", level="info", text="x"),
            ["= local: info: x"],
        ),
        (
            Usage(
                model="m",
                tokens=Tokens(input=1, output=2, cache_read=3, cache_write=4),
                cost_usd=0.01234,
                total_usd=0.5,
            ),
            ["= m: 1 tokens in, 2 out, 3 from cache, 4 to cache, $0.0123, $0.5000 so far"],
        ),
        (Usage(model="m", tokens=Tokens()), ["= m: 0 tokens in, 0 out"]),
    ],
)
def test_verbose_tells_more(item: Item, lines: list[str]) -> None:
    assert told(item, verbose=True) == lines


def test_long_foreign_text_is_cut() -> None:
    long = "x" * 2_500_000
    items: list[Item] = [
        ToolStarted(call="c1", server="s", tool=long, arguments={long: long, "b": [long]}),
        ToolProgress(call="c1", progress=1, message=long),
        ended(is_error=True, content=({"type": "text", "text": long},)),
        Problem(where=long, detail=long, hint=long),
        ServerLogged(server=long, level=long, text=long),
        READY,
        offer(*[long] * 20, added=(long,) * 20),
    ]
    lines = told(*items)
    assert len(lines) == 7
    assert max(map(len, lines)) < 1000
    assert "… 2.5 MB more" in lines[0]


def test_nothing_is_remembered_of_calls_that_ended() -> None:
    notices = Notices()
    for number in range(100):
        notices.read(ToolStarted(call=str(number), server="s", tool="t"))
        notices.read(ToolEnded(call=str(number), server="s", tool="t", outcome="answered"))
    assert notices._calls == {}

"""Two runs mean the same, or part at an event that is named."""

import pytest
from msgspec.structs import replace

from pipeline.core.codec import Entry, Header
from pipeline.core.commands import CallModel, Item, Post, StartTimer
from pipeline.core.divergence import Comparison, Recorded, compare
from pipeline.core.events import (
    AnswerCompleted,
    FrameReceived,
    ModelFinished,
    ModelSpoke,
    PostAnswered,
    Problem,
    PromptSubmitted,
    Route,
    RunResumed,
    SessionReady,
    StreamLost,
    Tokens,
    ToolsChanged,
)
from pipeline.core.plan import Plan, ServerPlan
from pipeline.core.tools import digest
from tests.support.play import (
    a_tool,
    answered,
    endpoint,
    finished,
    frame,
    posted,
    text_block,
    told,
    use,
)
from tests.support.sample_session import HEADER, called, ended, entries

BASE = entries()


def run(items: list[Item] | list[Entry], header: Header = HEADER) -> Recorded:
    placed = [
        each if isinstance(each, Entry) else Entry(seq, f"2026-11-24T06:28:{seq % 60:02d}Z", each)
        for seq, each in enumerate(items, 1)
    ]
    return Recorded(header, lambda: placed)


def compared(one: list[Item], other: list[Item]) -> Comparison:
    return compare(run(one), run(other))


def is_same(one: list[Item], other: list[Item]) -> bool:
    return compared(one, other).divergence is None


def test_a_run_means_the_same_as_itself() -> None:
    found = compare(run(BASE), run(BASE))
    assert found.divergence is None
    assert found.same > 40


def at_port(port: int, session: str) -> Recorded:
    name = f"localhost-{port}"
    url = f"http://127.0.0.1:{port}/sse"
    alias = f"mcp__{name}__add"
    tool = replace(a_tool(server=name, description=f"See {url}"), alias=alias)
    tool = replace(tool, digest=digest(tool))
    route = Route(server=name, url=f"{url}/m?sid={session}", dialect="seed", session_id=session)
    use_id = f"toolu_{port}"
    message = {"session_id": session, "tool": "add", "args": {}, "id": "call:c1"}
    result = {"type": "tool_result", "tool_use_id": use_id, "content": [text_block(session)]}
    items: list[Item] = [
        endpoint(f"/messages?session_id={session}", name),
        SessionReady(server=name, route=route),
        ToolsChanged(server=name, tools=(tool,), added=("add",)),
        PromptSubmitted(text="go"),
        CallModel(call="model:1", messages=(text_block("go"),), tools=(tool,)),
        finished(1, use(use_id, alias)),
        *called("c1", name, "add")[:1],
        Post(server=name, url=route.url, id="call:c1", message=message),
        PostAnswered(server=name, id="call:c1", status=202, body=str(port)),
        frame("result", {"id": "call:c1", "content": [text_block(session)]}, name),
        ended("c1", name, "add", session),
        CallModel(call="model:2", messages=(result,), since=0, tools_changed=False),
        StreamLost(server=name, reason=f"cannot connect to {url}", retry_in=port / 1000),
        Problem(where=name, detail=f"lost {url}"),
    ]
    plan = Plan(servers=(ServerPlan(name=name, url=url),))
    return run(items, Header(plan=plan, session=session))


def test_ports_session_ids_and_the_models_ids_do_not_count() -> None:
    one, other = at_port(4001, "aaaaaaaa-1"), at_port(40222, "bbbbbbbb-2")
    found = compare(one, other)
    assert found.divergence is None, found.divergence
    assert found.same == 13


def test_servers_on_one_machine_are_still_told_apart() -> None:
    def two(first: int, second: int, lost: int) -> Recorded:
        servers = tuple(
            ServerPlan(name=f"localhost-{port}", url=f"http://127.0.0.1:{port}/sse")
            for port in (first, second)
        )
        items: list[Item] = [StreamLost(server=f"localhost-{lost}", reason="x")]
        return run(items, Header(plan=Plan(servers=servers)))

    assert compare(two(4001, 4002, 4001), two(5001, 5002, 5001)).divergence is None
    assert compare(two(4001, 4002, 4001), two(5001, 5002, 5002)).divergence is not None


def test_a_resumed_run_may_have_other_ports() -> None:
    def resumed(port: int) -> Recorded:
        name = f"localhost-{port}"
        server = ServerPlan(name=name, url=f"http://localhost:{port}/")
        odd = ServerPlan(name="odd-1", url="http://[::1")
        lost = StreamLost(server=name, reason="x")
        return run([RunResumed(goal="chat", servers=(server, odd)), lost])

    assert compare(resumed(4001), resumed(4002)).divergence is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([StartTimer(id="a", seconds=1)], []),
        ([ModelSpoke(call="model:1", text="ab")], [ModelSpoke(call="model:1", text="a")]),
        ([frame("ping", "")], []),
        ([told("notifications/progress", progress=1)], []),
        ([Post(server="s", url="u", id="pong", message={"id": 1, "result": {}})], []),
        ([posted("init:s:1")], [posted("init:s:1", 200)]),
        ([frame("message", '{"a":1,"b":2}')], [frame("message", '{"b":2, "a":1}')]),
        (
            [StreamLost(server="s", reason="x", retry_in=1.0)],
            [StreamLost(server="s", reason="x", retry_in=2.5)],
        ),
        (
            [finished(1, {"type": "thinking", "thinking": "x", "signature": "a"})],
            [finished(1, {"type": "thinking", "thinking": "x", "signature": "b"})],
        ),
        (
            [ModelFinished(call="model:1", content=(), stop_reason="x", model="a")],
            [
                ModelFinished(
                    call="model:2", content=(), stop_reason="x", model="b", tokens=Tokens(input=3)
                )
            ],
        ),
        ([Problem(where="sink jsonl=a", detail="full")], []),
    ],
)  # fmt: skip
def test_what_is_chance_does_not_count(one: list[Item], other: list[Item]) -> None:
    assert is_same(one, other)


def test_calls_may_end_in_any_order() -> None:
    start = [*called("c1", "s", "a"), *called("c2", "s", "b")]
    one, two = ended("c1", "s", "a", "1"), ended("c2", "s", "b", "2")
    answers = answered("call:c1", {}), answered("call:c2", {})
    assert is_same(
        [*start, answers[0], one, answers[1], two], [*start, answers[1], two, answers[0], one]
    )


def test_tools_may_come_up_in_any_order() -> None:
    tools = a_tool("a", "one"), a_tool("b", "two")
    one = CallModel(call="model:1", messages=(), tools=tools)
    assert is_same([one], [replace(one, tools=tools[::-1])])


@pytest.mark.parametrize(
    ("one", "other", "lane", "text"),
    [
        (
            PromptSubmitted(text="add a=1"), PromptSubmitted(text="add a=2"), "prompts",
            'text: in A "add a=1", in B "add a=2"',
        ),
        (
            finished(1, use("t1", "add", a=1)), finished(1, use("t2", "add", a=2)), "conversation",
            "content[0].input.a: in A 1, in B 2",
        ),
        (
            answered("call:c1", {"content": [text_block("5")]}),
            answered("call:c1", {"content": [text_block("6")]}), "call c1",
            'data.result.content[0].text: in A "5", in B "6"',
        ),
        (
            called("c1", "s", "add", a=1)[0], called("c1", "s", "add", a=2)[0], "call c1",
            "arguments.a: in A 1, in B 2",
        ),
        (
            Post(server="s", url="u", id="call:c1~2", message={"x": 1}),
            Post(server="s", url="v", id="call:c1~2", message={"x": 2}), "call c1",
            "message.x: in A 1, in B 2",
        ),
        (
            posted("call:c1", 500), posted("call:c1", 404), "call c1",
            "status: in A 500, in B 404",
        ),
        (
            StreamLost(server="s", reason="x", retry_in=1.0), StreamLost(server="s", reason="x"),
            "server s", "retry_in: in A 0.0, in B nothing",
        ),
        (
            FrameReceived(server="s", event="message", data="not json"),
            FrameReceived(server="s", event="message", data="nor this"), "server s",
            'data: in A "not json", in B "nor this"',
        ),
    ],
)  # fmt: skip
def test_what_counts_is_told_with_its_place(one: Item, other: Item, lane: str, text: str) -> None:
    found = compared([one], [other])
    assert found.divergence is not None
    assert (found.divergence.lane, found.divergence.text) == (lane, text)
    assert found.same == 0


def test_the_first_difference_is_the_one_that_is_told() -> None:
    def played(argument: int) -> list[Item]:
        return [
            PromptSubmitted(text="go"),
            CallModel(call="model:1", messages=(text_block("go"),)),
            finished(1, use("t", "add", a=argument)),
            *called("c1", "s", "add", a=argument),
            ended("c1", "s", "add", str(argument)),
            AnswerCompleted(text=str(argument), turns=2),
        ]

    found = compared(played(1), played(2))
    assert found.same == 2
    assert found.divergence is not None
    assert found.divergence.one is not None
    assert found.divergence.one.seq == 3
    assert [each.seq for each in found.divergence.before] == [1, 2]


@pytest.mark.parametrize("is_first", [True, False])
def test_an_event_that_one_run_lacks_is_a_difference(is_first: bool) -> None:
    longer: list[Item] = [PromptSubmitted(text="go"), AnswerCompleted(text="5", turns=1)]
    runs = [longer, longer[:1]] if is_first else [longer[:1], longer]
    found = compared(*runs)
    assert found.divergence is not None
    assert (found.divergence.one is None, found.divergence.other is None) == (
        not is_first,
        is_first,
    )
    assert found.same == 1


def test_a_change_of_any_event_that_counts_is_found() -> None:
    items = [entry.item for entry in BASE]
    whole = compare(run(BASE), run(BASE)).same
    found = 0
    for at in range(len(items)):
        rest = [item for place, item in enumerate(items) if place != at]
        found += compare(run(items), run(rest)).divergence is not None
    assert found == whole


def test_a_short_session_id_does_not_eat_words() -> None:
    def greeting(session: str) -> list[Item]:
        route = Route(server="s", url="u", dialect="sse", session_id=session)
        return [SessionReady(server="s", route=route), Problem(where="s", detail="add is 1")]

    assert is_same(greeting("1"), greeting("add"))

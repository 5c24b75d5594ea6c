"""What is known to be secret does not come in; who needs it in an address gets it there."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.codec import Entry, Header
from pipeline.core.commands import Get, Post, StartTimer
from pipeline.core.events import (
    CallSubmitted,
    FrameReceived,
    Input,
    ModelFailed,
    ModelFinished,
    ModelSpoke,
    ModelThought,
    PostAnswered,
    PromptSubmitted,
    RunResumed,
    RunStarted,
    StreamLost,
    TimerFired,
)
from pipeline.core.guard import MOST_LEARNED, Guard
from pipeline.core.plan import Plan, ServerPlan

KEY, OTHER, SHORT = "known-key-1/x", "other-key-2", "ollama"
IS_KEY, IS_OTHER = "[redacted:known:2]", "[redacted:known:3]"
VALUES = (SHORT, KEY, OTHER)


class Door:
    """A guard, and what it told."""

    def __init__(self, values: Sequence[str] = VALUES) -> None:
        self.hits: list[tuple[str, str]] = []
        self.guard = Guard(
            values,
            own={"s": [KEY]},
            on_hit=lambda source, placeholder: self.hits.append((source, placeholder)),
        )

    def __call__(self, *items: Input) -> list[Input]:
        return [clean for item in items for clean in self.guard.inputs(item)]


def frame(data: str, **fields: Any) -> FrameReceived:
    return FrameReceived(server="s", event="message", data=data, **fields)


def posted(url: str, server: str = "s", **message: Any) -> Entry:
    return Entry(7, "t", Post(server=server, url=url, id="call:c1", message=message))


def test_a_value_in_any_field_that_comes_from_outside_is_replaced() -> None:
    door = Door()
    assert door(
        frame(json.dumps({"a": [KEY, {KEY: OTHER}]}), id=f"id {KEY}"),
        PostAnswered(server="s", id="call:c1", status=500, body=f"no {KEY}", reason=OTHER),
        StreamLost(server="s", reason=f"it says {KEY}"),
        PromptSubmitted(text=f"use {KEY}"),
        CallSubmitted(tool="t", arguments=f"a={KEY}"),
        ModelFailed(call="model:1", reason=f"refused {KEY}"),
    ) == [
        frame(json.dumps({"a": [IS_KEY, {IS_KEY: IS_OTHER}]}), id=f"id {IS_KEY}"),
        PostAnswered(server="s", id="call:c1", status=500, body=f"no {IS_KEY}", reason=IS_OTHER),
        StreamLost(server="s", reason=f"it says {IS_KEY}"),
        PromptSubmitted(text=f"use {IS_KEY}"),
        CallSubmitted(tool="t", arguments=f"a={IS_KEY}"),
        ModelFailed(call="model:1", reason=f"refused {IS_KEY}"),
    ]


@pytest.mark.parametrize(
    "data",
    [
        json.dumps({"a": KEY}).replace("/", r"\/"),
        json.dumps({"a": KEY}).replace("k", r"\u006b"),
        json.dumps({"a": json.dumps({"b": KEY}).replace("k", r"\u006B")}),
        f"data: {json.dumps({'a': KEY}).replace('/', chr(92) + '/')}\n\n",
        "?x=known-key-1%2Fx&y",
    ],
)
def test_a_value_is_replaced_however_it_is_escaped(data: str) -> None:
    (item,) = Door()(frame(data))
    assert isinstance(item, FrameReceived)
    assert IS_KEY in item.data
    assert "nown-key" not in item.data


def test_an_input_without_a_value_comes_in_as_the_same_object() -> None:
    items: list[Input] = [
        frame('{"a":"x"}'),
        frame(f'{{"a":"{SHORT}", "b":"known-key"}}'),
        RunStarted(),
        TimerFired(id=KEY),
        ModelSpoke(call="model:1", text="hm"),
        ModelFinished(call="model:1", content=({"type": "text", "text": "hm"},), stop_reason="x"),
    ]
    assert all(one is other for one, other in zip(Door()(*items), items, strict=True))
    assert Door([])(ModelSpoke(call="model:1", text=KEY)) == [ModelSpoke(call="model:1", text=KEY)]


def test_what_the_core_knows_things_by_is_left_alone() -> None:
    """A run whose key is a word such as `localhost` goes on."""
    item = PostAnswered(server=KEY, id=f"call:{KEY}", status=202, body=KEY)
    assert Door()(item) == [PostAnswered(server=KEY, id=f"call:{KEY}", status=202, body=IS_KEY)]
    plan = ServerPlan(name=KEY, url=f"http://h/{KEY}/sse")
    (resumed,) = Door()(RunResumed(goal="chat", servers=(plan,)))
    assert isinstance(resumed, RunResumed)
    assert resumed.servers == (ServerPlan(name=KEY, url=f"http://h/{IS_KEY}/sse"),)


def test_each_value_is_told_once_and_with_its_source() -> None:
    door = Door()
    door(*[frame(KEY)] * 3, ModelSpoke(call="1", text=f"{OTHER} {KEY}"), PromptSubmitted(text=KEY))
    assert door.hits == [("the server 's'", IS_KEY), ("the model", IS_OTHER)]
    for item, source in (
        (PromptSubmitted(text=KEY), "a prompt"),
        (ModelFailed(call="1", reason=KEY), "the model"),
        (RunResumed(goal="chat", servers=(ServerPlan(name="s", url=KEY),)), "the program itself"),
    ):
        other = Door()
        other(item)
        assert other.hits == [(source, IS_KEY)]


@pytest.mark.parametrize("kind", [ModelSpoke, ModelThought])
def test_a_value_in_pieces_is_replaced_and_only_a_beginning_of_one_waits(
    kind: type[ModelSpoke | ModelThought],
) -> None:
    door = Door()
    texts = ["is ", "know", "n-key-1", "/x, or ", "kn", "own"]
    out = [
        [item.text for item in door(kind(call="1", text=t)) if isinstance(item, kind)]
        for t in texts
    ]
    assert out == [["is "], [], [], [f"{IS_KEY}, or "], [], []]
    end = ModelFinished(call="1", content=(), stop_reason="end_turn")
    assert door(end) == [kind(call="1", text="known"), end]
    assert door(end) == [end]


def test_what_a_failed_call_held_back_comes_and_calls_do_not_mix() -> None:
    door = Door()
    assert door(ModelSpoke(call="1", text="x know"), ModelSpoke(call="2", text="n-key-1/x")) == [
        ModelSpoke(call="1", text="x "),
        ModelSpoke(call="2", text="n-key-1/x"),
    ]
    failed = ModelFailed(call="1", reason="cut")
    assert door(failed) == [ModelSpoke(call="1", text="know"), failed]


def test_what_cancelled_calls_held_back_is_forgotten() -> None:
    door = Door()
    door(*[ModelSpoke(call=str(call), text="know") for call in range(100)])
    end = ModelFinished(call="0", content=(), stop_reason="end_turn")
    assert door(end) == [end]


def test_a_value_that_two_blocks_of_text_cut_makes_one_block_of_them() -> None:
    use = {"type": "tool_use", "id": "t", "name": "n", "input": {"a": KEY}}
    texts = [{"type": "text", "text": text} for text in ("I know", "n-key-1/x.")]
    item = ModelFinished(call="1", content=(use, *texts, use), stop_reason="tool_use")
    (clean,) = Door()(item)
    assert isinstance(clean, ModelFinished)
    use = {"type": "tool_use", "id": "t", "name": "n", "input": {"a": IS_KEY}}
    assert clean.content == (use, {"type": "text", "text": f"I {IS_KEY}."}, use)


def test_the_header_and_its_plan_hold_no_value_and_nothing_is_told_of_it() -> None:
    servers = (ServerPlan(name=KEY, url=f"http://h/{KEY}/sse"),)
    plan = Plan(servers=servers, system_prompt=f"say {OTHER}")
    header = Header(session="s1", at="t", plan=plan, settings={"x": [KEY]})
    door = Door()
    clean = door.guard.header(header)
    assert clean.plan.servers == (ServerPlan(name=KEY, url=f"http://h/{IS_KEY}/sse"),)
    assert (clean.plan.system_prompt, clean.settings) == (f"say {IS_OTHER}", {"x": [IS_KEY]})
    assert door.hits == []
    empty = Header(plan=Plan())
    assert door.guard.header(empty) is empty


def test_a_server_gets_its_own_value_back_in_an_address_as_it_spelled_it() -> None:
    door = Door()
    url = f"http://h/m?x={IS_KEY}&y={IS_OTHER}"
    assert door.guard.revealed(posted(url)) == posted(f"http://h/m?x={KEY}&y={IS_OTHER}")
    door(frame("/m?x=known-key-1%2Fx"))
    found = door.guard.revealed(posted(url))
    assert found == posted(f"http://h/m?x=known-key-1%2Fx&y={IS_OTHER}")
    get = Entry(7, "t", Get(server="s", url=url, id="g"))
    assert isinstance(item := door.guard.revealed(get).item, Get)
    assert item.url == f"http://h/m?x=known-key-1%2Fx&y={IS_OTHER}"


def test_no_other_server_gets_it_and_no_argument_ever() -> None:
    guard = Door().guard
    for entry in (
        posted(f"http://h/m?x={IS_KEY}", server="t"),
        posted("http://h/m?x=[redacted:known:99]"),
        posted("http://h/m", arguments={"a": IS_KEY}),
        Entry(8, "t", StartTimer(id=IS_KEY, seconds=1.0)),
    ):
        assert guard.revealed(entry) == entry


def test_what_is_learned_is_known_from_then_on_under_the_next_numbers() -> None:
    door = Door()
    item = PromptSubmitted(text="token-one token-two")
    assert door(item) == [item]
    door.guard.learn(["token-one", "short", KEY, "token-one"])
    door.guard.learn(["token-one", "token-two"])
    assert door(item) == [PromptSubmitted(text="[redacted:known:4] [redacted:known:5]")]
    assert door(PromptSubmitted(text=KEY)) == [PromptSubmitted(text=IS_KEY)]


def test_a_run_without_secrets_may_learn_some() -> None:
    door = Door([])
    door.guard.learn(["token-one"])
    assert door(frame("a token-one")) == [frame("a [redacted:known:1]")]
    assert door(ModelSpoke(call="1", text="toke")) == []


def test_what_is_learned_is_given_back_to_no_server() -> None:
    """A refresh token belongs to the authorization server, whatever the other one calls it."""
    door = Door()
    door.guard.learn(["token-one"])
    door(frame("/m?x=token-one"))
    entry = posted("http://h/m?x=[redacted:known:4]")
    assert door.guard.revealed(entry) == entry


def test_of_very_many_that_were_learned_the_oldest_are_forgotten_and_no_given_one() -> None:
    door = Door()
    for number in range(MOST_LEARNED + 1):
        door.guard.learn([f"token-number-{number:04}"])
    (first, second, given_one) = door(
        frame("token-number-0000"), frame("token-number-0001"), frame(KEY)
    )
    assert (first, given_one) == (frame("token-number-0000"), frame(IS_KEY))
    assert second == frame("[redacted:known:5]")


def test_a_guard_that_is_off_learns_nothing() -> None:
    guard = Guard(VALUES, own={}, on_hit=lambda _source, _placeholder: None, is_off=True)
    guard.learn(["token-one"])
    item = PromptSubmitted(text=f"{KEY} token-one")
    assert guard.inputs(item) == (item,)


TEXTS = st.lists(
    st.sampled_from([*"know-ey1/x", r"\u006b", r"\/", '"', " ", KEY, OTHER, KEY[:5], KEY[5:]])
).map("".join)


@given(TEXTS)
def test_no_frame_that_comes_in_holds_a_value(text: str) -> None:
    (item,) = Door()(frame(json.dumps([text])))
    assert isinstance(item, FrameReceived)
    (found,) = msgspec.json.decode(item.data)
    assert KEY not in found
    assert OTHER not in found


@given(st.lists(TEXTS))
def test_no_pieces_that_come_in_make_up_a_value_and_nothing_else_is_lost(pieces: list[str]) -> None:
    items: list[Input] = [ModelSpoke(call="1", text=piece) for piece in pieces]
    items.append(ModelFailed(call="1", reason="end"))
    out = Door()(*items)
    said = "".join(item.text for item in out if isinstance(item, ModelSpoke))
    whole = "".join(pieces)
    assert KEY not in said
    assert said == whole.replace(r"known-key-1\/x", KEY).replace(KEY, IS_KEY).replace(
        OTHER, IS_OTHER
    )

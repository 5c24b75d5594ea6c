"""What holds for any sequence of inputs through sessions, tools, agent and end of run.

A journey is a list of actions. Most react to what the core asked for, as a shell, a server and a
model would (post, timer, model call: answered well, badly, late, twice); the rest is noise.
"""

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any, TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st
from mcp_types import jsonrpc as official

from pipeline.core import jsonrpc
from pipeline.core.codec import Entry, decode_entry, encode_entry
from pipeline.core.commands import CallModel, Item, Passing, Post, ReadPrompt, StartTimer
from pipeline.core.events import (
    AnswerCompleted,
    CallSubmitted,
    FrameReceived,
    InputEnded,
    Internal,
    Json,
    ModelFailed,
    ModelFinished,
    ModelSpoke,
    ModelThought,
    Problem,
    PromptCancelled,
    PromptRejected,
    PromptSubmitted,
    RunEnded,
    RunResumed,
    RunStarted,
    SinkFailed,
    StreamLost,
    StreamOpened,
    ToolEnded,
    ToolStarted,
    is_input,
)
from pipeline.core.plan import Price
from tests.support.messages_rules import check_request
from tests.support.play import (
    ADD,
    URL,
    Core,
    a_plan,
    answered,
    asked,
    endpoint,
    finished,
    fired,
    frame,
    greeting,
    lost,
    one,
    only,
    opened,
    posted,
    refused,
    seed_start,
    sse_start,
    text_block,
    told,
    use,
)

SERVERS = ("a", "b")
PLAN = a_plan(
    *SERVERS,
    interactive=True,
    max_turns=3,
    max_queued_prompts=2,
    max_pending_calls=3,
    price=Price(input=1_000, output=0, cache_read=0, cache_write=0),
    max_budget_usd=0.07,
)
OK: Json = {"content": [text_block("5")]}
READER: Json = {"name": "read", "annotations": {"readOnlyHint": True}}


class World:
    """The core, and what is known of it from outside: all that an action may lean on."""

    def __init__(self) -> None:
        self.core = Core(PLAN)
        self.steps: list[tuple[Passing, list[Passing]]] = []
        self.feed(RunStarted())

    @property
    def log(self) -> list[Passing]:
        return self.core.log

    def feed(self, *items: Passing) -> None:
        for item in items:
            self.steps.append((item, self.core.feed(item)))

    def posts(self) -> list[Post]:
        return only(Post, self.log)

    def is_connected(self, server: str) -> bool:
        for item in reversed(self.log):
            match item:
                case StreamOpened(server=name) | StreamLost(server=name) if name == server:
                    return isinstance(item, StreamOpened)
                case RunResumed():
                    return False
                case _:
                    continue
        return False


Action: TypeAlias = Callable[[World, int], list[Passing]]


def pick(choices: Any, number: int) -> Any:
    """One of them, the last ones first: what is new matters most. None where there are none."""
    return choices[-1 - number % len(choices)] if choices else None


# --- what a server does -----------------------------------------------------------------------


def connects(world: World, n: int) -> list[Passing]:
    server = pick(SERVERS, n)
    if server not in world.core.sessions.sessions:  # the resumed run is without it
        return []
    before = [lost(server=server)] if world.is_connected(server) else []
    generation = world.core.sessions.sessions[server].generation + 1
    tools = [ADD, {"name": "a b"}, {"name": ""}, ADD, READER]
    start = (
        seed_start(*tools, server=server)
        if n & 4
        else sse_start(*tools, server=server, generation=generation)
    )
    return [*before, *start]


def is_resumed(world: World, n: int) -> list[Passing]:
    if only(RunEnded, world.log):  # nobody feeds a run that has ended
        return []
    servers = PLAN.servers if n & 3 else PLAN.servers[:1]
    return [RunResumed(goal="chat", servers=servers, interactive=True)]


def is_lost(world: World, n: int) -> list[Passing]:
    return [lost(None if n == 7 else 1.0, server=pick(SERVERS, n))]


def answers_a_post(world: World, n: int) -> list[Passing]:
    post = pick(world.posts(), n // 2)
    if post is None:
        return []
    statuses = (202, 202, 500, 404, None, 401, 302, 200)
    return [posted(post.id, statuses[n], server=post.server, reason="why", is_sent=n != 4)]


def reply_to(post: Post, n: int) -> Passing:
    match post.message:
        case {"method": "initialize"} if n == 7:
            return answered(post.id, greeting(protocolVersion="1"), post.server)
        case {"method": "initialize"}:
            return answered(post.id, greeting(), post.server)
        case {"method": "tools/list"}:
            tools = {"tools": [ADD, READER], **({"nextCursor": "x"} if n & 1 else {})}
            return answered(post.id, tools, post.server)
        case {"tool": _}:
            named: Json = {"id": post.id} if n & 1 else {}
            return frame("error" if n == 6 else "result", {**named, **OK}, post.server)
        case _:
            return answered(post.id, {"content": "?"} if n == 6 else OK, post.server)


def replies(world: World, n: int) -> list[Passing]:
    post = pick(world.posts(), n // 2)
    return [] if post is None else [reply_to(post, n)]


def replies_in_the_body(world: World, n: int) -> list[Passing]:
    post = pick(world.posts(), n // 2)
    if post is None:
        return []
    reply = reply_to(post, n)
    assert hasattr(reply, "data")
    data: str = getattr(reply, "data")  # noqa: B009  a frame, as the match above has it
    event = f"event: {getattr(reply, 'event')}\ndata: {data}\n\n"  # noqa: B009
    return [posted(post.id, 200, server=post.server, body=event if n & 2 else data)]


def reports_progress(world: World, n: int) -> list[Passing]:
    post = pick(world.posts(), n)
    token = "call:c1" if post is None else post.id
    return [told("notifications/progress", pick(SERVERS, n), progressToken=token, progress=n)]


def says_something_else(world: World, n: int) -> list[Passing]:
    server = pick(SERVERS, n)
    choices: list[Passing] = [
        told("notifications/tools/list_changed", server),
        asked(n, "ping", server),
        asked(f"r{n}", "roots/list", server),
        frame("tools", [ADD, {"name": f"t{n}"}], server),
        frame("result", OK, server),
        frame("error", "no", server),
        frame("message", "{oops", server),
        refused(f"call:c{n}", server=server),
    ]
    return [choices[n]]


# --- what a model does ------------------------------------------------------------------------


def model_ends(world: World, n: int) -> list[Passing]:
    call = pick(only(CallModel, world.log), 1 if n == 7 else 0)
    if call is None:
        return []
    number = int(call.call.partition(":")[2])
    aliases = [tool.alias for tool in call.tools] or ["unknown"]
    first, second = use("t1", aliases[0], a=n), use("t2", pick(aliases, n))
    thinking: Json = {"type": "thinking", "thinking": "hm", "signature": "x"}
    choices = [
        finished(number, "A"),
        finished(number, second),
        finished(number, thinking, "let me", first, second, use("t3", "unknown")),
        finished(number, "cut", first, stop="max_tokens"),
        finished(number, "so", first, stop="pause_turn"),
        finished(number, "no", stop="refusal"),
        finished(number, thinking),
        finished(number, first, second),
    ]
    return [choices[n]]


def model_fails(world: World, n: int) -> list[Passing]:
    call = pick(only(CallModel, world.log), n // 4)
    if call is None:
        return []
    return [ModelFailed(call=call.call, reason="HTTP 529", may_retry=bool(n & 1))]


def model_speaks(world: World, n: int) -> list[Passing]:
    call = pick(only(CallModel, world.log), n // 4)
    if call is None:
        return []
    kind = ModelSpoke if n & 1 else ModelThought
    return [kind(call=call.call, text="hm")]


# --- what a person and the clock do -----------------------------------------------------------


def asks(world: World, n: int) -> list[Passing]:
    return [PromptSubmitted(text="" if n == 7 else f"p{n}", repaired=n == 6)]


def calls_a_tool(world: World, n: int) -> list[Passing]:
    tool = ("a__add", "b__add", "mul", "a__read", "b__read")[n % 5]
    return [CallSubmitted(tool=tool, arguments="{}")]


def cancels(world: World, n: int) -> list[Passing]:
    is_busy = world.core.agent.phase in ("thinking", "acting")
    if not is_busy and n < 6:  # it would end the run, and most journeys should go on
        return []
    return [PromptCancelled(signal="SIGTERM" if n == 7 else "SIGINT")]


def has_other_news(world: World, n: int) -> list[Passing]:
    choices: list[Passing] = [
        PromptRejected(reason="too long"),
        SinkFailed(sink="x", reason="full"),
        RunStarted(),
        fired("start"),
    ]
    return [InputEnded()] if n == 7 else [pick(choices, n)]


def time_passes(world: World, n: int) -> list[Passing]:
    timer = pick(only(StartTimer, world.log), n)
    return [] if timer is None else [fired(timer.id)]


# --- noise: what no shell of ours would send ----------------------------------------------------


def noise(world: World, n: int) -> list[Passing]:
    server = pick((*SERVERS, "unknown"), n)
    choices: list[Passing] = [
        opened(server),
        endpoint("//evil.example/m", server),
        endpoint(server=server),
        fired(f"grace:{server}"),
        fired(f"call:c{n}:max"),
        posted(f"call:c{n}", 500, server=server),
        answered(f"init:{server}:{n}", greeting(), server),
        ModelSpoke(call="model:99", text="x"),
    ]
    return [choices[n]]


# Repeated ones come more often.
ACTIONS: list[Action] = [
    connects, connects, is_lost, answers_a_post, replies, replies, replies, replies_in_the_body,
    reports_progress, says_something_else, model_ends, model_ends, model_ends, model_ends,
    model_ends, model_fails, model_speaks, asks, asks, asks, asks, calls_a_tool, cancels,
    has_other_news, time_passes, is_resumed,
]  # fmt: skip


def journey(actions: list[tuple[Action, int]]) -> World:
    world = World()
    world.feed(*connects(world, 0), *connects(world, 5))
    for action, number in actions:
        world.feed(*action(world, number))
    return world


def journeys(*more: Action) -> st.SearchStrategy[World]:
    actions = st.tuples(st.sampled_from([*ACTIONS, *more]), st.integers(0, 7))
    return st.lists(actions, min_size=15, max_size=50).map(journey)


ANY = journeys(noise)
ORDERLY = journeys()
quick = settings(max_examples=150, deadline=None)


# --- what holds -------------------------------------------------------------------------------


@quick
@given(ANY)
def test_each_input_comes_out_exactly_once_and_before_what_it_causes(world: World) -> None:
    for item, out in world.steps:
        assert out[0] is item
        assert sum(is_input(each) for each in out) == 1


@quick
@given(ANY)
def test_nothing_internal_comes_out_and_every_item_can_be_recorded(world: World) -> None:
    for seq, item in enumerate(world.log, start=1):
        assert not isinstance(item, Internal)
        line = encode_entry(Entry(seq, "x", item))
        back: Item = decode_entry(line).item
        assert isinstance(item, CallModel) or back == item


def check_calls(world: World) -> Counter[str]:
    """Each call starts once, ends at most once, and not before it started; those that are open."""
    open_calls: Counter[str] = Counter()
    seen: set[str] = set()
    for item in world.log:
        if isinstance(item, ToolStarted):
            assert item.call not in seen
            seen.add(item.call)
            open_calls[item.call] += 1
        if isinstance(item, ToolEnded):
            assert open_calls[item.call] == 1, f"{item.call} ended without being under way"
            del open_calls[item.call]
    return open_calls


def is_cut_short(world: World) -> bool:
    """A resumed run that reaches no server ends with what was under way: it can be resumed."""
    ends = only(RunEnded, world.log)
    return bool(only(RunResumed, world.log)) and [end.code for end in ends] in ([3], [4])


@quick
@given(ANY)
def test_every_call_has_ended_exactly_once_when_the_servers_are_lost_for_good(
    world: World,
) -> None:
    check_calls(world)
    world.feed(*(lost(None, server=server) for server in SERVERS))
    assert not check_calls(world) or is_cut_short(world)


@quick
@given(ANY)
def test_every_call_has_ended_exactly_once_when_all_time_is_up(world: World) -> None:
    for _ in range(8):  # a result may lead the agent to its next calls
        timers = {timer.id for timer in only(StartTimer, world.log)}
        world.feed(*(fired(id_) for id_ in sorted(timers)))
    assert not check_calls(world) or is_cut_short(world)


def check_conversation(command: CallModel) -> None:
    roles = [message["role"] for message in command.messages]
    assert roles[::2] == ["user"] * len(roles[::2])
    assert roles[1::2] == ["assistant"] * len(roles[1::2])
    nothing: Json = {"role": "assistant", "content": []}
    for before, message in pairwise([nothing, *command.messages]):
        asked_for = [b["id"] for b in before["content"] if b["type"] == "tool_use"]
        answers = [b["tool_use_id"] for b in message["content"] if b["type"] == "tool_result"]
        if message["role"] == "user":
            assert answers == asked_for
            kinds = [block["type"] for block in message["content"]]
            assert kinds[: len(answers)] == ["tool_result"] * len(answers)
        else:
            assert not answers
    assert not [b for b in command.messages[-1]["content"] if b["type"] == "tool_use"]
    tools = [{"name": tool.alias, "input_schema": tool.input_schema} for tool in command.tools]
    body: Json = {"model": "m", "max_tokens": 1, "messages": list(command.messages)}
    assert check_request({**body, "tools": tools} if tools else body) is None


@quick
@given(ANY)
def test_every_conversation_is_one_that_the_messages_api_takes(world: World) -> None:
    for command in only(CallModel, world.log):
        check_conversation(command)


def blocks(command: CallModel) -> list[tuple[str, Json]]:
    return [(m["role"], block) for m in command.messages for block in m["content"]]


@quick
@given(ANY)
def test_a_conversation_is_only_ever_added_to_but_for_what_was_refused(world: World) -> None:
    calls = [i for i in world.log if isinstance(i, CallModel) or is_refusal(i)]
    for before, now in pairwise(calls):
        if isinstance(before, CallModel) and isinstance(now, CallModel):
            assert blocks(now)[: len(blocks(before))] == blocks(before)


def is_refusal(item: Passing) -> bool:
    return isinstance(item, AnswerCompleted) and item.stop == "refusal"


@quick
@given(ANY)
def test_what_a_recording_leaves_out_of_a_model_call_stands_in_the_one_before(
    world: World,
) -> None:
    calls_and_cuts = [i for i in world.log if isinstance(i, CallModel | RunResumed)]
    for before, now in pairwise(calls_and_cuts):
        if isinstance(before, CallModel) and isinstance(now, CallModel):
            assert now.tools_changed is (now.tools != before.tools)
    for before, now in pairwise(only(CallModel, world.log)):
        assert before.messages[: now.since] == now.messages[: now.since]
        assert len(now.messages[: now.since]) == now.since


@quick
@given(ANY)
def test_nothing_but_inputs_follows_the_end(world: World) -> None:
    ends = [at for at, item in enumerate(world.log) if isinstance(item, RunEnded)]
    assert len(ends) <= 1
    assert all(is_input(item) for at in ends for item in world.log[at + 1 :])


@quick
@given(ANY)
def test_a_model_is_asked_only_when_nothing_else_is_under_way(world: World) -> None:
    names = [command.call for command in only(CallModel, world.log)]
    assert len(set(names)) == len(names)
    for _, out in world.steps:
        assert len(only(CallModel, out)) <= 1
        assert not (only(CallModel, out) and only(ReadPrompt, out))


@quick
@given(ANY)
def test_no_prompt_is_asked_for_twice(world: World) -> None:
    wishes = 1
    for item in world.log:
        if isinstance(item, PromptSubmitted | CallSubmitted | PromptRejected):
            wishes += 1
        if isinstance(item, RunResumed):
            wishes = 1  # whoever was asked is gone
        if isinstance(item, ReadPrompt):
            wishes -= 1
            assert wishes >= 0


@quick
@given(ANY)
def test_every_message_is_valid_goes_to_its_origin_and_no_call_is_sent_twice(
    world: World,
) -> None:
    origin = URL.removesuffix("/sse")
    for post in world.posts():
        assert post.url.startswith(f"{origin}/")
        if "jsonrpc" in post.message:
            official.jsonrpc_message_adapter.validate_python(post.message)
    sent = Counter(post.id for post in world.posts() if post.id.startswith("call:"))
    assert all(count == 1 for count in sent.values())


@quick
@given(ORDERLY)
def test_a_seed_server_that_echoes_no_ids_has_one_call_at_a_time(world: World) -> None:
    replayed = World()
    for item, _ in world.steps[1:]:
        replayed.feed(item)
        calls = replayed.core.agent.calls
        for route in calls.routes.values():
            if route.dialect == "seed" and route.server not in calls.side_by_side:
                sent = [
                    call
                    for call in calls.open.values()
                    if call.is_posted and call.tool.server == route.server
                ]
                assert len(sent) <= 1


def is_answer(item: Passing) -> bool:
    """A frame that answers one request of ours, by its id."""
    if not isinstance(item, FrameReceived) or item.event != "message":
        return False
    try:
        messages = jsonrpc.decode(item.data)
    except jsonrpc.NotJsonRpcError:
        return False
    return all(isinstance(each, jsonrpc.Reply) and isinstance(each.id, str) for each in messages)


def but_problems(items: list[Passing]) -> list[Passing]:
    return [item for item in items if not isinstance(item, Problem)]


@quick
@given(ANY)
def test_an_answer_that_comes_twice_makes_nothing_the_second_time_and_changes_nothing_after(
    world: World,
) -> None:
    again = Core(PLAN)
    for item, out in world.steps:
        assert but_problems(again.feed(item)) == but_problems(out)
        if is_answer(item):
            assert but_problems(again.feed(item)) == [item]


@quick
@given(ANY)
def test_a_turn_of_the_model_that_ends_twice_ends_once_and_costs_once(world: World) -> None:
    again = Core(PLAN)
    for item, out in world.steps:
        assert again.feed(item) == out
        if isinstance(item, ModelFinished | ModelFailed):
            assert again.feed(item) == [item]


@quick
@given(st.permutations(range(PLAN.max_pending_calls)), st.sampled_from([0, 4]))
def test_answers_in_any_order_reach_the_calls_that_they_are_for(
    order: list[int], kind: int
) -> None:
    """`kind` 0 is MCP 2024-11-05; 4 is the seed dialect, once the server has echoed an id."""
    world = World()
    world.feed(*connects(world, kind), *connects(world, kind + 1), *asks(world, 0))
    if kind:
        world.feed(finished(1, use("t0", "mcp__a__add", a=0)))
        world.feed(frame("result", {"id": world.posts()[-1].id, **OK}, "a"))
    turn = len(only(CallModel, world.log))
    world.feed(finished(turn, *(use(f"u{n}", "mcp__a__add", a=n) for n in order)))
    posts = [post for post in world.posts() if post.id.startswith("call:")][-len(order) :]
    for n in order:
        result: Json = {"content": [text_block(posts[n].id)]}
        by_name = frame("result", {"id": posts[n].id, **result}, "a")
        world.feed(by_name if kind else answered(posts[n].id, result, "a"))
    ends = only(ToolEnded, world.log)[-len(order) :]
    assert [end.content[0]["text"] for end in ends] == [posts[n].id for n in order]
    assert [f"call:{end.call}" for end in ends] == [posts[n].id for n in order]


@quick
@given(ANY)
def test_the_same_inputs_give_the_same_items(world: World) -> None:
    again = Core(PLAN)
    assert again.feed(*(item for item, _ in world.steps)) == world.log


def test_a_journey_gets_somewhere() -> None:
    actions: list[tuple[Action, int]] = [
        (asks, 0), (model_ends, 2), (replies, 0), (replies, 2), (model_ends, 0), (asks, 1),
        (cancels, 7),
    ]  # fmt: skip
    world = journey(actions)
    assert len(only(ToolStarted, world.log)) == 2
    assert one(RunEnded, world.log).code == 143

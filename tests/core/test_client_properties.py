"""What holds for any order of answers, losses, questions, timers and cancels: nothing hangs.

A journey is a list of actions at the agent's door. Most react to what it asked for, as servers, a
person, a model and a clock would; `s` speaks 2026-07-28 (rounds, tasks), `t` the revision before
(its own requests, tasks that are asked for).
"""

from collections import Counter
from collections.abc import Callable
from typing import Any, TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pipeline.core.agent.machine import step
from pipeline.core.agent.state import initial
from pipeline.core.codec import Entry, decode_entry, encode_entry
from pipeline.core.commands import (
    Ask,
    CallModel,
    CancelModel,
    Passing,
    Post,
    StartTimer,
    StopAsking,
    StopTimer,
)
from pipeline.core.events import (
    CallSubmitted,
    Internal,
    Json,
    ModelFailed,
    ModelFinished,
    ProgressReported,
    PromptCancelled,
    PromptSubmitted,
    QuestionAnswered,
    QuestionAsked,
    QuestionClosed,
    ReplyReceived,
    RequestEnded,
    RequestLost,
    RequestStarted,
    RequestSubmitted,
    ResourceUpdated,
    Route,
    RunResumed,
    ServerAsked,
    ServerCancelled,
    ServersSettled,
    SessionOffers,
    SessionReady,
    StreamLost,
    TimerFired,
    ToolEnded,
    ToolsChanged,
    ToolStarted,
)
from pipeline.core.plan import Plan, Price, ServerPlan
from tests.support.play import MESSAGES, URL, a_tool, fired, lost, only, text_block, use

SERVERS = {"s": "2026-07-28", "t": "2025-11-25"}
OFFERS: Json = {
    "resources": {"subscribe": True},
    "prompts": {},
    "completions": {},
    "tasks": {"requests": {"tools": {"call": {}}}},
}
PLAN = Plan(
    servers=tuple(ServerPlan(name=name, url=URL) for name in SERVERS),
    model="claude-x",
    sampling="ask",
    elicitation="ask",
    roots=("file:///a",),
    tasks=True,
    max_turns=3,
    max_samples=4,
    max_questions=5,
    max_rounds=3,
    price=Price(input=1000, output=0, cache_read=0, cache_write=0),
)
OK: Json = {"content": [text_block("5")]}
FORM: Json = {"requestedSchema": {"properties": {"name": {"type": "string", "minLength": 2}}}}
SAMPLE: Json = {"messages": [{"role": "user", "content": text_block("Hello")}]}
LOGIN: Json = {"mode": "url", "url": "https://a.example"}
WISHES: list[tuple[str, Json]] = [
    ("elicitation/create", FORM),
    ("sampling/createMessage", SAMPLE),
    ("roots/list", {}),
    ("elicitation/create", LOGIN),
    ("elicitation/create", {"mode": "?"}),
    ("sampling/createMessage", {}),
    ("unheard/of", {}),
    ("elicitation/create", FORM),
]


class World:
    """The agent, and what is known of it from outside."""

    def __init__(self, plan: Plan = PLAN) -> None:
        self.agent = initial(plan)
        self.log: list[Passing] = []
        self.inputs: list[Passing] = []
        self.names = 0
        for server in SERVERS:
            self.feed(*ready(server))
        self.feed(ServersSettled(ready=tuple(SERVERS)))

    def feed(self, *items: Passing) -> None:
        for item in items:
            self.inputs.append(item)
            self.agent, out = step(self.agent, item)
            self.log.append(item)
            self.log.extend(each for each in out if each is not item)
            check_waits(self)

    def new(self) -> int:
        """A number that was never given."""
        self.names += 1
        return self.names


def ready(server: str) -> list[Passing]:
    protocol = SERVERS[server]
    route = Route(server=server, url=MESSAGES, dialect="http", protocol=protocol)
    tools = (
        a_tool("add", server, annotations={"readOnlyHint": True}),
        a_tool("slow", server, task_support="required"),
    )
    return [
        SessionOffers(server=server, capabilities=OFFERS),
        SessionReady(server=server, route=route, protocol=protocol),
        ToolsChanged(server=server, tools=tools),
    ]


Action: TypeAlias = Callable[[World, int], list[Passing]]


def pick(choices: Any, number: int) -> Any:
    """One of them, the last ones first: what is new matters most."""
    return choices[-1 - number % len(choices)] if choices else None


# --- what a person does -------------------------------------------------------------------------


def asks_for(world: World, n: int) -> list[Passing]:
    server = ("s", "t")[n & 1]
    wishes: list[Passing] = [
        CallSubmitted(tool=f"{server}__add"),
        CallSubmitted(tool=f"{server}__slow"),
        RequestSubmitted(method="resources/read", params={"uri": "a"}, server=server),
        RequestSubmitted(method="prompts/get", params={}, server=server, into_chat=True),
        RequestSubmitted(method="resources/list"),
        RequestSubmitted(method="resources/subscribe", params={"uri": "a"}, server=server),
        PromptSubmitted(text="hi"),
        RequestSubmitted(method="prompts/get", params={}),
    ]
    return [wishes[n]]


def answers(world: World, n: int) -> list[Passing]:
    asked = pick(only(Ask, world.log), n // 4)
    if asked is None:
        return []
    action = ("accept", "accept", "decline", "cancel")[n % 4]
    content: Json = {"name": "Ada" if n & 1 else 5}
    return [QuestionAnswered(question=asked.question, action=action, content=content)]


def cancels(world: World, n: int) -> list[Passing]:
    return [PromptCancelled()]


# --- what a model does --------------------------------------------------------------------------


def model_ends(world: World, n: int) -> list[Passing]:
    call = pick(only(CallModel, world.log), n // 4)
    if call is None:
        return []
    if n == 7:
        return [ModelFailed(call=call.call, reason="HTTP 529")]
    tools = [use(f"u{n}{tool.alias}", tool.alias) for tool in call.tools[: n & 3]]
    content = (text_block("hm"), *tools)
    stop = "tool_use" if tools else "end_turn"
    return [ModelFinished(call=call.call, content=content, stop_reason=stop, model="claude-x")]


# --- what servers do ----------------------------------------------------------------------------


def wants(world: World, id_: str, n: int) -> Json:
    keys = [str(world.new()) for _ in range(n % 3)]
    picked = {
        key: {"method": method, "params": params}
        for key, (method, params) in zip(keys, [pick(WISHES, n), pick(WISHES, n + 1)], strict=False)
    }
    requests: Json = {"inputRequests": picked} if picked or n & 1 else {}
    # The state says whose it is, for the one who looks whether it went elsewhere.
    state: Json = {"requestState": f"{base_of(id_)}#{world.new()}"} if n & 2 else {}
    return {"resultType": "input_required", **requests, **state}


def base_of(id_: str) -> str:
    return id_.partition("~")[0]


def result_of(world: World, post: Post, n: int) -> Json:
    match post.message["method"]:
        case "tools/call" if n in (1, 2):
            return wants(world, post.id, n)
        case "tools/call" if n in (0, 3, 4) and post.server == "s":
            return {"resultType": "task", "taskId": f"t{world.new()}", "status": "working"}
        case "tools/call" if "task" in post.message["params"] and n != 7:
            return {"task": {"taskId": f"t{world.new()}", "status": "working"}}
        case "tasks/get":
            statuses = ("working", "completed", "input_required", "failed", "input_required")
            more: Json = {"result": OK} if n & 1 else {"error": {"message": "x"}}
            return {"status": pick(statuses, n), **more, **wants(world, "task", 1)}
        case "resources/list":
            more = {"nextCursor": str(world.new())} if n & 1 else {}
            return {"resources": [{"uri": "a"}], "ttlMs": 1000 * n, **more}
        case "resources/read" | "prompts/get" if n in (1, 2, 3):
            return wants(world, post.id, n)
        case "prompts/get":
            said = {"role": "user", "content": text_block("Hello")}
            return {"messages": [said], **OK}
        case _:
            return {**OK, "ttlMs": 1000}


def replies(world: World, n: int) -> list[Passing]:
    posts = [post for post in only(Post, world.log) if "method" in post.message]
    waited = [*world.agent.calls.open.values(), *world.agent.requests.open.values()]
    latest = {each.wire_id for each in waited if each.state == "posted"}
    post = pick(posts if n == 7 else [post for post in posts if post.id in latest], n % 2)
    if post is None:
        return []
    if n == 6:
        data: Json = {"elicitations": [LOGIN]}
        return [ReplyReceived(server=post.server, id=post.id, error="x", code=-32042, data=data)]
    if n == 5:
        code = pick((-32020, -32602, -32603, None), len(world.log))
        return [ReplyReceived(server=post.server, id=post.id, error="x", code=code)]
    return [ReplyReceived(server=post.server, id=post.id, result=result_of(world, post, n))]


def a_task_goes_on(world: World, n: int) -> list[Passing]:
    """The pause is over, the server is asked, and answers."""
    polling = [call for call in world.agent.calls.open.values() if call.state == "polling"]
    call = pick(polling, n)
    if call is None:
        return []
    id_ = f"call:{call.id}~{call.messages + 1}"
    asked = Post(server=call.tool.server, url="", id=id_, message={"method": "tasks/get"})
    result = result_of(world, asked, n)
    reply = ReplyReceived(server=call.tool.server, id=id_, result=result)
    return [fired(f"call:{call.id}:poll"), reply]


def a_server_asks(world: World, n: int) -> list[Passing]:
    route = Route(server="t", url=MESSAGES, dialect="http", protocol=SERVERS["t"])
    method, params = WISHES[n]
    asked = ServerAsked(server="t", id=world.new(), method=method, params=params, route=route)
    return [asked, asked] if n == 0 else [asked]


def a_server_takes_back(world: World, n: int) -> list[Passing]:
    asked = pick([item for item in world.inputs if isinstance(item, ServerAsked)], n)
    return [] if asked is None else [ServerCancelled(server="t", id=asked.id)]


def loses(world: World, n: int) -> list[Passing]:
    post = pick(only(Post, world.log), n // 2)
    if post is None:
        return []
    return [RequestLost(server=post.server, id=post.id, reason="cut", is_sent=n != 6)]


def is_lost(world: World, n: int) -> list[Passing]:
    server = ("s", "t")[n & 1]
    if n == 7:
        return [lost(None, server=server)]
    return [lost(server=server), *(ready(server) if n & 2 else [])]


def comes_back(world: World, n: int) -> list[Passing]:
    return ready(("s", "t")[n & 1])


def has_news(world: World, n: int) -> list[Passing]:
    post = pick(only(Post, world.log), n)
    if n & 1 or post is None:
        return [ResourceUpdated(server="s", uri="a")]
    return [ProgressReported(server=post.server, id=post.id, progress=n)]


# --- what else happens --------------------------------------------------------------------------


def time_passes(world: World, n: int) -> list[Passing]:
    running = sorted(timers_of(world))
    pauses = [id_ for id_ in running if id_.endswith(":poll")]
    timer = pick(pauses if n & 1 and pauses else running, n // 2)
    return [] if timer is None else [fired(timer)]


def a_timer_is_late(world: World, n: int) -> list[Passing]:
    timer = pick(only(StartTimer, world.log), n)
    return [] if timer is None else [fired(timer.id)]


def goes_on(world: World, n: int) -> list[Passing]:
    servers = PLAN.servers if n & 3 else PLAN.servers[:1]
    back = [item for server in servers for item in ready(server.name)] if n & 4 else []
    settled = ServersSettled(ready=tuple(server.name for server in servers))
    return [RunResumed(goal="chat", servers=servers), *back, settled]


# Repeated ones come more often.
ACTIONS: list[Action] = [
    asks_for, asks_for, asks_for, answers, answers, answers, cancels, model_ends, model_ends,
    replies, replies, replies, replies, replies, a_task_goes_on, a_task_goes_on, a_server_asks,
    a_server_asks, a_server_takes_back, loses, is_lost, comes_back, has_news, time_passes,
    time_passes, a_timer_is_late, goes_on,
]  # fmt: skip
STEPS = st.tuples(st.sampled_from(ACTIONS), st.integers(0, 7))
JOURNEYS = st.lists(STEPS, min_size=10, max_size=60)
quick = settings(max_examples=200, deadline=None)


def journey(actions: list[tuple[Action, int]], plan: Plan = PLAN) -> World:
    world = World(plan)
    for action, number in actions:
        world.feed(*action(world, number))
    return world


def ended(actions: list[tuple[Action, int]], plan: Plan = PLAN) -> World:
    """A journey after which all servers are gone for good."""
    world = journey(actions, plan)
    world.feed(*(lost(None, server=server) for server in SERVERS))
    return world


# --- what holds at any time ---------------------------------------------------------------------


def timers_of(world: World) -> set[str]:
    """The timers that run."""
    running: set[str] = set()
    for item in world.log:
        match item:
            case StartTimer(id=id_):
                running.add(id_)
            case StopTimer(id=id_) | TimerFired(id=id_):
                running.discard(id_)
            case RunResumed():
                running.clear()
            case _:
                pass
    return running


def asked_of_the_model(world: World) -> set[str]:
    """The model calls that are under way."""
    running: set[str] = set()
    for item in world.log:
        match item:
            case CallModel(call=call):
                running.add(call)
            case CancelModel(call=call) | ModelFinished(call=call) | ModelFailed(call=call):
                running.discard(call)
            case RunResumed():
                running.clear()
            case _:
                pass
    return running


def check_waits(world: World) -> None:
    """Each wait has a deadline, or somebody who owns it."""
    timers, agent = timers_of(world), world.agent
    questions = agent.questions.open.values()
    waiters = {question.origin.waiter for question in questions}
    states = Counter(question.state for question in questions)
    for call in agent.calls.open.values():
        own = {"asking": "", "polling": f"call:{call.id}:poll"}.get(call.state, f"call:{call.id}")
        assert f"call:{call.id}:max" in timers
        assert own in timers or call.id in waiters, f"{call.id} waits for ever, {call.state}"
    for request in agent.requests.open.values():
        is_timed = f"request:{request.id}" in timers
        assert is_timed or request.id in waiters, f"{request.id} waits for ever"
    for question in questions:
        match question.state:
            case "asked":
                assert f"question:{question.id}" in timers
            case "waits":
                assert states["asked"] == 1
            case "sampling":
                assert f"sample:{question.id}" in asked_of_the_model(world)
            case "over":
                raise AssertionError(f"{question.id} is over and stays")
    if agent.phase == "requesting":
        assert agent.requests.open
    assert not agent.calls.wants
    assert not agent.requests.wants
    assert not agent.questions.answers


@quick
@given(JOURNEYS)
def test_nobody_waits_without_a_deadline_or_an_owner(actions: list[tuple[Action, int]]) -> None:
    journey(actions)  # each of its steps is checked


@quick
@given(JOURNEYS)
def test_nothing_internal_comes_out_and_every_item_can_be_recorded(
    actions: list[tuple[Action, int]],
) -> None:
    for item in journey(actions).log:
        if not isinstance(item, Internal):
            line = encode_entry(Entry(1, "x", item))
            assert isinstance(item, CallModel) or decode_entry(line).item == item


# --- what has ended once all is over ------------------------------------------------------------


def pairs(world: World, began: Any, end: Any, name: str) -> None:
    """Each began once, and ended once, after that."""
    started = [getattr(item, name) for item in only(began, world.log)]
    over = [getattr(item, name) for item in only(end, world.log)]
    assert len(set(started)) == len(started)
    assert sorted(started) == sorted(over)
    for id_ in started:
        first = next(i for i, item in enumerate(world.log) if getattr(item, name, None) == id_)
        assert isinstance(world.log[first], began)


@quick
@given(JOURNEYS)
def test_every_call_request_and_question_ends_exactly_once(
    actions: list[tuple[Action, int]],
) -> None:
    world = ended(actions)
    pairs(world, ToolStarted, ToolEnded, "call")
    pairs(world, RequestStarted, RequestEnded, "request")
    pairs(world, QuestionAsked, QuestionClosed, "question")


@quick
@given(JOURNEYS)
def test_all_of_it_ends_by_the_clock_alone(actions: list[tuple[Action, int]]) -> None:
    world = journey(actions)
    for _ in range(12):  # what ends may lead to what comes next
        world.feed(*(fired(id_) for id_ in sorted(timers_of(world))))
        for call in sorted(asked_of_the_model(world)):
            world.feed(ModelFailed(call=call, reason="too late"))
    pairs(world, ToolStarted, ToolEnded, "call")
    pairs(world, RequestStarted, RequestEnded, "request")
    pairs(world, QuestionAsked, QuestionClosed, "question")


@quick
@given(JOURNEYS)
def test_a_server_gets_exactly_one_answer_unless_it_is_gone_or_took_it_back(
    actions: list[tuple[Action, int]],
) -> None:
    world = journey(actions)
    for question in list(world.agent.questions.open):
        world.feed(fired(f"question:{question}"))
    for call in sorted(asked_of_the_model(world)):
        world.feed(ModelFailed(call=call, reason="too late"))
    for question in list(world.agent.questions.open):
        world.feed(fired(f"question:{question}"))
    answered = Counter(p.message["id"] for p in only(Post, world.log) if p.id.startswith("answer:"))
    excused: set[Any] = set()
    asked: list[Any] = []
    for item in world.inputs:
        match item:
            case ServerAsked(id=id_) if id_ not in asked:
                asked.append(id_)
            case ServerCancelled(id=id_):
                excused.add(id_)
            case StreamLost(server="t") | RunResumed():
                excused.update(asked)
            case _:
                pass
    twice = {i.id for i in world.inputs if isinstance(i, ServerAsked) and world.inputs.count(i) > 1}
    for id_ in asked:
        most = 2 if id_ in twice else 1  # what is answered at once is answered each time
        assert answered[id_] <= most
        assert answered[id_] >= 1 or id_ in excused


@quick
@given(JOURNEYS)
def test_a_person_has_one_question_at_a_time(actions: list[tuple[Action, int]]) -> None:
    current: str | None = None
    for item in ended(actions).log:
        match item:
            case Ask(question=question):
                assert current is None, f"{question} is asked while {current} is"
                current = question
            case StopAsking(question=question) | QuestionAnswered(question=question):
                current = None if question == current else current
            case RunResumed():
                current = None
            case _:
                pass
    assert current is None


@quick
@given(JOURNEYS)
def test_no_id_is_used_twice_and_a_state_goes_back_only_to_what_it_was_given_for(
    actions: list[tuple[Action, int]],
) -> None:
    seen: set[str] = set()
    for post in only(Post, ended(actions).log):
        if "method" not in post.message or post.id.startswith("cancel:"):
            continue
        assert post.id not in seen
        seen.add(post.id)
        state = post.message["params"].get("requestState")
        assert state is None or state.partition("#")[0] == base_of(post.id)


@quick
@given(JOURNEYS, st.sampled_from(["never", "defaults"]))
def test_without_a_person_nobody_is_asked_and_all_ends_the_same(
    actions: list[tuple[Action, int]], policy: Any
) -> None:
    sampling = "never" if policy == "never" else "always"
    world = ended(actions, replace(PLAN, elicitation=policy, sampling=sampling))
    assert only(Ask, world.log) == []
    pairs(world, ToolStarted, ToolEnded, "call")
    pairs(world, RequestStarted, RequestEnded, "request")
    pairs(world, QuestionAsked, QuestionClosed, "question")

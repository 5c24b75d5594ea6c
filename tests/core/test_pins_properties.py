"""A held tool is never called, whatever order lists, calls, answers, losses and resumptions have.

A file is at hand as the shell keeps it: what the core wants pinned goes into it, or is lost with a
full disk, and a run that goes on reads it. Who knows what was approved is told here by hand: what
was seen first, and what a person has accepted while being shown it.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.agent.machine import step
from pipeline.core.agent.state import initial
from pipeline.core.codec import Entry, decode_entry, encode_entry
from pipeline.core.commands import Ask, CallModel, Passing, PinTools, Post, StopAsking
from pipeline.core.events import (
    CallSubmitted,
    Internal,
    Json,
    ModelFailed,
    ModelFinished,
    PromptCancelled,
    PromptSubmitted,
    QuestionAnswered,
    QuestionAsked,
    QuestionClosed,
    ReplyReceived,
    RunResumed,
    ServersSettled,
    SessionReady,
    StreamLost,
    Tool,
    ToolEnded,
    ToolsChanged,
    ToolStarted,
)
from pipeline.core.plan import Plan, ServerPlan, ToolPin
from pipeline.core.tools import read_tool, with_aliases
from tests.core.test_client_properties import asked_of_the_model, check_waits, pairs, timers_of
from tests.support.play import URL, a_route, fired, lost, only, text_block, use

SERVERS = ("s", "t")
NAMES = ("add", "sub")
VERSIONS = 3
OK: Json = {"content": [text_block("5")]}


def tool(server: str, name: str, version: int) -> Tool:
    raw = {"name": name, "description": f"Version {version}."}
    (found,) = with_aliases([read_tool(server, raw)], set())
    return found


class World:
    """The agent, the file, and what was approved by who knows."""

    def __init__(self, policy: Any, *, is_chat: bool) -> None:
        self.file: dict[str, dict[str, ToolPin]] = {name: {} for name in SERVERS}
        self.offers = {server: [tool(server, name, 0) for name in NAMES] for server in SERVERS}
        self.approved: dict[tuple[str, str], str] = {}
        self.listed: dict[str, dict[str, str]] = {}
        self.is_full = False
        self.log: list[Passing] = []
        plan = Plan(
            servers=self.plans(),
            model="claude-x",
            changed_tools=policy,
            interactive=is_chat,
            max_turns=3,
            max_questions=2,
        )
        self.agent = initial(plan)
        for server in SERVERS:
            self.feed(*self.ready(server))
        self.feed(ServersSettled(ready=SERVERS))

    def plans(self) -> tuple[ServerPlan, ...]:
        return tuple(ServerPlan(name=name, url=URL, pins=dict(self.file[name])) for name in SERVERS)

    def ready(self, server: str) -> list[Passing]:
        # Before the list of the new session is there, what the old one said counts for nothing.
        session = SessionReady(server=server, route=a_route(server))
        return [session, ToolsChanged(server=server, tools=tuple(self.offers[server]))]

    def feed(self, *items: Passing) -> None:
        for item in items:
            self.note(item)
            self.agent, out = step(self.agent, item)
            self.log.append(item)
            for each in out:
                if each is not item:
                    self.log.append(each)
                    self.check(each)
            check_waits(self)  # type: ignore[arg-type]  it looks at the agent and at the log

    def note(self, item: Passing) -> None:
        """What is true from now on."""
        match item:
            case ToolsChanged(server=server, tools=tools):
                self.listed[server] = {each.name: each.digest for each in tools}
                for each in tools:
                    self.approved.setdefault((server, each.name), each.digest)
            case SessionReady(server=server) | StreamLost(server=server):
                self.listed.pop(server, None)
            case QuestionAnswered(question=question, action="accept", content=content):
                asked = next(e for e in only(QuestionAsked, self.log) if e.question == question)
                closed = {each.question for each in only(QuestionClosed, self.log)}
                for each in asked.detail["tools"] if question not in closed else ():
                    if each["name"] in content["tools"]:
                        self.approved[asked.server, each["name"]] = each["digest"]
            case RunResumed():
                self.listed = {}
            case _:
                pass

    def check(self, item: Passing) -> None:
        match item:
            case Post(server=server, message={"method": "tools/call", "params": params}):
                name = params["name"]
                assert server in self.listed, "called before its tools were listed"
                now = self.listed[server].get(name)
                is_gone = now is None
                assert is_gone or now == self.approved[server, name], f"{name} is held"
            case CallModel(tools=tools):
                for each in tools:
                    assert each.digest == self.approved[each.server, each.name], "offered"
            case PinTools(server=server, pins=pins, is_approval=is_approval):
                there = self.file[server]
                if not self.is_full:
                    kept = {**there, **pins} if is_approval else {**pins, **there}
                    self.file[server] = kept
            case _:
                pass


Action: TypeAlias = Callable[[World, int], list[Passing]]


def pick(choices: Any, number: int) -> Any:
    return choices[-1 - number % len(choices)] if choices else None


def changes(world: World, n: int) -> list[Passing]:
    """A server offers other tools, or the same ones otherwise."""
    server = SERVERS[n & 1]
    world.offers[server] = [
        tool(server, name, (n >> (2 * at)) % VERSIONS)
        for at, name in enumerate(NAMES)
        if (n >> (2 * at)) % (VERSIONS + 1) < VERSIONS
    ]
    return [ToolsChanged(server=server, tools=tuple(world.offers[server]))]


def changes_while_away(world: World, n: int) -> list[Passing]:
    gone = lost(server=SERVERS[n & 1])
    changes(world, n)
    return [gone]


def comes_back(world: World, n: int) -> list[Passing]:
    server = SERVERS[n & 1]
    return [] if server in world.listed else world.ready(server)


def is_gone(world: World, n: int) -> list[Passing]:
    return [lost(None if n == 7 else 1.0, server=SERVERS[n & 1])]


def a_person_calls(world: World, n: int) -> list[Passing]:
    return [CallSubmitted(tool=f"{SERVERS[n & 1]}__{NAMES[n >> 1 & 1]}")]


def a_person_prompts(world: World, n: int) -> list[Passing]:
    return [PromptSubmitted(text="hi")]


def the_model_calls(world: World, n: int) -> list[Passing]:
    """It may have any tool in mind, offered or not."""
    call = pick(sorted(asked_of_the_model(world)), 0)  # type: ignore[arg-type]  as above
    if call is None:
        return []
    if n == 7:
        return [ModelFailed(call=call, reason="HTTP 529")]
    names = [f"mcp__{SERVERS[n & 1]}__{name}" for name in NAMES[: n % 3]]
    content = tuple(use(f"u{len(world.log)}{name}", name) for name in names)
    stop = "tool_use" if content else "end_turn"
    return [ModelFinished(call=call, content=content, stop_reason=stop, model="claude-x")]


def a_person_answers(world: World, n: int) -> list[Passing]:
    """The question that is open, or an older one."""
    asked = pick(only(Ask, world.log), n // 6)
    if asked is None:
        return []
    action = ("accept", "accept", "accept", "decline", "cancel", "accept")[n % 6]
    content: Json = {"tools": list(NAMES[n & 1 :])} if action == "accept" else {}
    return [QuestionAnswered(question=asked.question, action=action, content=content)]


def a_server_answers(world: World, n: int) -> list[Passing]:
    call = pick([c for c in world.agent.calls.open.values() if c.is_posted], n)
    if call is None:
        return []
    again: Json = {"resultType": "input_required", "requestState": "x"}
    result = again if n % 3 == 0 else OK
    return [ReplyReceived(server=call.tool.server, id=call.wire_id, result=result)]


def time_passes(world: World, n: int) -> list[Passing]:
    timer = pick(sorted(timers_of(world)), n)  # type: ignore[arg-type]  as above
    return [] if timer is None else [fired(timer)]


def cancels(world: World, n: int) -> list[Passing]:
    return [PromptCancelled()]


def the_disk_is_full(world: World, n: int) -> list[Passing]:
    world.is_full = not world.is_full
    return []


def somebody_else_approves(world: World, n: int) -> list[Passing]:
    """`tools --approve` in another process; a run that goes on reads it."""
    server, name = SERVERS[n & 1], NAMES[n >> 1 & 1]
    offered = [each for each in world.offers[server] if each.name == name]
    if not offered or name not in world.file[server]:
        return []
    digest = offered[0].digest
    world.file[server] = {**world.file[server], name: ToolPin(digest=digest)}
    return goes_on(world, digest=(server, name, digest))


def goes_on(world: World, n: int = 0, *, digest: Any = None) -> list[Passing]:
    if digest is not None:
        server, name, what = digest
        read = world.agent.pins.read.get(server, {}).get(name)
        if read is None or read.digest != what:
            world.approved[server, name] = what
    servers = [item for server in SERVERS for item in world.ready(server)] if n & 1 else []
    return [
        RunResumed(goal="chat", servers=world.plans(), interactive=True),
        *servers,
        ServersSettled(ready=SERVERS),
    ]


# Repeated ones come more often.
ACTIONS: list[Action] = [
    changes, changes, changes, changes, changes_while_away, comes_back, comes_back, comes_back,
    is_gone, a_person_calls, a_person_calls, a_person_calls, a_person_prompts, a_person_prompts,
    the_model_calls, the_model_calls, the_model_calls, a_person_answers, a_person_answers,
    a_person_answers, a_server_answers, a_server_answers, time_passes, time_passes, cancels,
    the_disk_is_full, somebody_else_approves, goes_on,
]  # fmt: skip
STEPS = st.tuples(st.sampled_from(ACTIONS), st.integers(0, 15))
JOURNEYS = st.lists(STEPS, min_size=5, max_size=50)
POLICIES = st.sampled_from(["ask", "ask", "hold"])
quick = settings(max_examples=300, deadline=None)


def journey(actions: list[tuple[Action, int]], policy: str, *, is_chat: bool) -> World:
    world = World(policy, is_chat=is_chat)
    for action, number in actions:
        world.feed(*action(world, number))
    return world


@quick
@given(JOURNEYS, POLICIES, st.booleans())
def test_a_held_tool_is_neither_called_nor_offered_and_nobody_waits_for_ever(
    actions: list[tuple[Action, int]], policy: str, is_chat: bool
) -> None:
    world = journey(actions, policy, is_chat=is_chat)  # each of its steps is checked
    world.feed(*(lost(None, server=server) for server in SERVERS))
    pairs(world, ToolStarted, ToolEnded, "call")  # type: ignore[arg-type]  it looks at the log
    pairs(world, QuestionAsked, QuestionClosed, "question")  # type: ignore[arg-type]  as above


@quick
@given(JOURNEYS, POLICIES, st.booleans())
def test_one_question_at_a_time_and_every_item_can_be_recorded(
    actions: list[tuple[Action, int]], policy: str, is_chat: bool
) -> None:
    current: str | None = None
    for item in journey(actions, policy, is_chat=is_chat).log:
        match item:
            case Ask(question=question):
                assert current is None
                current = question
            case StopAsking(question=question) | QuestionAnswered(question=question):
                current = None if question == current else current
            case RunResumed():
                current = None
            case _:
                pass
        if not isinstance(item, Internal | CallModel):
            assert decode_entry(encode_entry(Entry(1, "x", item))).item == item


@quick
@given(JOURNEYS, st.booleans())
def test_where_all_is_accepted_nothing_is_held_and_nobody_asked(
    actions: list[tuple[Action, int]], is_chat: bool
) -> None:
    world = World("accept", is_chat=is_chat)
    world.approved = _Anything()
    for action, number in actions:
        world.feed(*action(world, number))
    for server in SERVERS:
        world.feed(*world.ready(server))
    assert not only(Ask, world.log)
    assert not world.agent.calls.held


class _Anything(dict[tuple[str, str], str]):
    """Approves whatever is looked up."""

    def __getitem__(self, key: tuple[str, str]) -> Any:
        return _Equal()


class _Equal:
    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0

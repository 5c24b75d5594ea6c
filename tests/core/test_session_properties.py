"""What holds for any server, any order of what it does, and any moment at which links break.

A journey is a list of actions. The world plays the shell by its contract: each `Post` and `Get` is
answered exactly once, an open answer ends exactly once unless it was cut or its link was lost, and
only timers that run can fire. What the server says is of its own choice.
"""

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any, TypeAlias

from hypothesis import event, given, settings
from hypothesis import strategies as st

from pipeline.core.commands import (
    Close,
    Cut,
    Get,
    Open,
    Passing,
    Post,
    Reconnect,
    StartTimer,
    StopTimer,
)
from pipeline.core.events import (
    AnswerEnded,
    FrameReceived,
    Json,
    PostAnswered,
    ReplyReceived,
    RequestLost,
    RunStarted,
    SessionClosed,
    SessionReady,
    StreamLost,
    StreamOpened,
)
from pipeline.core.plan import Plan
from pipeline.core.session import ids
from pipeline.core.session.machine import initial, step
from pipeline.core.session.state import Session
from pipeline.core.session.wire import post as dressed
from tests.support.play import (
    ADD,
    DISCOVERED,
    a_plan,
    a_process_plan,
    an_http_plan,
    answered,
    asked,
    ended,
    fired,
    frame,
    greeting,
    lost,
    on_stream,
    only,
    opened,
    posted,
    refused,
    rejected,
    replied,
    streaming,
    told,
)

HTTP = an_http_plan("s", max_resumptions=3, log_level="info")
PROCESS = a_process_plan("s", max_resumptions=3, list_pause=1.0)
SEED, SSE = a_plan("s", dialect="seed"), a_plan("s", dialect="sse", list_pause=1.0)
OFFERS: Json = {"tools": {"listChanged": True}, "logging": {}, "resources": {}}
MODERN: Json = {**DISCOVERED, "capabilities": OFFERS}
LEGACY = greeting(capabilities=OFFERS)
CUT = "cut off by us"
DROPPED = "the connection to the server was given up"


class World:
    """The session stage, and around it the shell, the calls and the clock."""

    def __init__(self, plan: Plan, kind: str) -> None:
        self.kind = kind
        self.state = initial(plan)
        self.steps: list[tuple[Passing, tuple[Passing, ...]]] = []
        self.is_connecting = self.is_open = False
        self.transport = ""
        self.pending: dict[str, Post | Get] = {}
        self.streams: dict[str, Post | Get] = {}
        self.written: dict[str, Post] = {}
        self.timers: set[str] = set()
        self.coming: list[Passing] = []
        self.calls: dict[str, str] = {}
        self.route: Any = None
        self.feed(RunStarted())

    @property
    def session(self) -> Session:
        return self.state.sessions["s"]

    @property
    def log(self) -> list[Passing]:
        return [item for _, out in self.steps for item in out]

    def feed(self, item: Passing) -> None:
        """One input. What it makes the shell do is done, or is `coming`."""
        match item:
            case StreamOpened():
                self.is_connecting, self.is_open = False, True
            case StreamLost(retry_in=retry_in):
                self.is_connecting, self.is_open = retry_in is not None, False
                self._drop()
            case PostAnswered(id=id_, is_open=is_open):
                answer = self.pending.pop(id_, None)
                if is_open and answer is not None:
                    self.streams[id_] = answer
            case AnswerEnded(id=id_):
                del self.streams[id_]
            case _:
                pass
        self.state, out = step(self.state, item)
        self.steps.append((item, out))
        for output in out[1:]:
            self._carry_out(output)

    def _drop(self) -> None:
        self.streams.clear()
        self.written.clear()
        for id_ in tuple(self.pending):
            del self.pending[id_]
            self.coming.append(posted(id_, None, reason=DROPPED))
        self.calls |= {id_: "dropped" for id_, how in self.calls.items() if how == "posted"}
        self.route = None

    def _carry_out(self, output: Passing) -> None:
        match output:
            case Open(transport=transport):
                self._drop()
                self.is_connecting, self.is_open, self.transport = True, False, transport
            case Reconnect() if self.is_open:
                self.is_open = False
                self.coming.append(lost())
            case Close() if self.is_open or self.is_connecting:
                self.is_open = self.is_connecting = False
                self.coming.append(lost(None))
            case Post(id=id_) | Get(id=id_):
                self.send(id_, output)
            case Cut(id=id_):
                self.streams.pop(id_, None)
                if self.pending.pop(id_, None) is not None:
                    self.coming.append(posted(id_, None, reason=CUT))
            case StartTimer(id=id_):
                self.timers.add(id_)
            case StopTimer(id=id_):
                self.timers.discard(id_)
            case SessionReady(route=route):
                self.route = route
            case ReplyReceived(id=str() as id_) | RequestLost(id=id_):
                if self.calls.get(id_) == "posted":
                    self.calls[id_] = "told"
            case _:
                pass

    def send(self, id_: str, command: Any) -> None:
        if id_.startswith(ids.ANSWER):  # named by the server, which may ask twice at once
            self.coming.append(posted(id_))
            return
        assert id_ not in self.pending, f"{id_} is under way"
        assert id_ not in self.streams, f"{id_} is open"
        if self.transport != "stdio":
            self.pending[id_] = command
        elif self.is_open:
            self.written[id_] = command
            self.coming.append(posted(id_))
        else:
            self.coming.append(posted(id_, None, reason="it is gone", is_sent=False))

    def settle(self) -> None:
        """What the shell is bound to say, it says."""
        while self.coming:
            self.feed(self.coming.pop(0))


Action: TypeAlias = Callable[[World, int], list[Passing]]


def pick(choices: Any, number: int) -> Any:
    """One of them, the last ones first: what is new matters most. None where there are none."""
    return choices[-1 - number % len(choices)] if choices else None


# --- what the shell and the clock do --------------------------------------------------------------


def connect(world: World, _: int) -> list[Passing]:
    return [opened()] if world.is_connecting and not world.coming else []


def break_link(world: World, number: int) -> list[Passing]:
    if not (world.is_connecting or world.is_open) or number % 4:
        return []
    status = pick([None, None, 404, 503], number // 4)
    return [lost(pick([0.5, 0.5, None], number // 16), status=status)]


def let_time_pass(world: World, number: int) -> list[Passing]:
    timer = pick(sorted(world.timers), number)
    if timer is None:
        return []
    world.timers.discard(timer)
    return [fired(timer)]


def call(world: World, number: int) -> list[Passing]:
    """A later stage posts a call, as soon as there is a session."""
    if world.route is not None and len(world.calls) < 8:
        id_ = f"call:c{len(world.calls)}"
        message: Json = {"jsonrpc": "2.0", "id": id_, "method": "tools/call", "params": {}}
        world.calls[id_] = "posted"
        world.send(id_, dressed(world.route, id_, message))
    return []


def give_up(world: World, number: int) -> list[Passing]:
    """A later stage gives a call up, and has its answer closed."""
    if (id_ := pick([i for i, how in world.calls.items() if how == "posted"], number)) is not None:
        world.calls[id_] = "cut"
        world.streams.pop(id_, None)
        if world.pending.pop(id_, None) is not None:
            world.coming.append(posted(id_, None, reason=CUT, is_sent=number % 2 == 0))
    return []


# --- what a server does ---------------------------------------------------------------------------


def result_of(message: Json, number: int) -> Json:
    """The right answer, more or less."""
    match message.get("method"):
        case "server/discover":
            return pick([MODERN, {}, {"supportedVersions": ["2025-11-25"]}, MODERN], number)
        case "initialize":
            return LEGACY
        case "tools/list" if number % 5 == 0:
            return {"tools": [ADD], "nextCursor": f"c{number}"}
        case "tools/list":
            return {"tools": [ADD]}
        case _:
            return pick([{}, {"content": []}, {"resultType": "x"}], number)


def answer(world: World, number: int) -> list[Passing]:
    """It answers a POST or a GET: well, as a stream, or not at all."""
    id_ = pick(list(world.pending), number)
    if id_ is None:
        return []
    number //= 8
    command = world.pending[id_]
    if isinstance(command, Get):
        return [pick([streaming(id_), posted(id_, 405), posted(id_, 404), gone(id_)], number)]
    named: Json = {"session_id": f"S{number % 3}"} if number % 3 else {}
    is_request = "id" in command.message and "method" in command.message
    well = replied(id_, result_of(command.message, number), **named)
    good = [well, streaming(id_, **named)] if is_request else [posted(id_)]
    codes = (-32020, -32022, -32601, -32000)
    data = {"supported": pick([["2026-07-28"], ["2025-06-18"], []], number)}
    bad = [
        rejected(id_, pick([400, 404, 405, 500, 503], number)),
        rejected(id_, pick([400, 404, 500], number), pick(codes, number // 3), data=data),
        rejected(id_, 400, -32000, message="Bad Request: No valid session ID provided"),
        posted(id_, 202),
        posted(id_, 200, body="<html></html>"),
        gone(id_),
        posted(id_, None, reason="not sent", is_sent=False),
    ]
    return [pick([*bad, *good * 4], number)]


def gone(id_: str) -> PostAnswered:
    return posted(id_, None, reason="it broke off")


def speak(world: World, number: int) -> list[Passing]:
    """It sends something on a stream, or a line of a process."""
    if world.transport == "stdio":
        id_ = pick(list(world.written), number)
        message = world.written[id_].message if id_ is not None else {}
        spoken = said(world, id_, message, number // 8)
        return [spoken] if world.is_open and spoken is not None else []
    if world.transport == "sse":
        return from_event_stream(world, number)
    stream = pick(list(world.streams), number)
    if stream is None:
        return []
    request = stream
    if stream.startswith(ids.RESUME):
        request = stream.removeprefix(ids.RESUME).rpartition(":")[0]
    command = world.streams[stream]
    method = "tools/list" if request.startswith("list:") else "tools/call"
    message = {"method": method} if isinstance(command, Get) else command.message
    spoken = said(world, request, message, number // 8)
    return [] if spoken is None else [on_stream(stream, spoken, pick(["", "e1"], number))]


def from_event_stream(world: World, number: int) -> list[Passing]:
    if not world.is_open:
        return []
    init = answered(f"init:s:{world.session.generation}", LEGACY)
    listed = answered(f"list:s:{world.session.generation}.1", {"tools": [ADD]})
    tools = frame("tools", [ADD])
    return [pick([tools, init, listed, frame("endpoint", "/m?session_id=1")], number)]


def said(world: World, id_: str | None, message: Json, number: int) -> FrameReceived | None:
    other = pick([i for i, how in world.calls.items() if how == "posted"], number)
    right = answered(id_, result_of(message, number)) if id_ is not None else frame("message", "")
    choices = [
        frame("message", ""),
        frame("message", "{torn"),
        frame("message", [1, {"jsonrpc": "2.0", "method": "x"}]),
        told("notifications/tools/list_changed"),
        told("notifications/subscriptions/acknowledged"),
        told("notifications/cancelled", requestId=id_),
        asked(1, "ping"),
        asked("q", "roots/list"),
        refused(id_, code=pick([-32020, -32022, -32601], number)),
        frame("message", {"jsonrpc": "2.0", "error": {"code": -1, "message": "no"}}),
        None if other is None or other == id_ else told("notifications/progress"),
    ]
    return pick([*choices, *([right] * 8)], number)


def end(world: World, number: int) -> list[Passing]:
    """A stream ends, in good order or not."""
    stream = pick(list(world.streams), number)
    if stream is None:
        return []
    last = pick(["", "e1", f"e{number}"], number)
    retry_ms = pick([None, 0, 500], number // 3)
    reason = pick(["", "it broke off"], number // 9)
    return [ended(stream, last_event_id=last, retry_ms=retry_ms, reason=reason)]


def behave(world: World, number: int = 1) -> None:
    """One step of what a good server and its shell do; `number` chooses between good ways."""
    kind = world.kind
    if world.coming:
        world.settle()
    elif world.is_connecting:
        world.feed(opened())
    elif world.transport == "stdio" and world.written:
        id_, post = world.written.popitem()
        world.feed(good_line(id_, post, kind))
    elif world.transport == "sse":
        behave_on_one_stream(world)
    elif world.pending:
        id_ = next(iter(world.pending))
        world.feed(good_answer(id_, world.pending[id_], kind, number))
    elif world.streams and number % 3:
        stream = next(iter(world.streams))
        world.feed(ended(stream, last_event_id=pick(["e1", "", f"e{number}"], number)))
    elif world.timers:
        world.feed(let_time_pass(world, 0)[0])


def behave_on_one_stream(world: World) -> None:
    """It says where messages go, takes each, and answers on its stream, as MCP 2024-11-05 has it.

    One of whom only the seed dialect is wanted, or that speaks no other, says what tools it has.
    """
    world.feed(frame("endpoint", "/m?session_id=1"))
    if world.session.wish != "sse":
        world.feed(frame("tools", [ADD]))
    if not world.pending and world.timers:  # what it took before and forgot is given up
        world.feed(*let_time_pass(world, 0))
    for id_, command in tuple(world.pending.items()):
        world.feed(posted(id_))
        if isinstance(command, Post) and command.message.get("method") in (
            "initialize",
            "tools/list",
        ):
            result = LEGACY if command.message["method"] == "initialize" else {"tools": [ADD]}
            world.feed(answered(id_, result))


def good_answer(id_: str, command: Post | Get, kind: str, number: int) -> PostAnswered:
    if isinstance(command, Get):
        return posted(id_, 405) if number % 3 == 1 else streaming(id_)
    if id_.startswith("call:") and number % 2:
        return streaming(id_)
    match command.message.get("method"):
        case "server/discover":
            return replied(id_, MODERN) if kind == "modern" else rejected(id_, 400)
        case "initialize":
            hello = replied(id_, LEGACY, session_id=pick(["", "S1"], number))
            return hello if kind == "handshake" else rejected(id_, 400, -32022)
        case "tools/list":
            return replied(id_, {"tools": [ADD]})
        case _:
            return posted(id_) if "method" not in command.message else replied(id_, {})


def good_line(id_: str, post: Post, kind: str) -> FrameReceived:
    match post.message.get("method"):
        case "server/discover" if kind == "modern":
            return answered(id_, MODERN)
        case "initialize" if kind == "handshake":
            return answered(id_, LEGACY)
        case "tools/list":
            return answered(id_, {"tools": [ADD]})
        case "server/discover":
            return refused(id_, code=-32601)
        case _:
            return refused(id_, code=-32022)


def go_on(world: World, number: int) -> list[Passing]:
    """All do as they should, for once."""
    behave(world, number)
    return []


def expire(world: World, number: int) -> list[Passing]:
    """It forgets the session that a call is for."""
    id_ = pick([id_ for id_ in world.pending if id_.startswith("call:")], number)
    return [] if id_ is None else [rejected(id_, 404)]


ACTIONS: list[Action] = [
    *[connect, answer, answer, speak, speak, speak],
    *[end, let_time_pass, call, call, give_up, break_link],
    *[expire, *[go_on] * 8],
]
_LONGEST = 90


def journey(seed: int, length: int) -> list[tuple[Action, int]]:
    """So many actions; a seed gives journeys that get further than what hypothesis makes up."""
    chance = Random(seed)  # noqa: S311  a test is to be found again
    return [(chance.choice(ACTIONS), chance.getrandbits(20)) for _ in range(length)]


JOURNEYS = st.builds(journey, st.integers(0, 2**32), st.integers(1, _LONGEST))
PLANS = st.sampled_from([HTTP, HTTP, PROCESS, SEED, SSE])
KINDS = st.sampled_from(["modern", "handshake"])


def travel(plan: Plan, kind: str, journey: list[tuple[Action, int]]) -> World:
    world = World(plan, kind)
    for action, number in journey:
        for item in action(world, number):
            world.feed(item)
        if number % 3:
            world.settle()
    return world


WORLDS = st.builds(travel, PLANS, KINDS, JOURNEYS)


def end_it(world: World) -> None:
    """The link is lost for good, and the shell says what is left to say."""
    world.settle()
    if world.is_open or world.is_connecting:
        world.feed(lost(None, status=500))
    world.settle()


# --- what holds -----------------------------------------------------------------------------------


@given(WORLDS)
def test_each_input_comes_out_exactly_once_and_before_what_it_causes(world: World) -> None:
    for item, out in world.steps:
        assert out[0] is item
        assert sum(each is item for each in out) == 1


@given(WORLDS)
def test_every_request_is_answered_or_lost_or_goes_with_its_link(world: World) -> None:
    end_it(world)
    assert "posted" not in world.calls.values()
    for how in world.calls.values():
        event(how)


@given(WORLDS)
def test_no_request_is_lost_twice_nor_after_its_answer(world: World) -> None:
    end_it(world)
    told_of: dict[str, list[type]] = {}
    for item in world.log:
        if isinstance(item, ReplyReceived | RequestLost) and item.id is not None:
            told_of.setdefault(item.id, []).append(type(item))
    for id_, kinds in told_of.items():
        assert kinds.count(RequestLost) <= 1, id_
        if RequestLost in kinds and id_ in world.calls:
            before = kinds[: kinds.index(RequestLost)]
            assert before == [], id_


@given(WORLDS)
def test_a_session_is_ready_at_most_once_per_generation_and_each_is_closed(world: World) -> None:
    end_it(world)
    state, readies = initial(world.state.plan), Counter[int]()
    for item, _ in world.steps:
        state, out = step(state, item)
        readies[state.sessions["s"].generation] += len(only(SessionReady, out))
    assert max(readies.values()) <= 1
    told_of = [o for o in world.log if isinstance(o, SessionReady | SessionClosed)]
    assert [type(each) for each in told_of] == [SessionReady, SessionClosed] * (len(told_of) // 2)


@given(WORLDS)
def test_no_timer_outlives_what_it_was_for(world: World) -> None:
    end_it(world)
    assert world.timers <= {"start"}
    assert world.session.answers == {}


@given(WORLDS)
def test_nothing_is_sent_where_no_link_is(world: World) -> None:
    is_open = False
    for item, out in world.steps:
        is_open = (is_open or isinstance(item, StreamOpened)) and not isinstance(item, StreamLost)
        if not is_open:
            assert only(Post, out) + only(Get, out) == []
        if only(Open, out):
            is_open = False


@given(WORLDS)
def test_nothing_but_an_answer_overtakes_initialized(world: World) -> None:
    waits = False
    for item, out in world.steps:
        if isinstance(item, PostAnswered) and item.id == "initialized:s":
            waits = False
        waits = waits and not isinstance(item, StreamLost)
        sent = [o for o in out if isinstance(o, Post | Get) and not o.id.startswith("answer:")]
        if waits:
            assert sent == []
        waits = waits or (sent[-1:] != [] and sent[-1].id == "initialized:s")
        waits = waits and world.transport == "http"


@given(WORLDS)
def test_a_session_id_goes_with_all_messages_of_its_session_and_with_no_other(
    world: World,
) -> None:
    state = initial(world.state.plan)
    for item, _ in world.steps:
        state, out = step(state, item)
        session = state.sessions["s"]
        for sent in [o for o in out if isinstance(o, Post | Get)]:
            is_named = session.era == "handshake" and session.transport == "http"
            expected = session.session_id if is_named else ""
            if isinstance(sent, Post) and sent.message.get("method") == "initialize":
                expected = ""
            assert sent.headers.get("Mcp-Session-Id", "") == expected, sent.id


@given(WORLDS)
def test_an_answer_that_comes_twice_is_no_reply_the_second_time_and_changes_nothing_after(
    world: World,
) -> None:
    """What later stages are told of it is theirs to tell; the session itself goes on as it was."""
    state = initial(world.state.plan)
    for item, out in world.steps:
        state, again = step(state, item)
        assert again == out
        if is_own_answer(item):
            state, extra = step(state, item)
            assert only(Post, extra) + only(Get, extra) + only(Open, extra) == []
            assert only(SessionReady, extra) + only(SessionClosed, extra) == []


def is_own_answer(item: Passing) -> bool:
    """Does it answer the handshake, or a list of tools?"""
    if not isinstance(item, FrameReceived) or item.event != "message":
        return False
    return item.data.startswith(('{"jsonrpc":"2.0","id":"init:', '{"jsonrpc":"2.0","id":"list:'))


@given(WORLDS)
def test_the_same_inputs_give_the_same_items(world: World) -> None:
    state = initial(world.state.plan)
    for item, out in world.steps:
        state, again = step(state, item)
        assert again == out


@given(WORLDS, KINDS)
@settings(max_examples=200)
def test_a_server_that_behaves_from_now_on_is_ready_soon(world: World, kind: str) -> None:
    """Nothing that was before keeps a session from being made, unless the server was given up."""
    world.settle()
    world.kind = kind
    for _ in range(120):
        if world.session.phase in ("ready", "failed"):
            break
        world.settle()
        behave(world)
    event(world.session.phase)
    assert world.session.phase in ("ready", "failed")


def test_journeys_get_somewhere() -> None:
    """The journeys of this file are not all over before they begin."""
    seen = Counter[str]()

    @given(WORLDS)
    @settings(max_examples=300, database=None, derandomize=True)
    def look(world: World) -> None:
        seen.update(type(item).__name__ for item in world.log)
        seen.update(world.calls.values())
        seen[world.session.era] += 1
        seen[f"over {world.transport}"] += 1
        seen[f"wanted {world.session.wish}"] += 1
        seen["resumed"] += sum(get.id.startswith(ids.RESUME) for get in only(Get, world.log))
        closed = only(SessionClosed, world.log)
        seen["renewed"] += sum("does not know the session" in each.reason for each in closed)

    look()
    for what in ("SessionReady", "SessionClosed", "ReplyReceived", "RequestLost", "Get", "Cut"):
        assert seen[what], what
    for what in ("told", "cut", "dropped", "handshake", "modern", "over stdio", "over sse"):
        assert seen[what], what
    for what in ("wanted seed", "wanted sse", "wanted auto"):
        assert seen[what], what
    assert seen["resumed"], "no answer was taken up again"
    assert seen["renewed"], "no session has expired"

"""The table of tool calls under way: what is in it, what goes out, and how a call leaves it.

In the seed dialect a call waits until the one before it is answered, as long as the server has not
been seen to echo ids.
"""

from typing import Any, Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from pipeline.core import jsonrpc
from pipeline.core.commands import Passing, Post, StartTimer, StopTimer
from pipeline.core.events import CallOutcome, Json, Route, Tool, ToolEnded
from pipeline.core.inputs import Round, Want, wants_of
from pipeline.core.param_headers import headers_for
from pipeline.core.plan import Plan
from pipeline.core.session import seed, wire

PREFIX = seed.PREFIX
_SLACK = 10.0  # seconds more than the core's own limit until the shell ends an answer by itself

State: TypeAlias = Literal[
    "waiting",  # for its server, or its turn
    "posted",  # its latest message is on the way
    "asking",  # the server wants something first, and somebody is asked for it
    "polling",  # the server made a task of it, and will be asked again in a while
    "held",  # until the tools of its server are listed again
    "refused",  # its server is busy, and will be asked again in a while
    "settling",  # it is over, or its connection is: what became of its message is still to be heard
]


class Task(msgspec.Struct, frozen=True):
    """What a server does beside; `poll` is the pause in seconds until it is asked again.

    `is_extension`: of the form since 2026-07-28. `token` is what its progress is told under.
    `answered` are the inputs that it got.
    """

    id: str
    poll: float
    is_extension: bool
    token: str
    answered: frozenset[str] = frozenset()


class Call(msgspec.Struct, frozen=True):
    """One call. The tool was asked for `sends` times, with `messages` messages in all.

    `next` is the method of its latest message, or of the one that waits. `may_have_run`: a message
    reached its server, or may have, and was lost. `dialect` is that of the latest message, and it
    `is_taken` once the server said so; it was refused for now `refusals` times. Of a call that is
    settling, `why` says how that came; it `is_given_up`, or else is made again where it may be;
    `is_cut`: its message was closed.
    """

    id: str
    tool: Tool
    arguments: Json
    state: State = "waiting"
    sends: int = 0
    messages: int = 0
    next: str = "tools/call"
    round: Round = Round()
    task: Task | None = None
    may_have_run: bool = False
    is_relisted: bool = False
    dialect: str = ""
    is_taken: bool = False
    refusals: int = 0
    why: str = ""
    is_given_up: bool = False
    is_cut: bool = False

    @property
    def is_posted(self) -> bool:
        """Is a message of it on the way?"""
        return self.state == "posted"

    @property
    def wire_id(self) -> str:
        """The id of its latest message: never used before, also when the call is sent again."""
        is_first = self.messages <= 1
        return f"{PREFIX}{self.id}" if is_first else f"{PREFIX}{self.id}~{self.messages}"


class Calls(msgspec.Struct, frozen=True):
    """The table. `routes` holds the servers that are connected, `lost` why others never will be.

    `taskers` are those that take calls as tasks (2025-11-25). `held` are tools, by server and name,
    that are not to be called (`pins`). `wants` is what has to be asked for
    now: whoever uses the table takes it out.
    """

    plan: Plan
    open: dict[str, Call] = {}
    routes: dict[str, Route] = {}
    lost: dict[str, str] = {}
    side_by_side: frozenset[str] = frozenset()
    taskers: frozenset[str] = frozenset()
    held: frozenset[tuple[str, str]] = frozenset()
    wants: tuple[Want, ...] = ()


Outputs: TypeAlias = tuple[Passing, ...]
Move: TypeAlias = tuple[Calls, Outputs]


def call_of(calls: Calls, wire_id: str) -> Call | None:
    """The open call whose latest message has this id."""
    call = calls.open.get(wire_id.removeprefix(PREFIX).partition("~")[0])
    return call if call is not None and call.wire_id == wire_id else None


def calls_of(calls: Calls, server: str) -> list[Call]:
    """A server's open calls, the oldest first."""
    return [call for call in calls.open.values() if call.tool.server == server]


def posted_to(calls: Calls, server: str) -> list[Call]:
    """Those of them whose message is on the way."""
    return [call for call in calls_of(calls, server) if call.is_posted]


def is_held(calls: Calls, call: Call) -> bool:
    """Does the call wait until its tool is approved? What has begun may end."""
    is_to_begin = call.state == "waiting" and call.next == "tools/call"
    return is_to_begin and (call.tool.server, call.tool.name) in calls.held


def post_waiting(calls: Calls, server: str) -> Move:
    """Send what waits for this server, as far as its dialect allows it side by side."""
    route = calls.routes.get(server)
    if route is None:
        return calls, ()
    mine = calls_of(calls, server)
    waiting = [call for call in mine if call.state == "waiting" and not is_held(calls, call)]
    if route.dialect == "seed" and server not in calls.side_by_side:
        is_busy = any(call.is_posted or call.state == "settling" for call in mine)
        waiting = [] if is_busy else waiting[:1]
    posted = {call.id: _as_posted(call, route) for call in waiting}
    calls = replace(calls, open={**calls.open, **posted})
    # The time that a call has waited for its turn does not count against its server.
    pairs = ((deadline(calls, call), _post(calls, route, call)) for call in posted.values())
    return calls, tuple(output for pair in pairs for output in pair)


def with_call(calls: Calls, call: Call) -> Calls:
    """The table with this state of a call."""
    return replace(calls, open={**calls.open, call.id: call})


def _as_posted(call: Call, route: Route) -> Call:
    return replace(
        call,
        state="posted",
        sends=call.sends + (call.next == "tools/call"),
        messages=call.messages + 1,
        dialect=route.dialect,
        is_taken=False,
        is_cut=False,
    )


def patience(calls: Calls, call: Call) -> float:
    """Seconds that a call may go without an answer or progress."""
    own = calls.plan.call_timeout_of(call.tool.server)
    return calls.plan.call_timeout if own is None else own


def deadline(calls: Calls, call: Call) -> StartTimer:
    """The time until an answer or progress; it starts over."""
    return StartTimer(id=PREFIX + call.id, seconds=patience(calls, call))


def limit(calls: Calls, call: Call) -> StartTimer:
    """The time in any case."""
    return StartTimer(id=f"{PREFIX}{call.id}:max", seconds=calls.plan.call_timeout_max)


def _post(calls: Calls, route: Route, call: Call) -> Post:
    id_ = call.wire_id
    if route.dialect == "seed":
        message = seed.call(route, id_, call.tool.name, call.arguments)
        return Post(server=route.server, url=route.url, id=id_, message=message)
    message = jsonrpc.request(id_, call.next, _params(calls, call, id_))
    is_marked = wire.is_modern(route) and call.next == "tools/call"
    params = headers_for(call.tool.input_schema, call.arguments) if is_marked else None
    seconds = calls.plan.call_timeout_max + _SLACK
    return wire.post(route, id_, message, params=params, seconds=seconds)


def _params(calls: Calls, call: Call, id_: str) -> Json:
    if call.task is not None:
        told = call.round.params if call.next == "tasks/update" else {}
        return {"taskId": call.task.id, **told}
    params: Json = {
        "name": call.tool.name,
        "arguments": call.arguments,
        "_meta": {"progressToken": id_},
        **call.round.params,
    }
    return {**params, "task": {}} if wants_task(calls, call) else params


def wants_task(calls: Calls, call: Call) -> bool:
    """Is the call to be made as a task? Only where tool and server say so (2025-11-25)."""
    route = calls.routes.get(call.tool.server)
    is_known = route is not None and route.server in calls.taskers and not wire.is_modern(route)
    return is_known and call.tool.task_support == "required"


def go_on(calls: Calls, call: Call, method: str) -> Move:
    """Send the next message of a call, or have it wait for its server."""
    call = replace(call, state="waiting", next=method)
    calls, outputs = post_waiting(with_call(calls, call), call.tool.server)
    # Without its server it waits, and that has its time as well.
    is_out = calls.open[call.id].is_posted
    return calls, outputs if is_out else (*outputs, deadline(calls, call))


def ask_for(calls: Calls, call: Call, requests: Json) -> Move:
    """Have a call wait for what its round wants; the time until then is that of the questions."""
    wants = wants_of(call.id, call.tool.server, requests)
    calls = with_call(calls, replace(call, state="asking"))
    return replace(calls, wants=(*calls.wants, *wants)), (StopTimer(id=PREFIX + call.id),)


def again_timer(call: Call) -> str:
    """The pause before a server that refused a call for now is asked again."""
    return f"{PREFIX}{call.id}:again"


def poll_timer(call: Call) -> str:
    """The pause before a task is asked for again."""
    return f"{PREFIX}{call.id}:poll"


def unanswered(call: Call) -> Literal["unknown", "not_sent"]:
    """How a call ends that is given up: one that cannot have begun may be made again."""
    is_out = call.is_posted or call.state == "settling"
    is_begun = is_out or call.may_have_run or call.round.number or call.task is not None
    return "unknown" if is_begun else "not_sent"


def end(calls: Calls, call: Call, outcome: CallOutcome, reason: str) -> Move:
    """A call ends without an answer."""
    return close(calls, call, ended(call, outcome, reason))


def close(calls: Calls, call: Call, ended: ToolEnded) -> Move:
    """A call leaves the table, in these words; the next one may go out."""
    still_open = {id_: other for id_, other in calls.open.items() if id_ != call.id}
    calls, posts = post_waiting(replace(calls, open=still_open), call.tool.server)
    names = (PREFIX + call.id, f"{PREFIX}{call.id}:max")
    stops = tuple(StopTimer(id=name) for name in names)
    if call.state == "polling":
        stops = (*stops, StopTimer(id=poll_timer(call)))
    if call.state == "refused":
        stops = (*stops, StopTimer(id=again_timer(call)))
    return calls, (ended, *stops, *posts)


def ended(
    call: Call,
    outcome: Literal["answered", "not_sent", "unknown"],
    reason: str,
    content: tuple[Json, ...] = (),
    *,
    is_error: bool = False,
    structured: Any = None,
) -> ToolEnded:
    """How a call ended, in the words of an event."""
    return ToolEnded(
        call=call.id,
        server=call.tool.server,
        tool=call.tool.name,
        outcome=outcome,
        is_error=is_error,
        content=content,
        structured=structured,
        reason=reason,
    )


def without_route(calls: Calls, server: str) -> Calls:
    """The server is not connected."""
    routes = {name: route for name, route in calls.routes.items() if name != server}
    return replace(calls, routes=routes)

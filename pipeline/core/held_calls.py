"""Calls of tools that are held: they wait while a person is asked, and else were not sent.

Pure moves over the table of calls; `pins` says which tools are held.
"""

from collections.abc import Set

from msgspec.structs import replace

from pipeline.core.call_table import (
    Call,
    Calls,
    Move,
    Outputs,
    calls_of,
    end,
    is_held,
    post_waiting,
    unanswered,
    with_call,
)


def until_listed(calls: Calls, server: str) -> Calls:
    """A server is back, and its tools are about to be listed: nothing is called before."""
    for call in calls_of(calls, server):
        if call.state == "waiting":
            calls = with_call(calls, replace(call, state="held"))
    return calls


def servers_of_held(calls: Calls) -> list[str]:
    """The servers at which a call waits until its tool is approved, each once."""
    held = (call.tool.server for call in calls.open.values() if is_held(calls, call))
    return list(dict.fromkeys(held))


def settle(calls: Calls, asked: Set[tuple[str, str]]) -> Move:
    """Send what is held no more, and end what is and nobody is asked about (`asked`)."""
    outputs: Outputs = ()
    for server in calls.routes:
        calls, more = post_waiting(calls, server)
        outputs = (*outputs, *more)
    for call in tuple(calls.open.values()):
        if is_held(calls, call) and (call.tool.server, call.tool.name) not in asked:
            calls, more = end(calls, call, unanswered(call), _why(call))
            outputs = (*outputs, *more)
    return calls, outputs


def _why(call: Call) -> str:
    name, server = call.tool.name, call.tool.server
    return (
        f"what {server!r} says of {name!r} is not what was approved, so it is held: the command "
        f"`tools` shows what has changed, `tools --approve {server}__{name}` approves it"
    )

"""What becomes of the agent's work when the tools of a server are listed, again or first."""

from msgspec.structs import replace

from pipeline.core import approvals, held_calls
from pipeline.core import calls as tool_calls
from pipeline.core import pins as pinning
from pipeline.core import requests as requesting
from pipeline.core.agent.state import AgentState, Outputs, Step
from pipeline.core.agent.turns import after_calls, after_questions, after_requests, settle
from pipeline.core.events import SessionReady, ToolsChanged, ToolsHeld


def on_session_ready(state: AgentState, ready: SessionReady) -> Step:
    """A server may be used (again): what waited for it goes out.

    Where tools are pinned that is when they are listed, which is the next that the session says.
    """
    calls, server = state.calls, ready.server
    if server in state.pins.kept:
        calls = held_calls.until_listed(calls, server)
    state, outputs = after_calls(state, tool_calls.on_session_ready(calls, ready.route))
    state, more = after_requests(state, requesting.on_session_ready(state.requests, ready))
    return state, (*outputs, *more)


def on_tools(state: AgentState, item: ToolsChanged) -> Step:
    """The tools of a server as they are now: some may say otherwise than was approved."""
    server, tools = item.server, item.tools
    state = replace(state, tools={**state.tools, server: tools})
    pins, outputs = pinning.on_tools(state.pins, server, tools)
    held = pinning.held_names(pins)
    state = replace(state, pins=pins, calls=replace(state.calls, held=held))
    has_news = any(isinstance(each, ToolsHeld) for each in outputs)
    asked: Outputs = ()
    if has_news:
        move = approvals.withdraw(state.questions, server, "its tools have changed again")
        state, asked = after_questions(state, move)
    state, more = after_calls(state, tool_calls.on_tools(state.calls, server, tools))
    # In a chat it is asked at once: until then the model has to do without the tool.
    is_needed = state.plan.interactive or server in held_calls.servers_of_held(state.calls)
    state, most = settle(state, *([server] if has_news and is_needed else []))
    return state, (*outputs, *asked, *more, *most)

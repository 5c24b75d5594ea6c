"""What the agent knows: the conversation, the tools, and what it waits for."""

from typing import Literal, TypeAlias

import msgspec

from pipeline.core.calls import Calls
from pipeline.core.commands import Passing
from pipeline.core.conversation import Conversation
from pipeline.core.events import (
    CallSubmitted,
    Json,
    PromptSubmitted,
    RequestSubmitted,
    Tool,
)
from pipeline.core.pins import Pins
from pipeline.core.pins import initial as initial_pins
from pipeline.core.plan import Plan
from pipeline.core.question_table import Questions
from pipeline.core.request_table import Requests
from pipeline.core.spending import Spending

Phase: TypeAlias = Literal["starting", "idle", "thinking", "acting", "requesting"]
Wish: TypeAlias = PromptSubmitted | CallSubmitted | RequestSubmitted


class AgentState(msgspec.Struct, frozen=True):
    """`uses` pairs the calls of this turn with the model's ids; `results` holds what ended.

    A person's own call has no id of the model's: there it is None. `is_stopped`: the person wants
    no more of this turn, and only its last calls are still to end. `is_into_chat`: what is
    requested becomes part of the conversation.
    """

    plan: Plan
    calls: Calls
    questions: Questions
    requests: Requests
    pins: Pins
    phase: Phase = "starting"
    queue: tuple[Wish, ...] = ()
    is_into_chat: bool = False
    signing_in: frozenset[str] = frozenset()
    talk: Conversation = Conversation()
    before: Conversation = Conversation()
    tools: dict[str, tuple[Tool, ...]] = {}
    told_tools: tuple[Tool, ...] | None = None
    turn: int = 0
    attempt: int = 0
    models: int = 0
    numbers: int = 0
    uses: tuple[tuple[str, str | None], ...] = ()
    results: dict[str, Json] = {}
    is_stopped: bool = False
    spoken: str = ""
    spending: Spending = Spending()

    @property
    def model_call(self) -> str:
        """The id of the latest model call; what carries another is late and is dropped."""
        return f"model:{self.models}"


Outputs: TypeAlias = tuple[Passing, ...]
Step: TypeAlias = tuple[AgentState, Outputs]


def initial(plan: Plan) -> AgentState:
    """Nothing is asked yet, and no server is ready."""
    return AgentState(plan, Calls(plan), Questions(plan), Requests(plan), initial_pins(plan))

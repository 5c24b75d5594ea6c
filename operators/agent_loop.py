"""From prompts to answers: the third stage."""

from collections.abc import Callable

from reactivex import Observable

from operators.machine import machine
from pipeline.core.agent.machine import step
from pipeline.core.agent.state import initial
from pipeline.core.commands import Passing
from pipeline.core.plan import Plan


def agent_loop(plan: Plan) -> Callable[[Observable[Passing]], Observable[Passing]]:
    """Ask the model, run the tools it wants side by side, and ask again until it has its answer.

    --prompt---------finished[use a, use b]---b---a---------finished["5"]----
    [ agent_loop(plan)                                                     ]
    --prompt model---(post a, post b)-------------(model)---(answer, read)---
    """
    return machine(step, initial(plan))

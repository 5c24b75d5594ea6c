"""From tool lists to a registry: the second stage."""

from collections.abc import Callable

from reactivex import Observable

from operators.machine import machine
from pipeline.core.commands import Passing
from pipeline.core.plan import Plan
from pipeline.core.tools import initial, step


def tool_registry(plan: Plan) -> Callable[[Observable[Passing]], Observable[Passing]]:
    """Turn each `ToolsListed` into a `ToolsChanged`: checked, safely named, with the difference.

    --list[add]--------list[add now]----------
    [ tool_registry(plan)                    ]
    --changed[+add]----changed[+now]----------
    """
    return machine(step, initial(plan))

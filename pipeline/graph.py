"""The blueprint: which stages an item passes, in order. A value; running it is the runtime's."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from reactivex import Observable

from operators.agent_loop import agent_loop
from operators.end_of_run import end_of_run
from operators.extract_session import extract_session
from operators.route import Parcel, route
from operators.tool_registry import tool_registry
from pipeline.core.commands import Item, Passing
from pipeline.core.plan import Plan

Stages: TypeAlias = Callable[[Observable[Passing]], Observable[Parcel]]


def stages(
    plan: Plan,
    targets: Mapping[str, Callable[[Item], bool]],
    *,
    now: Callable[[], str],
    session: str = "",
) -> Stages:
    """Sessions, tools, agent, end of run, route: everything flows one way.

    `targets`, `now` and `session` as in `operators.route`. The same plan and inputs give the same
    items.
    """

    def chain(inputs: Observable[Passing]) -> Observable[Parcel]:
        return inputs.pipe(
            extract_session(plan),
            tool_registry(plan),
            agent_loop(plan),
            end_of_run(plan),
            route(targets, now=now, session=session),
        )

    return chain

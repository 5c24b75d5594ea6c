"""From settings to the plan of a run: what the core may know, without secrets."""

from collections.abc import Sequence
from importlib import metadata

from config.settings import Settings
from pipeline.core.plan import Goal, Plan, Price, ServerPlan


def version(package: str = "rxmcp") -> str:
    """The version of this program, or of a library; `0` where it was never installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "0"


def make_plan(
    settings: Settings, servers: Sequence[ServerPlan], *, goal: Goal, is_interactive: bool
) -> Plan:
    """The plan for servers: what the core is to do, and its limits."""
    price = settings.model_price
    return Plan(
        goal=goal,
        servers=tuple(servers),
        model=settings.model,
        system_prompt=settings.system_prompt,
        client_version=version(),
        interactive=is_interactive,
        ignore_tool_error=settings.ignore_tool_error,
        allowed_tools=settings.allowed_tools,
        disallowed_tools=settings.disallowed_tools,
        max_turns=settings.max_turns,
        max_budget_usd=settings.max_budget_usd,
        price=None if price is None else Price(**price.model_dump()),
        start_timeout=settings.start_timeout,
        connect_timeout=settings.connect_timeout,
        call_timeout=settings.call_timeout,
        call_timeout_max=settings.call_timeout_max,
        repeat_calls=settings.repeat_calls,
    )


def goal_of(settings: Settings, recorded: Goal | None = None) -> Goal:
    """What the run is for; one that goes on is for a new prompt, or for what it was `recorded`."""
    if settings.prompt is not None:
        return "prompt"
    if recorded is not None:
        return recorded
    match settings.command:
        case "tools" | "call":
            return settings.command
        case _:
            return "chat"

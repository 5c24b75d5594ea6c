"""From settings to the plan of a run: what the core may know, without secrets."""

from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import msgspec
from msgspec.structs import asdict

from config import prices
from config.commands import REQUESTS
from config.settings import Settings
from pipeline.core.events import Json, RequestSubmitted
from pipeline.core.plan import ChangedTools, Elicitation, Goal, Plan, Price, Sampling, ServerPlan
from pipeline.core.slash import SlashError, request

SHARED = (
    *("model", "system_prompt", "max_turns", "max_budget_usd", "allowed_tools", "disallowed_tools"),
    *("start_timeout", "connect_timeout", "call_timeout", "call_timeout_max", "question_timeout"),
    *("dialect_grace", "repeat_calls", "max_call_sends", "max_resumptions", "model_attempts"),
    *("max_pending_calls", "max_queued_prompts", "max_tools", "max_pages"),
    *("max_questions", "max_samples", "max_rounds", "max_refusals", "retry_max_wish"),
    *("list_pause", "ignore_tool_error"),
)
"""Fields that are the same in settings and in the plan, by name and by type."""


class WishError(ValueError):
    """A wish of the command line that cannot be fulfilled here; the text says why."""


def version(package: str = "rxmcp") -> str:
    """The version of this program, or of a library; `0` where it was never installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "0"


def make_plan(
    settings: Settings,
    servers: Sequence[ServerPlan],
    *,
    goal: Goal,
    is_interactive: bool,
    may_ask: bool = False,
) -> Plan:
    """The plan for servers: what the core is to do, and its limits.

    `may_ask`: there is a terminal at which a person can answer questions.

    Raises:
        WishError: If somebody is to be asked and nobody is there, or a root is no folder.
    """
    price = settings.model_price
    elicitation = _elicitation(settings, is_person_there=is_interactive and may_ask)
    sampling = _sampling(settings, is_person_there=is_interactive and may_ask)
    changed = _changed_tools(settings, is_person_there=is_interactive and may_ask)
    wishes = {"--elicit": elicitation, "--sampling": sampling, "--changed-tools": changed}
    flag = next((flag for flag, wish in wishes.items() if wish == "ask"), None)
    if flag is not None and not may_ask:
        raise WishError(
            f"{flag}: found ask and no terminal to ask at, expected one as standard input, output "
            "and error, or another word than ask"
        )
    return Plan(
        goal=goal,
        servers=tuple(servers),
        client_version=version(),
        interactive=is_interactive,
        price=None if price is None else Price(**price.model_dump()),
        elicitation=elicitation,
        answers=_answers(settings),
        sampling=sampling,
        roots=tuple(_root(folder) for folder in settings.roots),
        log_level=settings.server_log_level or "",
        tasks=True,
        await_posts=True,
        changed_tools=changed,
        approve=settings.approve,
        **{name: getattr(settings, name) for name in SHARED},
    )


def as_recorded(settings: Settings, plan: Plan) -> Settings:
    """The settings with what a recorded run was told, where nobody says otherwise now.

    Only what settings and plan share: who answers servers, and where they are, is not in it.
    """
    told = settings.model_fields_set
    same = {name: getattr(plan, name) for name in SHARED if name not in told}
    if "model" in same and "price" not in told and plan.price is not None:
        same["price"] = prices.Price(**asdict(plan.price))
    return settings.model_copy(update=same)


def goal_of(settings: Settings, recorded: Goal | None = None) -> Goal:
    """What the run is for; one that goes on is for a new prompt, or for what it was `recorded`."""
    if settings.prompt is not None:
        return "prompt"
    if recorded is not None:
        return recorded
    match settings.command:
        case "tools" | "call":
            return settings.command
        case command if command in REQUESTS:
            return "request"
        case _:
            return "chat"


def requests_of(settings: Settings) -> tuple[RequestSubmitted, ...]:
    """What the commands `resources`, `read`, `prompts` and so on ask for.

    Raises:
        WishError: If the words behind the command do not fit.
    """
    command, words = settings.command, settings.request_words
    if command not in REQUESTS:
        return ()
    # Who wants to know what there is to read wants to know of templates too.
    commands = ("resources", "templates") if command == "resources" else (command,)
    try:
        return tuple(request(each, words) for each in commands)
    except SlashError as exc:
        raise WishError(str(exc)) from exc


def _elicitation(settings: Settings, *, is_person_there: bool) -> Elicitation:
    if settings.elicit != "auto":
        return settings.elicit
    if settings.answers:
        return "defaults"
    return "ask" if is_person_there else "never"


def _sampling(settings: Settings, *, is_person_there: bool) -> Sampling:
    if settings.sampling != "auto":
        return settings.sampling
    return "ask" if is_person_there and settings.model != "direct" else "never"


def _changed_tools(settings: Settings, *, is_person_there: bool) -> ChangedTools:
    if settings.changed_tools != "auto":
        return settings.changed_tools
    return "ask" if is_person_there else "hold"


def _answers(settings: Settings) -> Json:
    """`NAME=VALUE` each, the value being JSON where it is any, else text."""
    found: Json = {}
    for word in settings.answers:
        name, _, value = word.partition("=")
        try:
            found[name] = msgspec.json.decode(value)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            found[name] = value
    return found


def _root(folder: str) -> str:
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise WishError(f"--root: found {folder!r}, expected a folder that is there")
    return path.resolve().as_uri()

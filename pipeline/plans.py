"""From settings to the plan of a run: what the core may know, without secrets."""

from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import msgspec

from config.settings import REQUESTS, Settings
from pipeline.core.events import Json, RequestSubmitted
from pipeline.core.plan import Elicitation, Goal, Plan, Price, Sampling, ServerPlan
from pipeline.core.slash import SlashError, request


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
    if "ask" in (elicitation, sampling) and not may_ask:
        flag = "--elicit" if elicitation == "ask" else "--sampling"
        raise WishError(
            f"{flag}: found ask and no terminal to ask at, expected one as standard input, output "
            "and error, or another word than ask"
        )
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
        elicitation=elicitation,
        answers=_answers(settings),
        sampling=sampling,
        roots=tuple(_root(folder) for folder in settings.roots),
        log_level=settings.server_log_level or "",
        question_timeout=settings.question_timeout,
        tasks=True,
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

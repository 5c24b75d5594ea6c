"""What no field of the settings can know alone: flags, commands and values that do not fit."""

from config.commands import ONE_THING, Command
from config.flags import Scanned, UsageError, shown
from config.help import COMMANDS, EXTRAS, goes_with
from config.said import Given
from config.settings import Settings
from config.variables import FLAGS

_IN_ORDER = (
    ("call_timeout", "call_timeout_max"),
    ("mailbox_low", "mailbox_high"),
    ("retry_first_delay", "retry_max_delay"),
    ("webhook_first_delay", "webhook_max_delay"),
)
"""Of each pair the first may not be more than the second."""


def check_flags(scanned: Scanned, command: Command) -> None:
    """Does each flag go with the command, and with the others?

    Raises:
        UsageError: If one does not.
    """
    # A replay against the real thing is a run of its own: what connects to servers goes with it.
    is_live = "against" in scanned.values
    for field, spelling in scanned.spelled.items():
        flag = FLAGS[field] if field in FLAGS else EXTRAS[field][0]
        if not goes_with(flag, command) and not (is_live and not flag.commands):
            fitting = ", ".join(name for name in COMMANDS if goes_with(flag, name))
            hint = " without --against live" if command == "replay" and not flag.commands else ""
            raise UsageError(f"option {spelling!r} goes with {fitting}, not with {command}{hint}")
    for one, other in (("json", "output_format"), ("quiet", "verbose")):
        if one in scanned.spelled and other in scanned.spelled:
            raise UsageError(
                f"found {scanned.spelled[one]!r} and {scanned.spelled[other]!r}, "
                "expected one of them"
            )


def check_together(settings: Settings, given: Given) -> None:
    """Do the values fit each other, and the command?

    Raises:
        UsageError: If some do not.
    """
    if settings.prompt is not None and not settings.prompt.strip():
        raise UsageError(f"{given.place('prompt')}: found an empty prompt, expected some text")
    command = settings.command if settings.against is None else "replay --against"
    is_one_object = command in (*ONE_THING, "replay --against")
    if is_one_object and settings.output_format == "stream-json":
        raise UsageError(
            f"{given.place('output_format')}: found 'stream-json', "
            f"expected text or json for {command}"
        )
    _check_order(settings, given)
    _check_drain(settings, given)
    if settings.compress != "none" and settings.rotate_size is None:
        raise UsageError(
            f"{given.place('compress')}: found {settings.compress!r} and no size at which a file "
            "ends, expected --rotate-size SIZE too: the file a run writes to stays as it is"
        )
    for name in ("check", "until", "speed", "fault"):
        if settings.against is not None and name in settings.model_fields_set:
            raise UsageError(
                f"found {given.place('against')} and {given.place(name)}, expected one of them: "
                "the one asks the real servers and model, the other is offline"
            )
    has_webhook = any(wish.kind == "webhook" for wish in settings.sinks)
    if settings.command == "outbox" and settings.outbox_action != "list" and not has_webhook:
        raise UsageError(
            f"outbox {settings.outbox_action} needs --sink webhook=URL: an outbox does not know "
            "its address, which may hold a secret"
        )
    if settings.command == "fork" and settings.at is None:
        raise UsageError("fork needs --at N, the event after which to go another way")
    if settings.command in ("migrate", "redact") and not settings.out:
        raise UsageError(
            f"{settings.command} needs --out PATH, the new file; the old one stays as it is"
        )
    is_priced = settings.model_price is not None or settings.command != "chat"
    if settings.max_budget_usd is not None and not is_priced:
        raise UsageError(
            f"{given.place('max_budget_usd')}: no price is known for {shown(settings.model)}, "
            "so the budget cannot be kept; give --price INPUT/OUTPUT (USD per million tokens)"
        )


def _check_order(settings: Settings, given: Given) -> None:
    for low, high in _IN_ORDER:
        least, most = getattr(settings, low), getattr(settings, high)
        if least <= most:
            continue
        # Whoever set only one of them hears of that one.
        if low in settings.model_fields_set or high not in settings.model_fields_set:
            raise UsageError(
                f"{given.place(low)}: found {least:g}, expected no more than "
                f"{given.place(high)}, which is {most:g}; raise that, too"
            )
        raise UsageError(
            f"{given.place(high)}: found {most:g}, expected no less than "
            f"{given.place(low)}, which is {least:g}; lower that, too"
        )


def _check_drain(settings: Settings, given: Given) -> None:
    # What nobody set is cut to fit; see `Settings.webhook`.
    drain, end = settings.webhook_drain, settings.shutdown_timeout
    if "webhook_drain" in settings.model_fields_set and drain > end / 2:
        raise UsageError(
            f"{given.place('webhook_drain')}: found {drain:g}, expected no more than half of "
            f"{given.place('shutdown_timeout')}, which is {end:g}; raise that, too"
        )

"""From words and variables to `Settings`, or to one line that says what is wrong."""

import json
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import InitSettingsSource

from config.flags import Scanned, UsageError, scan, shown
from config.help import COMMANDS, EXTRAS, goes_with, help_text
from config.settings import REQUESTS, Command, Settings
from config.variables import (
    FLAGS,
    VARIABLES,
    VariablesSource,
    check_variables,
    claude_secrets,
    claude_variables,
    odd_variables,
    read_dotenv,
)

__all__ = ["Shown", "UsageError", "read_command_line"]

CLAUDE = "claude-sonnet-5-5"
_SHORTEST_SECRET = 4
_ONE_THING = ("tools", "call", *REQUESTS)


_FILES: Mapping[Command, int] = MappingProxyType(
    {
        "replay": 1,
        "resume": 1,
        "fork": 1,
        "show": 1,
        "diff": 2,
        "lint": 1,
        "migrate": 1,
        "redact": 1,
    }
)


class Shown(Exception):  # noqa: N818  (no error: the wish is fulfilled)
    """Help or version was asked for: print the text on standard output, exit with 0."""


def read_command_line(
    argv: Sequence[str],
    environ: Mapping[str, str],
    dotenv: Path | None,
    *,
    program: str = "python main.py",
) -> Settings:
    """What a run is told: flags beat the environment, that beats the `.env` file, then defaults.

    `argv` is without the program's name. Nothing but `environ` and the file `dotenv` is read.

    Raises:
        UsageError: With one line for standard error; exit with 2.
        Shown: With a text for standard output; exit with 0.
    """
    scanned = scan(argv, {**FLAGS, **{name: flag for name, (flag, _) in EXTRAS.items()}})
    command, words = _command(scanned.words)
    if "help" in scanned.values:
        raise Shown(help_text(program, command if scanned.words else None))
    if "version" in scanned.values:
        raise Shown(f"rxmcp {_version()}\n")
    _check_flags(scanned, command)
    file = read_dotenv(dotenv)
    check_variables(environ)
    told = {
        **_flags(scanned, command),
        **_call(command, words),
        "command": command,
        "notices": odd_variables(environ, file),
        "claude_secrets": claude_secrets(environ, file),
        "named_secrets": _named(scanned.values.get("secret_env", ()), {**file, **environ}),
    }
    given = _Given(scanned.spelled, environ, file, dotenv)
    try:
        settings = Settings(
            _build_sources=(  # pyright: ignore[reportCallIssue]  (theirs, like `_env_file`)
                (
                    InitSettingsSource(Settings, told),
                    VariablesSource(Settings, environ),
                    VariablesSource(Settings, file),
                    InitSettingsSource(Settings, _defaults(command, environ, file)),
                ),
                {},
            )
        )
    except ValidationError as exc:
        # Not chained: the original shows every value, secrets included.
        raise UsageError(_explain(exc.errors(include_url=False)[0], given)) from None
    _check_together(settings, given)
    return settings


class _Given:
    """Who said what, for errors."""

    def __init__(
        self,
        spelled: Mapping[str, str],
        environ: Mapping[str, str],
        file: Mapping[str, str],
        path: Path | None,
    ) -> None:
        self._spelled = spelled
        self._environ = environ
        self._file = file
        self._path = path

    def place(self, field: str) -> str:
        """The flag or variable that said a field; of what nobody said, the flag."""
        variable = VARIABLES.get(field, "")
        if field in self._spelled:
            return self._spelled[field]
        if self._environ.get(variable):
            return variable
        if self._file.get(variable):
            return f"{variable} in {str(self._path)!r}"
        return FLAGS[field].name if field in FLAGS else variable


def _command(words: Sequence[str]) -> tuple[Command, Sequence[str]]:
    """The command, and the words behind it."""
    if not words:
        return "chat", ()
    for name, command in COMMANDS.items():
        if command.words and command.words.split(" ")[0] == words[0]:
            return name, words[1:]
    known = ", ".join(name for name in COMMANDS if name != "chat")
    raise UsageError(
        f"unknown command {shown(words[0])}; expected {known}, or -p TEXT for a prompt"
    )


def _check_flags(scanned: Scanned, command: Command) -> None:
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


def _flags(scanned: Scanned, command: Command) -> dict[str, Any]:
    told: dict[str, Any] = {
        field: value for field, value in scanned.values.items() if field in FLAGS
    }
    if "json" in scanned.values:
        told["output_format"] = "json" if command in _ONE_THING else "stream-json"
    return told


def _call(command: Command, words: Sequence[str]) -> dict[str, Any]:
    if command in _FILES:
        return _files(command, words)
    if command in REQUESTS:
        return {"request_words": tuple(words)}
    if command != "call":
        if words:
            raise UsageError(f"found {shown(words[0])} after {command}, expected nothing more")
        return {}
    if not words:
        raise UsageError("call needs the name of a tool; the command tools lists them")
    tool, *arguments = words
    objects = [word for word in arguments if word.startswith("{")]
    if objects and len(arguments) > 1:
        raise UsageError("call: found a JSON object and more, expected one object or key=value …")
    for word in arguments:
        if not word.startswith("{") and word.find("=") < 1:
            raise UsageError(
                f"call: found {shown(word)} after the tool, expected key=value or a JSON object"
            )
    for text in objects:
        _check_object(text)
    return {"call_tool": tool, "call_arguments": tuple(arguments)}


def _files(command: Command, words: Sequence[str]) -> dict[str, Any]:
    count = _FILES[command]
    if len(words) != count:
        expected = "one recording" if count == 1 else f"{count} recordings"
        raise UsageError(f"{command}: found {len(words)} files, expected {expected}")
    return {"files": tuple(words)}


def _named(names: str | bool | tuple[str, ...], variables: Mapping[str, str]) -> tuple[str, ...]:
    """The values of the variables of `--secret-env`."""
    found: list[str] = []
    for name in names if isinstance(names, tuple) else ():
        value = variables.get(name, "")
        if not value:
            raise UsageError(f"--secret-env: the variable {shown(name)} is not set, or empty")
        if len(value) < _SHORTEST_SECRET:
            raise UsageError(
                f"--secret-env: {shown(name)} holds {len(value)} characters, expected "
                f"{_SHORTEST_SECRET} or more: a shorter word stands in many places"
            )
        found.append(value)
    return tuple(found)


def _check_object(text: str) -> None:
    try:
        json.loads(text)
    except ValueError as exc:
        raise UsageError(f"call: the arguments are no JSON object: {exc}") from exc


def _defaults(
    command: Command, environ: Mapping[str, str], file: Mapping[str, str]
) -> dict[str, Any]:
    """Defaults that depend on what others have set up; a replay has the model of its recording."""
    has_claude = command != "replay" and bool(claude_variables(environ, file))
    found = {"model": CLAUDE} if has_claude else {}
    return found | ({"color": "never"} if environ.get("NO_COLOR") else {})


def _explain(error: ErrorDetails, given: _Given) -> str:
    """One line about the first thing that pydantic refused."""
    place = given.place(str(error["loc"][0]))
    limits = error.get("ctx", {})
    match error["type"]:
        case "value_error":
            return f"{place}: {limits['error']}"
        case "greater_than":
            expected = f"a number above {limits['gt']:g}"
        case "greater_than_equal":
            expected = f"{limits['ge']:g} or more"
        case "less_than_equal":
            expected = f"{limits['le']:g} or less"
        case "float_parsing":
            expected = "a number"
        case "finite_number":
            expected = "a finite number"
        case "int_parsing" | "int_parsing_size":
            expected = "a whole number"
        case "bool_parsing":
            expected = "true or false"
        case "string_too_short":
            expected = "some text"
        case "literal_error":
            expected = str(limits["expected"])
        case _:
            expected = error["msg"]
    return f"{place}: found {shown(str(error['input']))}, expected {expected}"


def _check_together(settings: Settings, given: _Given) -> None:
    """What no field can know alone."""
    if settings.prompt is not None and not settings.prompt.strip():
        raise UsageError(f"{given.place('prompt')}: found an empty prompt, expected some text")
    command = settings.command if settings.against is None else "replay --against"
    is_one_object = command in (*_ONE_THING, "replay --against")
    if is_one_object and settings.output_format == "stream-json":
        raise UsageError(
            f"{given.place('output_format')}: found 'stream-json', "
            f"expected text or json for {command}"
        )
    for low, high in (
        ("call_timeout", "call_timeout_max"),
        ("mailbox_low", "mailbox_high"),
        ("retry_first_delay", "retry_max_delay"),
        ("webhook_first_delay", "webhook_max_delay"),
    ):
        least, most = getattr(settings, low), getattr(settings, high)
        if least > most:
            raise UsageError(
                f"{given.place(low)}: found {least:g}, expected no more than "
                f"{given.place(high)}, which is {most:g}"
            )
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


def _version() -> str:
    try:
        return metadata.version("rxmcp")
    except metadata.PackageNotFoundError:
        return "from a checkout"

"""From words and variables to `Settings`, or to one line that says what is wrong."""

from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import InitSettingsSource

from config.checks import check_flags, check_together
from config.commands import ONE_THING, Command
from config.flags import Scanned, UsageError, scan, shown
from config.help import EXTRAS, help_text
from config.said import Given, explain
from config.settings import Settings
from config.variables import (
    FLAGS,
    VariablesSource,
    check_variables,
    claude_secrets,
    claude_variables,
    odd_variables,
    read_dotenv,
)
from config.words import command_of, wishes_of

__all__ = ["Shown", "UsageError", "read_command_line"]

CLAUDE = "claude-sonnet-5-5"
_SHORTEST_SECRET = 4
_GO_ON = ("replay", "resume", "fork")


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
    command, words = command_of(scanned.words)
    if "help" in scanned.values or "help_all" in scanned.values:
        page = command if scanned.words else None
        raise Shown(help_text(program, page, has_details="help_all" in scanned.values))
    if "version" in scanned.values:
        raise Shown(f"rxmcp {_version()}\n")
    check_flags(scanned, command)
    file = read_dotenv(dotenv)
    check_variables(environ)
    told = {
        **_flags(scanned, command),
        **wishes_of(command, words),
        "command": command,
        "notices": odd_variables(environ, file),
        "claude_secrets": claude_secrets(environ, file),
        "named_secrets": _named(scanned.values.get("secret_env", ()), {**file, **environ}),
    }
    given = Given(scanned.spelled, environ, file, dotenv)
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
        raise UsageError(explain(exc.errors(include_url=False)[0], given)) from None
    check_together(settings, given)
    return settings


def _flags(scanned: Scanned, command: Command) -> dict[str, Any]:
    told: dict[str, Any] = {
        field: value for field, value in scanned.values.items() if field in FLAGS
    }
    if "json" in scanned.values:
        told["output_format"] = "json" if command in ONE_THING else "stream-json"
    return told


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


def _defaults(
    command: Command, environ: Mapping[str, str], file: Mapping[str, str]
) -> dict[str, Any]:
    """Defaults that depend on what others have set up; a recorded run keeps its model."""
    has_claude = command not in _GO_ON and bool(claude_variables(environ, file))
    found = {"model": CLAUDE} if has_claude else {}
    return found | ({"color": "never"} if environ.get("NO_COLOR") else {})


def _version() -> str:
    try:
        return metadata.version("rxmcp")
    except metadata.PackageNotFoundError:
        return "from a checkout"

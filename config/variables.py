"""Settings from variables: those of the environment, and those of a `.env` file."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from dotenv.parser import parse_stream
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from config.flags import Flag, UsageError, Variable, is_text, shown
from config.servers import url_secrets
from config.settings import Settings

PREFIX = "RXMCP_"
_BASE_URL, _HEADERS = "ANTHROPIC_BASE_URL", "ANTHROPIC_CUSTOM_HEADERS"
CLAUDE_VARIABLES = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL")
"""Read by Claude's SDK. One of them set means that there is a model to talk to."""


def _marks() -> tuple[dict[str, Flag], dict[str, str]]:
    flags: dict[str, Flag] = {}
    variables: dict[str, str] = {}
    for field, info in Settings.model_fields.items():
        for mark in info.metadata:
            if isinstance(mark, Flag):
                name = mark.name or "--" + field.replace("_", "-")
                flags[field] = replace(mark, name=name)
                if mark.variable is not None:
                    said = name.removeprefix("--").replace("-", "_").upper()
                    variables[field] = mark.variable or PREFIX + said
            elif isinstance(mark, Variable):
                variables[field] = mark.name or PREFIX + field.upper()
    return flags, variables


FLAGS, VARIABLES = _marks()
"""The flag of each field that has one, its name filled in; the variable of each that has one."""


class VariablesSource(PydanticBaseSettingsSource):
    """The settings that `variables` hold. An empty variable counts as one that is not set."""

    def __init__(self, settings: type[BaseSettings], variables: Mapping[str, str]) -> None:
        super().__init__(settings)
        self._variables = variables

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002  (their interface)
        """The value of one field, None where its variable is not set."""
        text = self._variables.get(VARIABLES.get(field_name, ""), "")
        return (_value(field_name, text) if text else None), field_name, False

    def __call__(self) -> dict[str, Any]:
        """All values there are, by field."""
        found = {
            name: self.get_field_value(field, name)[0]
            for name, field in self.settings_cls.model_fields.items()
        }
        return {name: value for name, value in found.items() if value is not None}


def read_dotenv(path: Path | None) -> dict[str, str]:
    """The variables of a `.env` file: lines `NAME=value`, quotes and `export` allowed, no `${…}`.

    A missing file holds none.

    Raises:
        UsageError: If it cannot be read, or a line is none. The text shows nothing of the line.
    """
    if path is None:
        return {}
    try:
        with path.open(encoding="utf-8-sig") as file:
            bindings = list(parse_stream(file))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is no UTF-8 text"
        raise UsageError(f"cannot read {str(path)!r}: {reason}") from exc
    for binding in bindings:
        is_ours = binding.key is not None and binding.key in VARIABLES.values()
        if binding.error or (is_ours and binding.value is None):
            place = f"line {binding.original.line} of {str(path)!r}"
            raise UsageError(f"{place}: found no variable, expected NAME=value")
    return {
        binding.key: binding.value
        for binding in bindings
        if binding.key is not None and binding.value is not None
    }


def claude_variables(environ: Mapping[str, str], dotenv: Mapping[str, str]) -> dict[str, str]:
    """What Claude's SDK is to know, from the environment or else from the `.env` file.

    The values are secrets: hand them to the SDK, and nowhere else.
    """
    found = {name: environ.get(name) or dotenv.get(name, "") for name in CLAUDE_VARIABLES}
    return {name: value for name, value in found.items() if value}


def claude_secrets(environ: Mapping[str, str], dotenv: Mapping[str, str]) -> tuple[str, ...]:
    """What must never be shown of that: keys, what the URL holds, and the values of headers."""
    known = claude_variables(environ, dotenv)
    found = [value for name, value in known.items() if name != _BASE_URL]
    with suppress(ValueError):  # Claude's SDK will say that this is no URL
        found += sorted(url_secrets(known.get(_BASE_URL, "")))
    lines = environ.get(_HEADERS, "").splitlines()
    return (*found, *(value.strip() for _, _, value in (line.partition(":") for line in lines)))


def check_variables(variables: Mapping[str, str]) -> None:
    """Refuse those of ours that hold no text.

    Raises:
        UsageError: With the variable's name.
    """
    for name in VARIABLES.values():
        if not is_text(variables.get(name, "")):
            raise UsageError(f"{name}: found bytes that are no UTF-8 text")


def odd_variables(*sources: Mapping[str, str]) -> tuple[str, ...]:
    """One line for each variable that is named as if it were ours, and is not.

    No error: Kubernetes sets `RXMCP_SERVICE_HOST` and the like for a service called `rxmcp`.
    """
    names = {name for source in sources for name in source if name.startswith(PREFIX)}
    known = list(VARIABLES.values())
    return tuple(_odd(name, known) for name in sorted(names.difference(known)))


def _odd(name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, n=1, cutoff=0.8)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"the variable {shown(name)} means nothing here{hint}"


def _value(field: str, text: str) -> str | tuple[str, ...]:
    """A list has commas; headers stand one a line, for a header's value may hold commas."""
    if field not in FLAGS or not FLAGS[field].is_repeatable:
        return text
    parts = text.split("\n" if field == "headers" else ",")
    return tuple(part.strip() for part in parts if part.strip())

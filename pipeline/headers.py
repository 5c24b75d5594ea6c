"""The first line of a recording: what ran, where, and what it was told, without secrets."""

import platform
import secrets
from datetime import UTC, datetime
from typing import Any

from config.servers import url_secrets
from config.settings import Settings
from config.variables import FLAGS, VARIABLES
from pipeline.core.codec import Header
from pipeline.core.events import Json
from pipeline.core.plan import Plan
from pipeline.core.secrets import spans
from pipeline.core.shapes import is_list, is_object
from pipeline.plans import version
from pipeline.shell.targets import public_url

HIDDEN = "«secret»"
_SHAPING = ("reactivex", "aiohttp", "anthropic", "msgspec")
# What a person can say, but for texts that the plan and the events have.
_TOLD = {*FLAGS, *VARIABLES, "command", "files"} - {"prompt", "system_prompt"}
_SHORTEST_SECRET = 8  # hiding shorter words would eat into ordinary text


def new_header(settings: Settings, plan: Plan | None = None) -> Header:
    """The header of a recording that begins now."""
    return Header(
        rxmcp=version(),
        session=secrets.token_hex(8),
        at=now(),
        versions=versions(),
        settings=public_settings(settings),
        plan=Plan() if plan is None else plan,
    )


def now() -> str:
    """RFC 3339, UTC, microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def versions() -> dict[str, str]:
    """Python's, the system's name, and those of the libraries that shape what happens."""
    libraries = {name: version(name) for name in _SHAPING}
    return {"python": platform.python_version(), "system": platform.system(), **libraries}


def public_settings(settings: Settings) -> Json:
    """What was set otherwise than by default, as JSON values, without secrets.

    A key or a header's value shows as `**********`, so that one sees that there was one. URLs have
    neither userinfo nor query nor fragment; what looks like a key in a path or in any other text is
    `«secret»`, and so is a whole text that is JSON.
    """
    told = settings.model_dump(mode="json", exclude_defaults=True, include=_TOLD)
    known = [value for value in settings.secrets() if len(value) >= _SHORTEST_SECRET]
    # Longest first, so that hiding a part does not save the rest.
    known.sort(key=lambda value: (-len(value), value))
    return {name: _without_secrets(value, known) for name, value in told.items()}


def _without_secrets(value: Any, known: list[str]) -> Any:
    if is_object(value):
        return {name: _without_secrets(inner, known) for name, inner in value.items()}
    if is_list(value):
        return [_without_secrets(inner, known) for inner in value]
    if isinstance(value, str):
        # A configuration that was given as it is has keys at any place in it.
        is_json = value.lstrip().startswith("{")
        return HIDDEN if is_json else _hide(_hide_in_url(value), known)
    return value


def _hide_in_url(text: str) -> str:
    if not text.lower().startswith(("http://", "https://")):
        return text
    try:
        url = public_url(text)
    except ValueError:
        return HIDDEN
    for key in url_secrets(url):
        url = url.replace(key, HIDDEN)
    return url


def _hide(text: str, known: list[str]) -> str:
    for value in known:
        text = text.replace(value, HIDDEN)
    for start, stop, _ in reversed(list(spans(text))):
        text = f"{text[:start]}{HIDDEN}{text[stop:]}"
    return text

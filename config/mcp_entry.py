"""One entry of `mcpServers`, in the spellings that clients write, read into one checked form."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

Transport: TypeAlias = Literal["auto", "sse", "http", "stdio"]

MOST_NAME = 64
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_VARIABLE = re.compile(r"\$\{(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_TYPES: dict[str, Transport] = {
    "stdio": "stdio",
    "local": "stdio",
    "sse": "sse",
    "http": "http",
    "remote": "auto",
    "streamablehttp": "http",
    "streamable": "http",
}
_URLS = ("url", "serverUrl", "httpUrl")
_KNOWN = frozenset(
    {
        *("command", "args", "env", "cwd", *_URLS, "type", "transport", "headers"),
        *("disabled", "enabled", "timeout", "required", "description", "name"),
    }
)
_SUSPICIOUSLY_SHORT = 1000  # milliseconds: whoever writes less most likely means seconds


class McpConfigError(ValueError):
    """A configuration of servers that cannot be used; the text says where and what to do."""


@dataclass(frozen=True, slots=True, repr=False)
class McpEntry:
    """One server: a `url` with `headers`, or a `command` with `args`, `env` and `cwd`.

    `timeout` is in seconds, None where it has none of its own; `source` is the file that it is
    from, empty for one of the command line. `is_recorded`: nobody but a recording names it, which
    may be from anybody. Values may be secrets, so `repr` shows none. `notices` are words about what
    was read but looks like a mistake.
    """

    name: str
    transport: Transport = "auto"
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    command: str = ""
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    cwd: str | None = None
    timeout: float | None = None
    required: bool = False
    source: str = ""
    is_recorded: bool = False
    notices: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"McpEntry({self.name!r}, {self.transport!r})"

    def secrets(self) -> frozenset[str]:
        """Values that must not be shown: those of headers and of the environment."""
        tokens = {value.rpartition(" ")[2] for value in self.headers.values()}
        return frozenset({*self.headers.values(), *tokens, *self.env.values()}) - {""}


def read_entry(
    name: str, raw: Any, environ: Mapping[str, str], *, where: str, base: Path
) -> McpEntry | None:
    """Read one entry; None if it is disabled. A relative `cwd` is taken from `base`.

    Raises:
        McpConfigError: If it cannot be used; the text begins with `where`.
    """
    reader = _Reader(name, raw, environ, where)
    if reader.flag("disabled", default=False) or not reader.flag("enabled", default=True):
        return None
    if len(name) > MOST_NAME or _NAME.fullmatch(name) is None:
        reader.fail(
            f"found the name {name!r}, expected letters, digits, '-', '_' and '.', "
            f"at most {MOST_NAME}"
        )
    transport, url, command = reader.transport(), reader.url(), reader.text("command")
    if bool(url) == bool(command):
        found = "both a command and a url" if url else "neither a command nor a url"
        reader.fail(f"found {found}, expected one of them")
    if command and transport not in ("auto", "stdio"):
        reader.fail(f"found type {transport!r} for a command, expected stdio")
    if url and transport == "stdio":
        reader.fail("found type 'stdio' for a url, expected http or sse, or no type at all")
    cwd = reader.text("cwd")
    return McpEntry(
        name=name,
        transport="stdio" if command else transport,
        url=url,
        headers=reader.texts("headers"),
        command=command,
        args=reader.arguments(),
        env=reader.texts("env"),
        cwd=str(base / cwd) if cwd else None,
        timeout=reader.timeout(),
        required=reader.flag("required", default=False),
        source=where,
        notices=reader.notices(),
    )


class _Reader:
    """The members of one entry, checked one by one."""

    def __init__(self, name: str, raw: Any, environ: Mapping[str, str], where: str) -> None:
        self._where = f"{where}: server {name!r}"
        self._environ = environ
        self._notices: list[str] = []
        if not isinstance(raw, dict):
            self.fail(f"found {_kind(raw)}, expected an object")
        self._raw: dict[str, Any] = raw

    def fail(self, words: str) -> None:
        raise McpConfigError(f"{self._where}: {words}")

    def notices(self) -> tuple[str, ...]:
        unknown = sorted(key for key in self._raw if key not in _KNOWN)
        if unknown:
            self._notices.append(f"{self._where}: {', '.join(unknown)} is not known, so not used")
        return tuple(self._notices)

    def flag(self, key: str, *, default: bool) -> bool:
        value = self._raw.get(key, default)
        if not isinstance(value, bool):
            self.fail(f"{key}: found {_kind(value)}, expected true or false")
        return bool(value)

    def text(self, key: str) -> str:
        value = self._raw.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            self.fail(f"{key}: found {_kind(value)}, expected text")
        return self._expand(key, str(value))

    def texts(self, key: str) -> dict[str, str]:
        value: Any = self._raw.get(key) or {}
        if not isinstance(value, dict):
            self.fail(f"{key}: found {_kind(value)}, expected an object")
        members = cast("dict[str, Any]", value)
        found: dict[str, str] = {}
        for name, member in members.items():
            if isinstance(member, bool) or not isinstance(member, str | int | float):
                self.fail(f"{key}.{name}: found {_kind(member)}, expected text")
            found[name] = self._expand(f"{key}.{name}", str(member))
        return found

    def arguments(self) -> tuple[str, ...]:
        value: Any = self._raw.get("args") or []
        if not isinstance(value, list):
            self.fail(f"args: found {_kind(value)}, expected a list of texts")
        members = cast("list[Any]", value)
        for member in members:
            if not isinstance(member, str):
                self.fail(f"args: found {_kind(member)} in it, expected a list of texts")
        return tuple(self._expand("args", member) for member in members)

    def transport(self) -> Transport:
        value = self._raw.get("type", self._raw.get("transport"))
        if value is None:
            return "auto"
        plain = re.sub(r"[-_ ]", "", value.lower()) if isinstance(value, str) else ""
        if plain not in _TYPES:
            self.fail(f"type: found {value!r}, expected stdio, http or sse")
        return _TYPES[plain]

    def url(self) -> str:
        return next((text for key in _URLS if (text := self.text(key))), "")

    def timeout(self) -> float | None:
        value = self._raw.get("timeout")
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            self.fail(f"timeout: found {value!r}, expected milliseconds, more than 0")
        if value < _SUSPICIOUSLY_SHORT:
            self._notices.append(
                f"{self._where}: timeout is in milliseconds, so {value:g} is {value / 1000:g} s"
            )
        return float(value) / 1000

    def _expand(self, key: str, text: str) -> str:
        """`${NAME}` and `${NAME:-default}`; `${env:NAME}` as some editors write it."""

        def value(match: re.Match[str]) -> str:
            name, default = match.groups()
            found = self._environ.get(name)
            if default is not None and not found:
                return default
            if found is None:
                raise McpConfigError(
                    f"{self._where}: {key}: ${{{name}}} is not set; set it, or write "
                    f"${{{name}:-default}}"
                )
            return found

        return _VARIABLE.sub(value, text)


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return "text"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case _:
            return "an object"

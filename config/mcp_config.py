"""Servers from a configuration, as other clients write it: `{"mcpServers": {NAME: …}}`.

It comes from `--mcp-config FILE|JSON`, else from `.mcp.json` in the working folder and a file of
the user's own. It is JSON: comments, or a comma too many, are errors that say so.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from config.mcp_entry import McpConfigError, McpEntry, read_entry

PROJECT_FILE = Path(".mcp.json")
MOST_SERVERS = 64
_MOST_BYTES = 1024 * 1024


def user_file(environ: Mapping[str, str]) -> Path:
    """`rxmcp/mcp.json` in the user's folder for configuration (XDG Base Directory)."""
    home = environ.get("XDG_CONFIG_HOME")
    folder = Path(home) if home else Path(environ.get("HOME", "~")).expanduser() / ".config"
    return folder / "rxmcp" / "mcp.json"


def read_config(
    given: Sequence[str], environ: Mapping[str, str], *, folder: Path
) -> tuple[McpEntry, ...]:
    """The servers that are configured, in order, without those that are disabled.

    `given` are files or JSON texts, of which a later one beats an earlier one that names the same
    server. Without any, the project's file beats the user's.

    Raises:
        McpConfigError: If one cannot be read, or not be used.
    """
    if given:
        sources = [_given(source, folder) for source in given]
    else:
        files = (user_file(environ), folder / PROJECT_FILE)
        sources = [
            (PROJECT_FILE.name if file.parent == folder else str(file), _read(file), file.parent)
            for file in files
            if file.is_file()
        ]
    entries: dict[str, McpEntry | None] = {}
    for where, text, base in sources:
        for name, raw in _servers(where, text).items():
            entries[name] = read_entry(name, raw, environ, where=where, base=base)
    return tuple(entry for entry in entries.values() if entry is not None)


def _given(source: str, folder: Path) -> tuple[str, str, Path]:
    if source.lstrip().startswith("{"):
        return "--mcp-config", source, folder
    path = Path(source).expanduser()
    path = path if path.is_absolute() else folder / path
    return source, _read(path), path.parent


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as exc:
        raise McpConfigError(f"cannot read {str(path)!r}: {exc.strerror}") from exc
    if len(data) > _MOST_BYTES:
        raise McpConfigError(f"{path}: is larger than {_MOST_BYTES} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise McpConfigError(f"{path}: is no UTF-8 text: {exc.reason} at byte {exc.start}") from exc


def _servers(where: str, text: str) -> dict[str, Any]:
    try:
        value: Any = json.loads(text, object_pairs_hook=_without_repeats)
    except json.JSONDecodeError as exc:
        hint = _hint(text, exc.pos)
        raise McpConfigError(f"{where}:{exc.lineno}:{exc.colno}: {exc.msg}{hint}") from exc
    except (_RepeatedError, RecursionError) as exc:
        raise McpConfigError(f"{where}: {exc}") from exc
    if not isinstance(value, dict):
        raise McpConfigError(f'{where}: found no object, expected {{"mcpServers": {{…}}}}')
    members = cast("dict[str, Any]", value)
    servers = members.get("mcpServers")
    if servers is None:
        raise McpConfigError(f"{where}: {_instead(members)}")
    if not isinstance(servers, dict):
        raise McpConfigError(f"{where}: mcpServers: expected an object, a member for each server")
    named = cast("dict[str, Any]", servers)
    if len(named) > MOST_SERVERS:
        raise McpConfigError(
            f"{where}: found {len(named)} servers, expected {MOST_SERVERS} or fewer"
        )
    return named


def _instead(members: Mapping[str, Any]) -> str:
    if "servers" in members:
        return (
            "found the key 'servers', which is how VS Code writes it; expected 'mcpServers' "
            "(rename the key: the entries in it may stay as they are)"
        )
    if "mcp" in members:
        return "found the key 'mcp', expected 'mcpServers' with the servers in it"
    found = ", ".join(repr(key) for key in list(members)[:5]) or "nothing"
    return f"found {found}, expected the key 'mcpServers'"


def _hint(text: str, at: int) -> str:
    if text[at : at + 2] in ("//", "/*"):
        return "; comments are not part of JSON"
    if text[at : at + 1] in ("}", "]") and text[:at].rstrip().endswith(","):
        return "; there is a comma too many before it"
    return ""


class _RepeatedError(ValueError):
    """A key that stands twice in one object: which one counts would be a guess."""


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _RepeatedError(f"found the key {key!r} twice in one object")
        found[key] = value
    return found

"""Which servers a run has, and what each needs to be reached: from settings and configurations."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from config.mcp_config import PROJECT_FILE, read_config
from config.mcp_entry import McpConfigError, McpEntry
from config.servers import EMBEDDED, server_names
from config.settings import Settings
from config.state import NoHomeError, state_folder
from pipeline.core.plan import ServerPlan
from pipeline.core.secrets import PLACEHOLDER
from pipeline.links import Server
from pipeline.shell.consents_file import ConsentsFile
from pipeline.shell.oauth.setup import make_authorizer
from pipeline.shell.process import Program
from pipeline.shell.targets import make_target, public_url


class ServersError(ValueError):
    """Servers that cannot be had; the text says which, and what to do."""


def configured(
    settings: Settings, environ: Mapping[str, str], folder: Path
) -> tuple[McpEntry, ...]:
    """The servers that are configured in files, whether the run takes them or not.

    Raises:
        ServersError: If a configuration cannot be used.
    """
    try:
        return read_config(settings.mcp_config, environ, folder=folder)
    except McpConfigError as exc:
        raise ServersError(str(exc)) from exc


def consents(settings: Settings, folder: Path) -> ConsentsFile | None:
    """What a person has allowed the project in `folder` to start; None: there is no home for it."""
    try:
        return ConsentsFile(state_folder(settings.oauth_state_home) / "programs.json", folder)
    except NoHomeError:
        return None


def choose(
    settings: Settings,
    entries: Sequence[McpEntry],
    known: Sequence[ServerPlan],
    *,
    allow: Callable[[Sequence[McpEntry]], bool],
) -> tuple[McpEntry, ...]:
    """The servers of a run; none: the server inside is to be started, in place of any of its name.

    Those that `--server` names, else those `known` from an earlier run, else all that are
    configured. `allow` is asked before programs of the working folder's own file are started.

    Raises:
        ServersError: If a name is not known, an address not whole, or programs are not allowed.
    """
    named = {entry.name: entry for entry in entries}
    if settings.servers:
        chosen = _wanted(settings.servers, named)
    elif known:
        chosen = [_known(plan, named) for plan in known if plan.name != EMBEDDED]
    else:
        chosen = list(entries)
    if settings.dialect == "stdio" and any(entry.url for entry in chosen):
        raise ServersError("--dialect stdio is for servers with a command, which need none")
    # Whoever names the file has said so already.
    is_found = not settings.mcp_config
    strangers = [e for e in chosen if is_found and e.command and e.source == PROJECT_FILE.name]
    if strangers and not allow(strangers):
        raise ServersError(
            f"{PROJECT_FILE} would start {', '.join(e.command for e in strangers)}; to allow "
            f"that, give --mcp-config {PROJECT_FILE}"
        )
    return tuple(chosen)


def server_plan(entry: McpEntry, settings: Settings) -> ServerPlan:
    """What the core may know of a server."""
    dialect = "stdio" if entry.command else settings.dialect
    if dialect == "auto" and entry.transport in ("sse", "http"):
        dialect = entry.transport
    return ServerPlan(
        name=entry.name,
        url=public_url(entry.url) if entry.url else "",
        dialect=dialect,
        program=Path(entry.command).name,
        call_timeout=entry.timeout,
        required=entry.required,
    )


def connect(
    entry: McpEntry,
    settings: Settings,
    *,
    is_terminal: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Server:
    """What the shell needs to reach a server, credentials included.

    `is_terminal`: a person may be asked to allow access, and reads what `say` gets.

    `MCP_API_KEY` is for servers of the command line and `MCP_SERVER_URL` only: one from a file has
    its own headers there. A server that only a recording names gets no credential at all, for the
    recording may be from anybody, and lead anywhere; see `withheld`.

    Raises:
        ServersError: If its address or a header cannot be used.
    """
    if entry.command:
        return Program(entry.name, entry.command, entry.args, entry.env, entry.cwd)
    is_ours = not (entry.source or entry.is_recorded)
    key = None if settings.api_key is None or not is_ours else settings.api_key.get_secret_value()
    headers = () if entry.is_recorded else settings.headers
    given = {header.name: header.value.get_secret_value() for header in headers}
    try:
        target = make_target(
            entry.name,
            entry.url,
            api_key=key,
            api_key_header=settings.api_key_header,
            extra_headers={**entry.headers, **given},
        )
        # Secrets of this client are for servers that the command line names, as the key is.
        oauth = settings.oauth if is_ours else settings.oauth.without_credentials()
        authorizer = make_authorizer(target, oauth, terminal=is_terminal, say=say)
        return replace(target, authorizer=authorizer)
    except ValueError as exc:
        where = f"{entry.source}: " if entry.source else ""
        raise ServersError(f"{where}server {entry.name!r} cannot be asked: {exc}") from exc


def withheld(entries: Sequence[McpEntry], settings: Settings) -> str:
    """Which credentials are not sent where, and how to have them sent; empty: none is held back."""
    strangers = ", ".join(entry.name for entry in entries if entry.is_recorded)
    held = [
        *(["MCP_API_KEY"] if settings.api_key is not None else []),
        *(["--header"] if settings.headers else []),
    ]
    if not (strangers and held):
        return ""
    what = f"{' and '.join(held)} {'is' if len(held) == 1 else 'are'}"
    return (
        f"{what} not sent to what only the recording names ({strangers}); if that is where "
        f"{'it belongs' if len(held) == 1 else 'they belong'}, give --server URL"
    )


def reach(
    entries: Sequence[McpEntry],
    settings: Settings,
    *,
    is_terminal: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[list[ServerPlan], list[Server]]:
    """All servers of a run, as the core knows them, and as the shell reaches them; see `connect`.

    Raises:
        ServersError: If the address or a header of one cannot be used.
    """
    links = [connect(each, settings, is_terminal=is_terminal, say=say) for each in entries]
    return [server_plan(each, settings) for each in entries], links


def _wanted(words: Sequence[str], named: Mapping[str, McpEntry]) -> list[McpEntry]:
    """Each is an address, or the name of a configured server."""
    urls = [word for word in words if "://" in word]
    names = dict(zip(urls, server_names(urls), strict=True))
    chosen: list[McpEntry] = []
    for word in words:
        if word in names:
            chosen.append(McpEntry(names[word], url=word))
        elif word in named:
            chosen.append(named[word])
        else:
            known = f"one of {', '.join(named)}" if named else "a name (none is configured)"
            raise ServersError(f"--server: found {word!r}, expected http://…, https://… or {known}")
    return chosen


def _known(plan: ServerPlan, named: Mapping[str, McpEntry]) -> McpEntry:
    """A server of an earlier run, with the credentials that are configured for it now."""
    entry = named.get(plan.name)
    is_same = entry is not None and (
        public_url(entry.url) == plan.url if entry.url else Path(entry.command).name == plan.program
    )
    if entry is not None and is_same:
        return entry
    if plan.program:
        raise ServersError(
            f"the recording does not hold how to start {plan.name!r} ({plan.program}): configure "
            "it in .mcp.json, or give --mcp-config"
        )
    if PLACEHOLDER.search(plan.url):
        raise ServersError(
            f"the recording does not hold the whole address of {plan.name!r}, for there is a key "
            "in it: give it with --server"
        )
    return McpEntry(plan.name, url=plan.url, is_recorded=True)

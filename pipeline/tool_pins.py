"""The pins of a run: which file has them, and what its servers are called there.

A server is what it is, not what somebody named it: two configurations may use one name for
different servers, and an entry of a configuration may come to mean another program.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from msgspec.structs import replace

from config.mcp_entry import McpEntry
from config.servers import EMBEDDED, url_secrets
from config.settings import Settings
from config.state import NoHomeError, state_folder
from pipeline.core.canonical import canonical
from pipeline.core.commands import PinTools
from pipeline.core.plan import ServerPlan, ToolPin
from pipeline.shell.pins_file import PinsError, PinsFile
from pipeline.shell.targets import public_url

NO_PINS = "none"


class ToolPins:
    """Reads the pins that a run begins with, and keeps those it adds.

    `file` None: nothing is pinned. `folder` is that in which programs are started.

    Raises:
        PinsError: If the file is there and cannot be used.
    """

    def __init__(self, file: PinsFile | None, entries: Sequence[McpEntry], folder: Path) -> None:
        # The server inside is a part of this program: it changes with it, and with nothing else.
        others = [] if file is None else [each for each in entries if each.name != EMBEDDED]
        self._file = file
        self._identities = {each.name: identity(each, folder) for each in others}
        self._pins: Mapping[str, Mapping[str, ToolPin]] = {}
        if file is not None and others:
            self._pins = file.read()

    def with_pins(self, servers: Sequence[ServerPlan]) -> list[ServerPlan]:
        """The plans of the servers, with what was approved of each."""
        return [self._with_pins(server) for server in servers]

    def keep(self, command: PinTools) -> str:
        """Add to the file what the core says; why it could not be, or nothing."""
        identity_ = self._identities.get(command.server)
        if self._file is None or identity_ is None:
            return ""
        try:
            self._file.keep(identity_, command.pins, is_approval=command.is_approval)
        except PinsError as exc:
            return str(exc)
        return ""

    def _with_pins(self, server: ServerPlan) -> ServerPlan:
        if server.name not in self._identities:
            return server
        pins = self._pins.get(self._identities[server.name], {})
        return replace(server, pins=dict(pins))


def tool_pins(settings: Settings, entries: Sequence[McpEntry], folder: Path) -> ToolPins:
    """The pins of a run with these servers; see `ToolPins`.

    Raises:
        PinsError: If the file cannot be used, or there is no place for it.
    """
    is_needed = any(entry.name != EMBEDDED for entry in entries)
    return ToolPins(_file(settings) if is_needed else None, entries, folder)


def _file(settings: Settings) -> PinsFile | None:
    if settings.tool_pins == NO_PINS:
        return None
    if settings.tool_pins:
        return PinsFile(Path(settings.tool_pins).expanduser())
    try:
        return PinsFile(state_folder(settings.oauth_state_home) / "tools.json")
    except NoHomeError:
        raise PinsError(
            "tools are not pinned: there is no home; set --tool-pins PATH, or none"
        ) from None


def identity(entry: McpEntry, folder: Path) -> str:
    """What a server is called in the file.

    Its address without user, query and fragment, and with a digest in the place of what looks like
    a key in the path. For a program, its name and a digest of what it is started with, which may be
    secret. Words of the command line that name a file count with its whole path, for `server.py`
    is another program in another folder.
    """
    if entry.url:
        url = public_url(entry.url)
        for key in sorted(url_secrets(url)):
            url = url.replace(key, f"(sha256:{sha256(key.encode()).hexdigest()[:16]})")
        return url
    place = folder if entry.cwd is None else folder / entry.cwd
    words = [_whole(word, place) for word in (entry.command, *entry.args)]
    digest = sha256(canonical([words, entry.cwd])).hexdigest()
    return f"{Path(entry.command).name} sha256:{digest}"


def _whole(word: str, folder: Path) -> str:
    path = folder / word
    try:
        return str(path.absolute()) if path.is_file() else word
    except (OSError, ValueError):  # too long for a path, or with a character that none may have
        return word

"""What was approved of the tools of servers, between runs: `tools.json`, for people to read too.

{"format": 1, "servers": {"https://example.com/mcp": {"add": {"digest": …, "said": …}}}}
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from pipeline.core.plan import ToolPin
from pipeline.shell.private_file import PrivateFile

FORMAT = 1
_MOST_BYTES = 16 * 1024 * 1024

_Servers = dict[str, dict[str, ToolPin]]


class PinsError(Exception):
    """Pins cannot be read or kept; the text says where, why, and what to do."""


class _Contents(msgspec.Struct, frozen=True, kw_only=True):
    format: int = FORMAT
    servers: _Servers = {}


class PinsFile:
    """The file. A server is called what `pipeline.tool_pins.identity` says."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = PrivateFile(path, most_bytes=_MOST_BYTES, error=self._error)

    def read(self) -> Mapping[str, Mapping[str, ToolPin]]:
        """All pins, by server and tool; none where there is no file.

        Raises:
            PinsError: If it is there and cannot be used. It stays as it is.
        """
        return self._servers(self._file.read())

    def keep(self, server: str, pins: Mapping[str, ToolPin], *, is_approval: bool) -> None:
        """Add pins of a server; those that are there stay, but for an approval.

        Raises:
            PinsError: If it cannot be written, or what is there cannot be used.
        """

        def with_them(text: bytes | None) -> bytes:
            servers = dict(self._servers(text))
            there = servers.get(server, {})
            servers[server] = {**there, **pins} if is_approval else {**pins, **there}
            encoded = msgspec.json.encode(_Contents(servers=servers), order="sorted")
            return msgspec.json.format(encoded, indent=1) + b"\n"

        self._file.change(with_them)

    def _servers(self, text: bytes | None) -> _Servers:
        if text is None:
            return {}
        try:
            contents = msgspec.json.decode(text, type=_Contents)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as exc:
            why = "larger than it may be" if len(text) > _MOST_BYTES else str(exc)
            raise self._error(
                f"it is not what rxmcp writes ({why}); mend it, or move it away, and all tools "
                "count as seen for the first time"
            ) from exc
        if contents.format != FORMAT:
            raise self._error(
                f"found format {contents.format}, expected {FORMAT}; another version wrote it: "
                "use that one, or another file (--tool-pins)"
            )
        return contents.servers

    def _error(self, why: str) -> PinsError:
        return PinsError(f"tools are not pinned in {str(self._path)!r}: {why}")

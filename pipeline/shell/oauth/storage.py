"""Where grants stay between runs: a file that nobody else can read.

One grant for each MCP server (`resource`), which names the issuer that it is from.
"""

from pathlib import Path
from typing import Protocol

import msgspec

from config.state import NoHomeError, state_folder
from pipeline.shell.oauth.grant import Grant
from pipeline.shell.private_file import PrivateFile

FORMAT = 1
_MOST_BYTES = 1024 * 1024
_MOST_GRANTS = 200


class StoreError(Exception):
    """Grants cannot be kept or read; the text says where, why, and what to do."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the file: whose grant it is, and the grant, None where a keyring has it."""

    issuer: str
    resource: str
    grant: Grant | None = None


class _Contents(msgspec.Struct, frozen=True, kw_only=True):
    format: int = FORMAT
    grants: tuple[Kept, ...] = ()


class Store(Protocol):
    """Keeps grants. All of it may block for a moment: call it in a thread."""

    def load(self, resource: str) -> Grant | None:
        """The grant of an MCP server, None for none. Raises StoreError."""
        ...

    def save(self, grant: Grant) -> None:
        """Keep a grant in place of any other for the same MCP server. Raises StoreError."""
        ...


class NoStore:
    """Keeps nothing."""

    def load(self, resource: str) -> Grant | None:  # noqa: ARG002  (keeps none)
        """None."""
        return None

    def save(self, grant: Grant) -> None:
        """Nothing is kept."""


class FileStore:
    """Grants in one JSON file of mode 0600, in a folder of mode 0700; see `PrivateFile`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = PrivateFile(path, most_bytes=_MOST_BYTES, error=self._error)

    def load(self, resource: str) -> Grant | None:
        """The grant of an MCP server."""
        kept = self.find(resource)
        return None if kept is None else kept.grant

    def save(self, grant: Grant) -> None:
        """Keep a grant."""
        self.keep(Kept(issuer=grant.issuer, resource=grant.resource, grant=grant))

    def find(self, resource: str) -> Kept | None:
        """What is kept for an MCP server, wherever its grant is."""
        grants = self._grants(self._file.read())
        return next((kept for kept in grants if kept.resource == resource), None)

    def keep(self, kept: Kept) -> None:
        """Write down one; what is there for the same MCP server goes."""

        def with_it(text: bytes | None) -> bytes:
            others = [each for each in self._grants(text) if each.resource != kept.resource]
            return msgspec.json.encode(_Contents(grants=(*others, kept)[-_MOST_GRANTS:]))

        self._file.change(with_it)

    def _grants(self, text: bytes | None) -> tuple[Kept, ...]:
        if text is None:
            return ()
        try:
            contents = msgspec.json.decode(text, type=_Contents)
        except (msgspec.DecodeError, RecursionError):
            raise self._error("it is not what rxmcp writes; move it away") from None
        if contents.format != FORMAT:
            raise self._error(f"found format {contents.format}, expected {FORMAT}; move it away")
        return contents.grants

    def _error(self, why: str) -> StoreError:
        return StoreError(f"tokens are not kept in {str(self._path)!r}: {why}")


def default_path(state_home: str) -> Path:
    """Where the file is if nobody says: in the user's folder for state (XDG_STATE_HOME).

    Raises:
        StoreError: If the user has no home.
    """
    try:
        return state_folder(state_home) / "oauth.json"
    except NoHomeError:
        raise StoreError("tokens are not kept: there is no home; set --token-file") from None

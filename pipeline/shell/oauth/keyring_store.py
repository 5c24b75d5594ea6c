"""Grants in the keyring of the desktop; beside it, a file that says which there are."""

import contextlib
from typing import Protocol, cast

import msgspec

from pipeline.shell.oauth.grant import Grant
from pipeline.shell.oauth.storage import FileStore, Kept, StoreError

SERVICE = "rxmcp"


class Vault(Protocol):
    """What the package `keyring` offers: passwords by service and user name. Any call may fail."""

    def get_password(self, service: str, username: str) -> str | None:
        """The password, None for none."""
        ...

    def set_password(self, service: str, username: str, password: str) -> None:
        """Keep a password."""
        ...

    def delete_password(self, service: str, username: str) -> None:
        """Take a password away."""
        ...


class KeyringStore:
    """Each grant is one entry, named after its issuer and its MCP server.

    A keyring cannot be searched, and asking one may open a dialogue: so the file `index` says what
    is in it, and a server without a grant costs no question. With `is_strict`, a keyring that does
    not work is an error; else the file takes the grants.
    """

    def __init__(self, index: FileStore, vault: Vault | None = None, *, is_strict: bool) -> None:
        self._index = index
        self._vault = vault
        self._is_strict = is_strict

    def load(self, resource: str) -> Grant | None:
        """The grant of an MCP server."""
        kept = self._index.find(resource)
        if kept is None or kept.grant is not None:
            return None if kept is None else kept.grant
        try:
            text = self._open().get_password(SERVICE, _name(kept.issuer, resource))
            return None if text is None else msgspec.json.decode(text, type=Grant)
        except msgspec.DecodeError:
            return None  # not ours: as good as none
        except Exception as exc:
            raise _failure(exc) from exc

    def save(self, grant: Grant) -> None:
        """Keep a grant."""
        before = self._index.find(grant.resource)
        try:
            text = msgspec.json.encode(grant).decode()
            self._open().set_password(SERVICE, _name(grant.issuer, grant.resource), text)
        except Exception as exc:
            if self._is_strict:
                raise _failure(exc) from exc
            self._index.save(grant)
            return
        self._index.keep(Kept(issuer=grant.issuer, resource=grant.resource))
        if before is not None and before.grant is None and before.issuer != grant.issuer:
            # What is left of the issuer before is of no use to anybody; if it stays, so be it.
            with contextlib.suppress(Exception):
                self._open().delete_password(SERVICE, _name(before.issuer, before.resource))

    def _open(self) -> Vault:
        if self._vault is None:
            import keyring  # noqa: PLC0415  (0.1 s and D-Bus, for those who have tokens)

            self._vault = cast("Vault", keyring)
        return self._vault


def _name(issuer: str, resource: str) -> str:
    return f"{issuer} {resource}"


def _failure(exc: Exception) -> StoreError:
    # The backends' own texts may quote what they were given.
    what = "the package keyring is missing" if isinstance(exc, ImportError) else type(exc).__name__
    return StoreError(
        f"the keyring cannot be used ({what}): pip install 'rxmcp[keyring]', unlock it, or set"
        " --token-store file"
    )

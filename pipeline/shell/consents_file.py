"""Which programs a person has allowed a project's file to start: `programs.json`, between runs.

    {"format": 1, "allowed": [{"file": "/home/ada/x/.mcp.json", "program": "npx", "digest": …}]}

What is allowed is a command of one file, whatever name the file gives it: another command is asked
about, and so is one that is to see other variables, or to start in another folder.
"""

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

import msgspec

from config.mcp_entry import McpEntry
from pipeline.core.canonical import canonical
from pipeline.shell.private_file import PrivateFile

FORMAT = 1
_MOST = 500
_MOST_BYTES = 1024 * 1024


class ConsentsError(Exception):
    """What was allowed cannot be read or kept; the text says where, why, and what to do."""


class Consent(msgspec.Struct, frozen=True, kw_only=True):
    """One program of a file. Only `file` and `digest` count; `program` is for who reads it."""

    file: str
    program: str
    digest: str


class _Contents(msgspec.Struct, frozen=True, kw_only=True):
    format: int = FORMAT
    allowed: tuple[Consent, ...] = ()


class ConsentsFile:
    """The file. `folder` is that of the project, in which sources of entries are to be found."""

    def __init__(self, path: Path, folder: Path) -> None:
        self._path = path
        self._folder = folder
        self._file = PrivateFile(path, most_bytes=_MOST_BYTES, error=self._error)

    def missing(self, entries: Iterable[McpEntry]) -> list[McpEntry]:
        """Those that a person has still to allow.

        Raises:
            ConsentsError: If the file is there and cannot be used. It stays as it is.
        """
        allowed = {(each.file, each.digest) for each in self._allowed(self._file.read())}
        consents = [(entry, self._consent(entry)) for entry in entries]
        return [entry for entry, each in consents if (each.file, each.digest) not in allowed]

    def add(self, entries: Iterable[McpEntry]) -> None:
        """Remember that these are allowed; of very many, the newest ones.

        Raises:
            ConsentsError: If it cannot be written, or what is there cannot be used.
        """
        new = [self._consent(entry) for entry in entries]

        def with_them(text: bytes | None) -> bytes:
            others = [each for each in self._allowed(text) if each not in new]
            contents = _Contents(allowed=(*others, *new)[-_MOST:])
            return msgspec.json.format(msgspec.json.encode(contents), indent=1) + b"\n"

        self._file.change(with_them)

    def _consent(self, entry: McpEntry) -> Consent:
        told = [entry.command, list(entry.args), dict(entry.env), entry.cwd]
        digest = f"sha256:{sha256(canonical(told)).hexdigest()}"
        file = str((self._folder / entry.source).resolve())
        return Consent(file=file, program=Path(entry.command).name, digest=digest)

    def _allowed(self, text: bytes | None) -> tuple[Consent, ...]:
        if text is None:
            return ()
        try:
            contents = msgspec.json.decode(text, type=_Contents)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as exc:
            raise self._error(
                f"it is not what rxmcp writes ({exc}); mend it, or move it away, and you are asked "
                "again"
            ) from exc
        if contents.format != FORMAT:
            raise self._error(f"found format {contents.format}, expected {FORMAT}; move it away")
        return contents.allowed

    def _error(self, why: str) -> ConsentsError:
        return ConsentsError(
            f"what programs may be started is not kept in {str(self._path)!r}: {why}"
        )

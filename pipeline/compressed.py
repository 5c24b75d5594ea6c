"""Compressed files, read as if they were not; which library knows zstd.

Blocking. Only gzip and zstd, by the ends of the names that `pipeline.core.parts` has.
"""

import gzip
import io
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from pipeline.core.parts import COMPRESSED

if TYPE_CHECKING:
    from typing_extensions import Buffer  # with Python 3.12: of collections.abc

_BLOCK = 64 * 1024


class DamagedFileError(Exception):
    """A compressed file that cannot be read any further; the text says why."""


class _Source(Protocol):
    """What the libraries give: `read1` has what is there after one step of work."""

    def read1(self, size: int, /) -> bytes: ...
    def close(self) -> None: ...


def zstd_library() -> Any:
    """The module `zstd` of Python 3.14, or the same for older ones."""
    if sys.version_info >= (3, 14):
        from compression import zstd  # noqa: PLC0415  only who reads zstd pays for it
    else:
        import backports.zstd as zstd  # noqa: PLC0415, PLR0402  only who reads zstd pays for it
    return zstd


def open_file(path: Path) -> BinaryIO:
    """Open a file for reading from its start, decompressed if its name ends `.gz` or `.zst`.

    A read raises `DamagedFileError` where the data is cut off or wrong; all before that was given
    out by then. Memory is bounded, whatever comes out: read lines with a limit.

    Raises:
        OSError: As `open`.
    """
    file = path.open("rb")
    match COMPRESSED.get(path.suffix):
        case "gzip":
            source, damage = gzip.GzipFile(fileobj=file), (EOFError, gzip.BadGzipFile, zlib.error)
        case "zstd":
            zstd = zstd_library()
            source, damage = zstd.ZstdFile(file), (EOFError, zstd.ZstdError)
        case _:
            return file
    return io.BufferedReader(_Decompressed(file, source, damage), _BLOCK)


class _Decompressed(io.RawIOBase):
    """Gives what comes out as soon as it does, so that damage costs nothing in front of it."""

    def __init__(
        self, file: BinaryIO, source: _Source, damage: tuple[type[Exception], ...]
    ) -> None:
        super().__init__()
        self._file = file
        self._source = source
        self._damage = damage

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "Buffer", /) -> int:
        view = memoryview(buffer).cast("B")
        try:
            data = self._source.read1(len(view))
        except self._damage as exc:
            raise DamagedFileError(str(exc)) from exc
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        try:
            self._source.close()
        finally:
            self._file.close()
            super().close()

"""Compresses the parts of a recording that are finished, beside the run that writes the next one.

A part is only taken away when the compressed file has its name, is whole, and is on the disk. Both
formats carry a checksum of what is in them, which every reader looks at.
"""

import asyncio
import contextlib
import gzip
import io
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, Literal, TypeAlias

from pipeline.compressed import zstd_library
from pipeline.core.parts import COMPRESSED
from sinks.recording_file import sync_directory
from sinks.recording_parts import UNFINISHED

Kind: TypeAlias = Literal["gzip", "zstd"]
_BLOCK = 1024 * 1024
_PATIENCE = 5.0  # seconds that the end of a run waits for what is being compressed


class StoppedError(Exception):
    """There was no time to compress it all."""


class Compressor:
    """Compresses one file after the other on a thread of its own; a failure leaves it as it is.

    `on_notice` gets words about each file that stays as it is.
    """

    def __init__(self, kind: Kind, on_notice: Callable[[str], None]) -> None:
        self._kind: Kind = kind
        self._on_notice = on_notice
        self._stopped = threading.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rxmcp-compress")
        self._jobs: set[asyncio.Task[None]] = set()

    def add(self, path: Path) -> None:
        """Compress this file when those before it are done."""
        job = asyncio.create_task(self._compress(path))
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)

    async def close(self) -> None:
        """Wait a little for what is under way; what is not done by then stays as it is."""
        jobs = set(self._jobs)
        try:
            if jobs:
                _, late = await asyncio.wait(jobs, timeout=_PATIENCE)
                self._stopped.set()
                if late:
                    await asyncio.wait(late)
        finally:
            self.stop()

    def stop(self) -> None:
        """Begin nothing more, and break off what is under way: a moment later it is as it was."""
        self._stopped.set()
        self._thread.shutdown(wait=False)

    async def _compress(self, path: Path) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(
                self._thread, compress, path, self._kind, self._stopped.is_set
            )
        except StoppedError:
            self._on_notice(f"{path.name} is not compressed: the run ended before it was done")
        except OSError as exc:
            self._on_notice(f"{path.name} is not compressed: {exc.strerror or exc}")


def compress(path: Path, kind: Kind, is_stopped: Callable[[], bool]) -> Path:
    """Put a file behind a compressed one of the same name and one ending more, which is returned.

    Raises:
        OSError: If it cannot be done; the file is there as before.
        StoppedError: If `is_stopped` before the end.
    """
    ending = next(ending for ending, name in COMPRESSED.items() if name == kind)
    done = path.with_name(path.name + ending)
    unfinished = path.with_name(done.name + UNFINISHED)
    try:
        with path.open("rb") as source, _create(unfinished) as target:
            _copy(source, target, kind, is_stopped)
            target.flush()
            os.fsync(target.fileno())
        unfinished.replace(done)
    except BaseException:
        with contextlib.suppress(OSError):  # the next run of this recording takes it away
            unfinished.unlink(missing_ok=True)
        raise
    sync_directory(done)
    path.unlink()
    return done


def _create(path: Path) -> BinaryIO:
    path.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o600), "wb")


def _copy(source: BinaryIO, target: BinaryIO, kind: Kind, is_stopped: Callable[[], bool]) -> None:
    with _packer(target, kind) as packed:
        while block := source.read(_BLOCK):
            if is_stopped():
                raise StoppedError
            packed.write(block)


def _packer(target: BinaryIO, kind: Kind) -> io.BufferedIOBase:
    if kind == "gzip":
        return gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=target, mtime=0)
    zstd = zstd_library()
    return zstd.ZstdFile(target, "w", options={zstd.CompressionParameter.checksum_flag: 1})

"""When lines are put on the disk: together, in time, and never again after a failure."""

import asyncio

import pytest

from config.options import RecordingOptions
from sinks.base import SinkError
from sinks.recording_flush import Flusher

DEADLINE = 10.0
NEVER = 3600.0


class Disk:
    """Flushes that begin when they are asked for, and end when the test says so."""

    def __init__(self) -> None:
        self.flushes: list[asyncio.Future[None]] = []
        self.begun = asyncio.Event()

    def flush(self) -> "asyncio.Future[None]":
        self.flushes.append(asyncio.get_running_loop().create_future())
        self.begun.set()
        return self.flushes[-1]

    async def next(self) -> "asyncio.Future[None]":
        async with asyncio.timeout(DEADLINE):
            await self.begun.wait()
        self.begun.clear()
        return self.flushes[-1]


def made(disk: Disk, **options: object) -> Flusher:
    return Flusher(
        RecordingOptions.model_validate({"fsync_interval": NEVER, **options}), disk.flush
    )


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_line_waits_for_others_but_not_longer_than_the_interval() -> None:
    disk = Disk()
    patient, flusher = made(disk), made(disk, fsync_interval=0.01)
    await patient.wrote(1, is_telling=False)
    await settle()
    assert disk.flushes == []
    await flusher.wrote(1, is_telling=False)
    await flusher.wrote(1, is_telling=False)
    await disk.next()
    assert len(disk.flushes) == 1
    patient.stop()


async def test_so_many_lines_wait_no_longer() -> None:
    disk = Disk()
    flusher = made(disk, fsync_lines=3)
    await flusher.wrote(2, is_telling=False)
    assert disk.flushes == []
    await flusher.wrote(1, is_telling=False)
    assert len(disk.flushes) == 1


async def test_a_line_that_people_would_miss_does_not_wait_for_the_one_before_it() -> None:
    disk = Disk()
    flusher = made(disk)
    await flusher.wrote(1, is_telling=False)
    await flusher.wrote(1, is_telling=True)
    await disk.next()
    assert len(disk.flushes) == 1


async def test_but_such_lines_in_a_row_share_a_flush() -> None:
    disk = Disk()
    flusher = made(disk)
    await flusher.wrote(1, is_telling=True)
    (await disk.next()).set_result(None)
    await settle()
    await flusher.wrote(1, is_telling=True)
    await settle()
    assert len(disk.flushes) == 1
    flusher.stop()


async def test_there_is_one_flush_at_a_time_and_one_after_it_for_what_came_meanwhile() -> None:
    disk = Disk()
    flusher = made(disk, fsync_lines=2, fsync_interval=1e-6)
    await flusher.wrote(2, is_telling=False)
    first = await disk.next()
    await flusher.wrote(1, is_telling=True)
    await settle()
    assert len(disk.flushes) == 1
    first.set_result(None)
    await disk.next()
    assert len(disk.flushes) == 2


async def test_after_the_end_none_begins() -> None:
    disk = Disk()
    flusher = made(disk, fsync_lines=2, fsync_interval=0.01)
    await flusher.wrote(2, is_telling=False)
    first = await disk.next()
    await flusher.wrote(1, is_telling=False)
    flusher.stop()
    first.set_result(None)
    await settle()
    assert len(disk.flushes) == 1


async def test_what_fails_is_told_to_the_next_who_writes_and_not_tried_again() -> None:
    disk = Disk()
    flusher = made(disk, fsync_lines=1, fsync_interval=0.01)
    await flusher.wrote(1, is_telling=False)
    first = await disk.next()
    await flusher.wrote(1, is_telling=False)
    first.set_exception(SinkError("the disk is gone"))
    await settle()
    with pytest.raises(SinkError, match="the disk is gone"):
        flusher.check()
    with pytest.raises(SinkError, match="the disk is gone"):
        await flusher.wrote(1, is_telling=True)
    assert len(disk.flushes) == 1


async def test_always_means_that_the_writer_waits() -> None:
    disk = Disk()
    flusher = made(disk, fsync="always")
    writing = asyncio.create_task(flusher.wrote(1, is_telling=False))
    flush = await disk.next()
    await settle()
    assert not writing.done()
    flush.set_result(None)
    await writing
    writing = asyncio.create_task(flusher.wrote(1, is_telling=False))
    (await disk.next()).set_exception(SinkError("the disk is gone"))
    with pytest.raises(SinkError, match="the disk is gone"):
        await writing
    with pytest.raises(SinkError, match="the disk is gone"):
        flusher.check()


async def test_none_means_none() -> None:
    disk = Disk()
    flusher = made(disk, fsync="none", fsync_lines=1)
    await flusher.wrote(100, is_telling=True)
    await settle()
    assert disk.flushes == []

"""Async contexts for programs that are not async, or run a loop that is none of our business."""

import asyncio
import threading
from collections.abc import Generator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def in_background(serving: AbstractAsyncContextManager[T]) -> Generator[T]:
    """An async context for a block that is not async, on a thread with a loop of its own.

    What entering or leaving it raises is raised here.
    """
    started: Future[tuple[T, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def main() -> None:
        async with serving as value:
            stop = asyncio.Event()
            started.set_result((value, asyncio.get_running_loop(), stop))
            await stop.wait()

    ended: Future[None] = Future()

    def run() -> None:
        try:
            asyncio.run(main())
        except BaseException as exc:  # noqa: BLE001  raised again by who waits
            (ended if started.done() else started).set_exception(exc)
        else:
            ended.set_result(None)

    thread = threading.Thread(target=run, name="rxmcp-background", daemon=True)
    thread.start()
    try:
        value, loop, stop = started.result()
    except BaseException:
        thread.join()
        raise
    try:
        yield value
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        ended.result()

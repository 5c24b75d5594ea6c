"""Work that blocks, off the loop; and never longer than we are willing to wait."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def in_thread(work: Callable[[], T], *, seconds: float) -> T:
    """What `work` returns or raises, done in a thread of its own.

    The thread is a daemon: one that hangs (a dialogue of a keyring that nobody answers) is left
    behind, and does not hold up the end of the program as a thread of the loop's pool would.

    Raises:
        TimeoutError: If it takes longer than `seconds`.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()

    def settle(settled: Callable[[], None]) -> None:
        if not outcome.done():
            settled()

    def run() -> None:
        try:
            result = work()
        except BaseException as exc:  # noqa: BLE001  (it is raised where it is waited for)
            failure = exc
            settled: Callable[[], None] = lambda: outcome.set_exception(failure)  # noqa: E731
        else:
            settled = lambda: outcome.set_result(result)  # noqa: E731
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, settled)

    threading.Thread(target=run, name="rxmcp oauth", daemon=True).start()
    async with asyncio.timeout(seconds):
        return await outcome

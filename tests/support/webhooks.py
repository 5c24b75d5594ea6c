"""What tests of webhooks share: events, a sink that is open, and what it says.

async with opened(receiver.url) as (sink, told):
    await sink.emit(entries(answer("one")))
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from config.options import WebhookOptions
from pipeline.core.codec import Entry
from pipeline.core.commands import Item
from pipeline.core.events import AnswerCompleted
from sinks.webhook import WebhookSink

AT = "2026-11-24T06:28:23.000001Z"
QUICK = WebhookOptions(
    timeout=5, attempts=3, first_delay=0.01, max_delay=0.05, drain=5, outbox="memory"
)
"""Short pauses, and messages in memory."""


def on_disk(folder: Path, **more: Any) -> WebhookOptions:
    """Short pauses, and messages in an outbox below this folder."""
    return QUICK.model_copy(update={"outbox": "disk", "state_home": str(folder), **more})


def entries(*items: Item, start: int = 1) -> list[Entry]:
    return [Entry(seq, AT, item) for seq, item in enumerate(items, start)]


def answer(text: str) -> AnswerCompleted:
    return AnswerCompleted(text=text, turns=1)


class Told(list[str]):
    """What `on_problem` was told, to wait for."""

    def __init__(self) -> None:
        super().__init__()
        self._more = asyncio.Event()

    def __call__(self, text: str) -> None:
        self.append(text)
        self._more.set()

    async def first(self) -> str:
        async with asyncio.timeout(10):
            await self._more.wait()
        return self[0]

    async def heard(self, words: str) -> None:
        """Wait until words were told."""
        async with asyncio.timeout(10):
            while not any(words in text for text in self):
                self._more.clear()
                await self._more.wait()


@asynccontextmanager
async def opened(
    url: str, options: WebhookOptions = QUICK, *, session: str = "s1", **kwargs: Any
) -> AsyncIterator[tuple[WebhookSink, Told]]:
    told = Told()
    sink = WebhookSink(url, options, session=session, on_problem=told, **kwargs)
    await sink.open()
    try:
        yield sink, told
    finally:
        await sink.close()

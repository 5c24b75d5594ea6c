"""All messages to one server over HTTP: in order, or side by side where they may be."""

import asyncio

from pipeline.core.commands import Get, Post
from pipeline.shell.http_exchange import Exchanges
from pipeline.shell.http_post import Outbox


class HttpSender:
    """An `Outbox` for messages that keep their order, and `Exchanges` for those that do not."""

    def __init__(self, outbox: Outbox, exchanges: Exchanges) -> None:
        self._outbox = outbox
        self._exchanges = exchanges

    def send(self, post: Post) -> None:
        """Send a message; never blocks, never raises."""
        if post.side_by_side:
            self._exchanges.send(post)
        else:
            self._outbox.send(post)

    def get(self, get: Get) -> None:
        """Ask for an event stream; never blocks, never raises."""
        self._exchanges.get(get)

    def cut(self, id_: str) -> None:
        """Close the answer to a message or a stream."""
        self._exchanges.cut(id_)

    def drop(self) -> None:
        """Close all that is open, without a word."""
        self._exchanges.drop()

    async def run(self) -> None:
        """Own what is under way until cancelled."""
        async with asyncio.TaskGroup() as both:
            both.create_task(self._outbox.run())
            both.create_task(self._exchanges.run())

"""Prompts of a run that a program leads: it has them in a queue, and nobody sits there."""

import asyncio

from pipeline.core.events import Input, QuestionAnswered


class QueuedPrompts:
    """Where such a run gets its prompts; see `pipeline.shell.effects.Prompts`.

    The program puts an `InputEnded` behind the last one: after that the run asks for no more.
    """

    def __init__(self, queue: asyncio.Queue[Input]) -> None:
        self._queue = queue

    async def read(self) -> Input:
        """The next one; it is asked for when the one before has ended."""
        return await self._queue.get()

    async def ask(self, question: str) -> QuestionAnswered:
        """Nobody is there to answer a server."""
        return QuestionAnswered(question=question, action="cancel")

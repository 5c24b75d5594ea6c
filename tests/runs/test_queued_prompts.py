"""The prompts of a run that a program leads."""

import asyncio

from pipeline.core.events import Input, InputEnded, PromptSubmitted, QuestionAnswered
from pipeline.queued_prompts import QueuedPrompts


async def test_prompts_come_in_the_order_of_the_queue() -> None:
    queue: asyncio.Queue[Input] = asyncio.Queue()
    for item in (PromptSubmitted(text="one"), PromptSubmitted(text="two"), InputEnded()):
        queue.put_nowait(item)
    prompts = QueuedPrompts(queue)
    read = [await prompts.read() for _ in range(3)]
    assert read == [PromptSubmitted(text="one"), PromptSubmitted(text="two"), InputEnded()]


async def test_a_question_of_a_server_finds_nobody() -> None:
    found = await QueuedPrompts(asyncio.Queue()).ask("q1")
    assert found == QuestionAnswered(question="q1", action="cancel")

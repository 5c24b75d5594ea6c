"""Readers of prompts, cancelled at every place at which they wait: what was typed is not lost."""

import os
from collections.abc import Iterator

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.input.base import PipeInput
from prompt_toolkit.output import DummyOutput

from pipeline.core.events import PromptSubmitted, QuestionAnswered, QuestionAsked
from pipeline.shell.prompts import PipeReader, PromptReader
from pipeline.shell.terminal import TerminalReader
from tests.support.sweep import Interrupt, sweep

LINES = ("one", "two\u00fc", "three")
QUESTION = QuestionAsked(
    question="q", server="s", form="url", message="log in", url="https://a.example/"
)


@pytest.fixture
def keys() -> Iterator[PipeInput]:
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        yield keys


async def read_some(reader: PromptReader, into: list[str], count: int = len(LINES)) -> None:
    """Read until there are so many prompts."""
    while len(into) < count:
        prompt = await reader.read()
        assert isinstance(prompt, PromptSubmitted)
        into.append(prompt.text)


async def test_a_pipe_loses_no_line() -> None:
    async def scene(interrupt: Interrupt) -> None:
        reading, writing = os.pipe()
        reader, texts = PipeReader(reading), list[str]()
        try:
            os.write(writing, "\n".join((*LINES, "")).encode())
            await interrupt(read_some(reader, texts))
            await read_some(reader, texts)
        finally:
            os.close(reading)
            os.close(writing)
        assert texts == [*LINES]

    assert await sweep(scene) >= 1


async def test_a_terminal_loses_nothing_that_was_typed(keys: PipeInput) -> None:
    async def scene(interrupt: Interrupt) -> None:
        reader, texts = TerminalReader(), list[str]()
        keys.send_text("\r".join((*LINES, "")))
        await interrupt(read_some(reader, texts))
        await read_some(reader, texts)
        assert texts == [*LINES]

    assert await sweep(scene) >= 3


async def test_a_question_leaves_the_terminal_to_the_next_prompt(keys: PipeInput) -> None:
    async def scene(interrupt: Interrupt) -> None:
        reader, answers = TerminalReader(asked=lambda _: QUESTION), list[QuestionAnswered]()

        async def body() -> None:
            answers.append(await reader.ask("q"))

        keys.send_text("y\r")
        await interrupt(body())
        keys.send_text("next\r")
        texts = list[str]()
        while texts[-1:] != ["next"]:  # an answer that was not taken is a prompt as any other
            await read_some(reader, texts, len(texts) + 1)
        assert texts[:-1] in ([], ["y"] * (not answers))  # one taken, and then cancelled, is lost

    assert await sweep(scene) >= 3

"""What a run takes from standard input beside its prompts: a yes, and the context of a `-p`."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager

import pytest

from config.mcp_entry import McpEntry
from pipeline.core.events import InputEnded, PromptSubmitted
from pipeline.core.plan import Plan
from pipeline.standard_input import ContextError, may_start, read_context, read_prompts

ENTRY = McpEntry("fs", command="npx", args=("-y", "a b", "\x1b[2J"), source=".mcp.json")


class Typed(io.StringIO):
    """A terminal on which somebody has typed."""

    def isatty(self) -> bool:
        return True


def at_a_terminal(monkeypatch: pytest.MonkeyPatch, typed: str) -> Typed:
    screen = Typed()
    monkeypatch.setattr(sys, "stdin", Typed(typed))
    monkeypatch.setattr(sys, "stderr", screen)
    return screen


@pytest.mark.parametrize(
    ("typed", "may"), [("y\n", True), ("YES\n", True), ("\n", False), ("no\n", False)]
)
def test_a_program_is_started_only_after_a_yes_to_what_would_be_started(
    typed: str, may: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = at_a_terminal(monkeypatch, typed)
    assert may_start([ENTRY]) is may
    assert ".mcp.json starts 'fs': \"npx -y 'a b' '\\x1b[2J'\"" in screen.getvalue()


def test_without_a_terminal_nobody_is_asked_and_nothing_is_started(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert may_start([ENTRY]) is False
    assert capsys.readouterr() == ("", "")


@contextmanager
def piped(monkeypatch: pytest.MonkeyPatch, content: bytes | None) -> Iterator[None]:
    """Standard input is a pipe that holds this and ends; None: nothing, and it stays open."""
    ours, theirs = os.pipe()
    with os.fdopen(ours) as stdin, os.fdopen(theirs, "wb") as writer:
        monkeypatch.setattr(sys, "stdin", stdin)
        if content is not None:
            writer.write(content)
            writer.close()
        yield


async def test_a_pipe_is_the_context_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    with piped(monkeypatch, b"one\ntwo\n"):
        assert await read_context() == PromptSubmitted(text="one\ntwo")


async def test_a_pipe_that_holds_nothing_is_no_context(monkeypatch: pytest.MonkeyPatch) -> None:
    with piped(monkeypatch, b""):
        assert await read_context() is None


async def test_a_pipe_that_nobody_writes_to_is_no_context(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.standard_input._CONTEXT_PATIENCE", 0.01)
    with piped(monkeypatch, None):
        assert await read_context() is None


async def test_a_context_that_cannot_be_one_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        piped(monkeypatch, b"  \n"),
        pytest.raises(ContextError, match="context of -p: found an empty prompt"),
    ):
        await read_context()


async def test_prompts_of_a_pipe_are_its_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    with piped(monkeypatch, b"one\ntwo"):
        async with AsyncExitStack() as stack:
            reader = read_prompts(Plan(), stack, tuple, lambda _: None)
            assert reader is not None
            read = [await reader.read() for _ in range(3)]
    assert read == [PromptSubmitted(text="one"), PromptSubmitted(text="two"), InputEnded()]

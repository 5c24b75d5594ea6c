"""Standard input as a run finds it: a person who types and can be asked, or a pipe with something.

The only place where the program itself, and no server, asks a person.
"""

import os
import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

from config.mcp_entry import McpEntry
from config.streams import write
from pipeline.core.events import PromptRejected, PromptSubmitted
from pipeline.shell.prompts import PipeReader, PromptReader, stdin_fd

_CONTEXT_PATIENCE = 1.0  # seconds for the first byte of a context that may never come


class ContextError(ValueError):
    """What stands on standard input beside a `-p` cannot be used; the text says why."""


def is_person_there() -> bool:
    """Is somebody there who can be asked?"""
    return sys.stdin.isatty() and sys.stderr.isatty()


def may_start(entries: Sequence[McpEntry]) -> bool:
    """Ask before a file that happens to lie here starts programs; without a terminal, no."""
    if not is_person_there():
        return False
    for entry in entries:
        words = " ".join(shlex.quote(word) for word in (entry.command, *entry.args))
        write(sys.stderr, f"? {entry.source} starts {entry.name!r}: {words!a}\n")
    write(sys.stderr, "  start it? [y/N] ")
    return input().strip().lower() in ("y", "yes")


async def read_context() -> PromptSubmitted | None:
    """What stands on standard input beside a `-p`; None if it is a terminal, or nothing comes.

    Raises:
        ContextError: If there is something that is no text, or too much of it.
    """
    fd = stdin_fd()
    if fd is None or os.isatty(fd):
        return None
    try:
        context = await PipeReader(fd).read_all(patience=_CONTEXT_PATIENCE)
    except TimeoutError:
        return None
    if isinstance(context, PromptRejected):
        raise ContextError(f"standard input cannot be the context of -p: {context.reason}")
    return context if isinstance(context, PromptSubmitted) else None


def read_prompts(stack: AsyncExitStack, words: Callable[[], Sequence[str]] | None) -> PromptReader:
    """The prompts of a chat; `words` complete what a person types, None: it is a line each.

    A terminal is put back as it was when the stack ends.
    """
    if words is None:
        return PipeReader(stdin_fd())
    from pipeline.shell.terminal import TerminalReader  # noqa: PLC0415  only a person pays for it

    reader = TerminalReader(words=words)
    stack.enter_context(reader.patch())
    return reader

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
from pipeline.core import slash
from pipeline.core.events import PromptRejected, PromptSubmitted, QuestionAsked
from pipeline.core.plan import Plan
from pipeline.shell.prompts import PipeReader, PromptReader, stdin_fd
from sinks.terminal_text import one_line

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


def may_ask() -> bool:
    """Is there one terminal for all three streams, at which a person can answer questions?"""
    return is_person_there() and sys.stdout.isatty()


def read_prompts(
    plan: Plan,
    stack: AsyncExitStack,
    words: Callable[[], Sequence[str]],
    asked: Callable[[str], QuestionAsked | None],
) -> PromptReader | None:
    """Where prompts and answers come from; None: the run needs neither.

    A person's prompts are completed with `words`, and questions are what `asked` says. The terminal
    is put back as it was when the stack ends.
    """
    if not plan.interactive and "ask" not in (plan.elicitation, plan.sampling):
        return PipeReader(stdin_fd()) if plan.goal == "chat" else None
    from pipeline.shell.terminal import TerminalReader  # noqa: PLC0415  only a person pays for it

    commands = [f"/{name}" for name in (*slash.COMMANDS, "help", "exit")]
    reader = TerminalReader(
        words=lambda: [*commands, *words()],
        asked=asked,
        harmless=one_line,
        answers=plan.answers,
        help=f"{slash.help_text()}\n  Esc Enter starts a new line; /exit or Ctrl-D leaves",
    )
    stack.enter_context(reader.patch())
    return reader

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
from pipeline.shell.consents_file import ConsentsError, ConsentsFile
from pipeline.shell.prompts import MAX_CHARS, PipeReader, PromptReader, stdin_fd
from sinks.terminal_text import one_line

_CONTEXT_PATIENCE = 1.0  # seconds for the first byte of a context that may never come


class ContextError(ValueError):
    """What stands on standard input beside a `-p` cannot be used; the text says why."""


def is_person_there() -> bool:
    """Is somebody there who can be asked?"""
    return sys.stdin.isatty() and sys.stderr.isatty()


def may_start(entries: Sequence[McpEntry], consents: ConsentsFile | None = None) -> bool:
    """Ask before a file that happens to lie here starts programs; without a terminal, no.

    A yes is kept in `consents`, where there is such a file: who has said it is not asked again.

    Raises:
        ConsentsError: If what was said before cannot be read.
    """
    new = entries if consents is None else consents.missing(entries)
    if not new:
        return True
    if not is_person_there():
        return False
    for entry in new:
        words = " ".join(shlex.quote(word) for word in (entry.command, *entry.args))
        shown = f" with {', '.join(sorted(entry.env))}" if entry.env else ""
        write(
            sys.stderr, f"? {entry.source} starts {entry.name!r}: {words!a}{ascii(shown)[1:-1]}\n"
        )
    until = "" if consents is None else " (a yes counts until it changes)"
    write(sys.stderr, f"  start it?{until} [y/N] ")
    if input().strip().lower() not in ("y", "yes"):
        return False
    if consents is not None:
        try:
            consents.add(new)
        except ConsentsError as exc:
            write(sys.stderr, f"! {one_line(str(exc))}\n")
    return True


async def read_context(max_chars: int = MAX_CHARS) -> PromptSubmitted | None:
    """What stands on standard input beside a `-p`; None if it is a terminal, or nothing comes.

    Raises:
        ContextError: If there is something that is no text, or too much of it.
    """
    fd = stdin_fd()
    if fd is None or os.isatty(fd):
        return None
    try:
        context = await PipeReader(fd, max_chars=max_chars).read_all(patience=_CONTEXT_PATIENCE)
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
    *,
    max_chars: int = MAX_CHARS,
) -> PromptReader | None:
    """Where prompts and answers come from; None: the run needs neither.

    A person's prompts are completed with `words`, and questions are what `asked` says. The terminal
    is put back as it was when the stack ends.
    """
    policies = (plan.elicitation, plan.sampling, plan.changed_tools)
    if not plan.interactive and "ask" not in policies:
        return PipeReader(stdin_fd(), max_chars=max_chars) if plan.goal == "chat" else None
    from pipeline.shell.terminal import TerminalReader  # noqa: PLC0415  only a person pays for it

    commands = [f"/{name}" for name in (*slash.COMMANDS, "help", "exit")]
    reader = TerminalReader(
        words=lambda: [*commands, *words()],
        asked=asked,
        harmless=one_line,
        answers=plan.answers,
        max_chars=max_chars,
        help=f"{slash.help_text()}\n  Esc Enter starts a new line; /exit or Ctrl-D leaves",
    )
    stack.enter_context(reader.patch())
    return reader

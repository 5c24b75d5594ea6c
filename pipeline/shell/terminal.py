"""Prompts from a person at a terminal, with editing, history and completion."""

import asyncio
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from pipeline.core.events import (
    InputEnded,
    Json,
    PromptCancelled,
    QuestionAnswered,
    QuestionAsked,
)
from pipeline.shell.asking import Desk, answer
from pipeline.shell.prompts import MAX_CHARS, PromptEvent, to_prompt

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

_LEAVE = frozenset({"/exit", "/quit"})
_HELP = "/help"


def _escaped(text: str) -> str:
    return text.encode("unicode_escape").decode("ascii")


class TerminalReader:
    """Asks on the terminal: Enter sends, Esc Enter starts a new line, Tab completes `words`.

    Ctrl-D on an empty line, `/exit` and `/quit` end the input. Ctrl-C clears what is typed; with
    nothing typed it is a `PromptCancelled`. The signal SIGINT stays with whoever handles it. The
    history lives as long as the reader. A cancelled `read` keeps what was typed for the next one.

    `help` is what `/help` shows; without it, that is a prompt as any other.

    A question of a server comes between: what was being typed waits, and then goes on. `asked`
    says what a question is, `harmless` makes its text one that drives no terminal, `answers` are
    proposed for the fields of their names.
    """

    def __init__(
        self,
        *,
        words: Callable[[], Sequence[str]] = tuple,
        asked: Callable[[str], QuestionAsked | None] = lambda _: None,
        harmless: Callable[[str], str] = _escaped,
        answers: Json | None = None,
        help: str = "",  # noqa: A002  as people call it
        ask: str = "you> ",
        max_chars: int = MAX_CHARS,
    ) -> None:
        self._words = words
        self._asked = asked
        self._desk = Desk(self._plain_line, _say, harmless)
        self._answers = answers
        self._help = help
        self._ask = ask
        self._editing: asyncio.Task[None] | None = None
        self._put_aside: asyncio.Task[None] | None = None
        self._terminal = asyncio.Lock()
        self._max_chars = max_chars
        self._session: PromptSession[str] | None = None
        self._typed = ""
        self._sent: str | None = None
        self._has_ended = False

    async def read(self) -> PromptEvent:
        """The next prompt; one read at a time."""
        while not self._has_ended:
            try:
                text = await self._line()
            except _InterruptedError:
                return PromptCancelled()
            except EOFError:
                break
            if text.strip() in _LEAVE:
                break
            if text.strip() == _HELP and self._help:
                _say(self._help)
                continue
            if text.strip():
                return to_prompt(text, max_chars=self._max_chars)
        self._has_ended = True
        return InputEnded()

    def patch(self) -> AbstractContextManager[None]:
        """While it is entered, what is printed appears above the line that is being typed."""
        return _above_the_prompt()

    async def ask(self, question: str) -> QuestionAnswered:
        """What the person answers to a server's question; one that is closed is cancelled."""
        if self._editing is not None:
            self._put_aside = self._editing
            self._editing.cancel()
        async with self._terminal:
            asked = self._asked(question)
            if asked is None:
                return QuestionAnswered(question=question, action="cancel")
            return await answer(asked, self._desk, self._answers)

    async def _plain_line(self, label: str) -> str:
        from prompt_toolkit import PromptSession  # noqa: PLC0415  (0.15 s, only for a terminal)

        session: PromptSession[str] = PromptSession(label, interrupt_exception=EOFError)
        return await session.prompt_async(handle_sigint=False, set_exception_handler=False)

    async def _line(self) -> str:
        while self._sent is None:
            async with self._terminal:
                self._editing = asyncio.create_task(self._edit_alone(), name="prompt")
                await self._edited(self._editing)
            # A question that came meanwhile waits for the terminal, and has it first.
        text, self._sent = self._sent or "", None
        return text

    async def _edit_alone(self) -> None:
        try:
            await self._edit()
        except KeyboardInterrupt as exc:  # out of a task, this one would end the program
            raise _InterruptedError from exc

    async def _edited(self, editing: "asyncio.Task[None]") -> None:
        """Wait for what is typed; a question may have put it aside, and then that is all."""
        try:
            await editing
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if editing is not self._put_aside or (task is not None and task.cancelling()):
                editing.cancel()
                await asyncio.gather(editing, return_exceptions=True)
                raise
        finally:
            self._editing = None

    async def _edit(self) -> None:
        if self._session is None:
            self._session = self._open()
        typed, self._typed = self._typed, ""
        try:
            # prompt_toolkit would take SIGINT's handler away, and not give it back.
            self._sent = await self._session.prompt_async(
                default=typed, handle_sigint=False, set_exception_handler=False
            )
        except asyncio.CancelledError:
            # Sent, but not handed over yet: `_enter` has kept it.
            if self._sent is None:
                self._typed = self._session.default_buffer.text
            raise

    def _open(self) -> "PromptSession[str]":
        from prompt_toolkit import PromptSession  # noqa: PLC0415  (0.15 s, only for a terminal)
        from prompt_toolkit.completion import WordCompleter  # noqa: PLC0415  for terminals only
        from prompt_toolkit.history import InMemoryHistory  # noqa: PLC0415

        return PromptSession(
            self._ask,
            multiline=True,
            prompt_continuation=" " * len(self._ask),
            history=InMemoryHistory(),
            completer=WordCompleter(lambda: list(self._words()), WORD=True),
            complete_while_typing=False,
            key_bindings=self._keys(),
        )

    def _keys(self) -> "KeyBindings":
        from prompt_toolkit.key_binding import KeyBindings  # noqa: PLC0415

        keys = KeyBindings()
        keys.add("enter")(self._enter)
        keys.add("escape", "enter")(_new_line)
        keys.add("c-c")(_clear_or_cancel)
        return keys

    def _enter(self, event: "KeyPressEvent") -> None:
        self._sent = event.current_buffer.text
        event.current_buffer.validate_and_handle()


class _InterruptedError(Exception):
    """Ctrl-C, with nothing typed."""


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _new_line(event: "KeyPressEvent") -> None:
    event.current_buffer.insert_text("\n")


def _clear_or_cancel(event: "KeyPressEvent") -> None:
    if event.current_buffer.text:
        event.current_buffer.reset()
    else:
        event.app.exit(exception=KeyboardInterrupt(), style="class:aborting")


@contextmanager
def _above_the_prompt() -> Generator[None]:
    from prompt_toolkit.patch_stdout import patch_stdout  # noqa: PLC0415

    with patch_stdout(raw=True):
        yield

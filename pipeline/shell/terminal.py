"""Prompts from a person at a terminal, with editing, history and completion."""

import asyncio
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from pipeline.core.events import InputEnded, PromptCancelled
from pipeline.shell.prompts import MAX_CHARS, PromptEvent, to_prompt

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

_LEAVE = frozenset({"/exit", "/quit"})


class TerminalReader:
    """Asks on the terminal: Enter sends, Esc Enter starts a new line, Tab completes `words`.

    Ctrl-D on an empty line, `/exit` and `/quit` end the input. Ctrl-C clears what is typed; with
    nothing typed it is a `PromptCancelled`. The signal SIGINT stays with whoever handles it. The
    history lives as long as the reader. A cancelled `read` keeps what was typed for the next one.
    """

    def __init__(
        self,
        *,
        words: Callable[[], Sequence[str]] = tuple,
        ask: str = "you> ",
        max_chars: int = MAX_CHARS,
    ) -> None:
        self._words = words
        self._ask = ask
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
            except KeyboardInterrupt:
                return PromptCancelled()
            except EOFError:
                break
            if text.strip() in _LEAVE:
                break
            if text.strip():
                return to_prompt(text, max_chars=self._max_chars)
        self._has_ended = True
        return InputEnded()

    def patch(self) -> AbstractContextManager[None]:
        """While it is entered, what is printed appears above the line that is being typed."""
        return _above_the_prompt()

    async def _line(self) -> str:
        if self._sent is None:
            await self._edit()
        text, self._sent = self._sent or "", None
        return text

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

"""The sink for people: answers on standard output as they stream, all else on standard error.

All foreign text is made harmless first (`terminal_text`), on both streams, terminal or not.
"""

import os
from collections.abc import Sequence
from typing import TextIO

from pipeline.core.codec import Entry
from pipeline.core.commands import Item
from pipeline.core.events import AnswerCompleted, AnswerDelta, RequestEnded, SessionReady
from sinks.discovery import COUNTED, Discovery
from sinks.notices import TOLD, Notice, Notices
from sinks.offers import format_result
from sinks.screen import Screen
from sinks.terminal_text import one_line
from sinks.writer import OffLoopWriter, Stream

_WANTED = (AnswerDelta, *TOLD)
_USUAL_WIDTH = 80


class ConsoleSink:
    """Shows a run to a person.

    `is_terminal`: both streams show on the same terminal. `colour`: notices are coloured; whether
    that is wanted (NO_COLOR, TERM) is for the caller to find out. `verbose` adds usage, results,
    and all log messages of servers; `quiet` leaves only answers and trouble, and wins.
    `shows_results` False: the results of a person's requests are somebody else's to show.

    What is written goes past Python's buffers, so nobody else may print to these streams; see
    `sinks.writer`. `emit` raises `SinkError` when a stream takes no more, as when its reader left.
    """

    name = "console"

    def __init__(
        self,
        out: TextIO,
        err: TextIO,
        *,
        colour: bool,
        is_terminal: bool,
        verbose: bool = False,
        quiet: bool = False,
        shows_results: bool = True,
    ) -> None:
        self._err = err
        self._quiet = quiet
        self._shows_results = shows_results
        self._servers: set[str] = set()
        self._notices = Notices(verbose=verbose)
        self._discovery = Discovery() if verbose else None
        self._screen = Screen(
            Stream(out, "standard output"),
            Stream(err, "standard error"),
            colour=colour,
            is_terminal=is_terminal,
        )
        self._writer = OffLoopWriter()
        self._has_streamed = False

    def wants(self, item: Item) -> bool:
        """Everything that may need words."""
        is_counted = self._discovery is not None and isinstance(item, COUNTED)
        return is_counted or isinstance(item, _WANTED)

    async def open(self) -> None:
        """Nothing to acquire: the streams are the caller's."""

    async def emit(self, entries: Sequence[Entry]) -> None:
        """Show a batch; returns when it is written."""
        for entry in entries:
            self._show(entry)
        await self._writer.write(self._screen.take())

    async def close(self) -> None:
        """End the last line; the streams stay open."""
        self._screen.finish()
        if self._writer.is_usable:
            await self._writer.write(self._screen.take())

    def _show(self, entry: Entry) -> None:
        item = entry.item
        match item:
            case AnswerDelta(text=text):
                self._has_streamed |= bool(text)
                self._screen.answer(text)
            case AnswerCompleted(text=text):
                if not self._has_streamed:
                    self._screen.answer(text)
                self._has_streamed = False
                self._screen.end_answer()
            case SessionReady(server=server):
                self._servers.add(server)
            case RequestEnded(result=result) if result is not None and self._shows_results:
                self._result(item)
            case _:
                pass
        found = () if self._discovery is None else self._discovery.read(entry)
        for notice in (*self._notices.read(item), *found):
            if notice.is_trouble or notice.is_question or not self._quiet:
                self._tell(notice)

    def _result(self, ended: RequestEnded) -> None:
        """What a person asked a server for; its name stands above where there are several."""
        text = format_result(ended)
        heading = f"{one_line(ended.server)}:\n" if text and len(self._servers) > 1 else ""
        self._screen.answer(f"{heading}{text}")
        self._screen.end_answer()

    def _tell(self, notice: Notice) -> None:
        if notice.sign == "·":
            self._screen.progress(notice, self._width())
        else:
            self._screen.notice(notice)

    def _width(self) -> int:
        try:
            return os.get_terminal_size(self._err.fileno()).columns or _USUAL_WIDTH
        except (OSError, ValueError):  # no terminal, or a stand-in for a stream
            return _USUAL_WIDTH

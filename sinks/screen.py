"""Answers and notices as pieces to write, knowing where the cursor stands. It does not write.

Standard output gets the answers and nothing else. Where both streams show on one terminal, a notice
in the middle of an answer starts on a fresh line, and that line break goes to standard error: what
a program reads from standard output is the same with and without a terminal.
"""

from sinks.notice import Notice, Sign
from sinks.terminal_text import cells, fit, harmless, one_line
from sinks.writer import Piece, Stream

_COLOURS: dict[Sign, str] = {">": "36", "<": "32", "=": "2", "·": "2", "!": "31", "?": "33"}


class Screen:
    """Collects pieces; `take` empties it. The only place where foreign text becomes harmless."""

    def __init__(self, out: Stream, err: Stream, *, colour: bool, is_terminal: bool) -> None:
        self._out = out
        self._err = err
        self._colour = colour
        self._is_terminal = is_terminal
        self._pieces: list[Piece] = []
        self._held = ""
        self._is_answering = False
        self._is_mid_line = False
        self._progress_cells = 0

    def answer(self, text: str) -> None:
        """Add to the answer. Line breaks at its end wait for more: it may have no more."""
        body = text.rstrip("\n")
        if body:
            self._leave_progress()
            self._put(self._out, f"{self._held}{harmless(body)}")
            self._held = ""
            self._is_answering = self._is_mid_line = True
        self._held += text[len(body) :]

    def end_answer(self) -> None:
        """End the answer with exactly one line break; without an answer, do nothing."""
        if self._is_answering:
            self._leave_progress()
            self._put(self._out, "\n")
        self._held = ""
        self._is_answering = self._is_mid_line = False

    def notice(self, notice: Notice) -> None:
        """Add a line, and its hint below it."""
        self._start_line()
        line = f"{notice.sign} {one_line(notice.text)}"
        hint = f"  {one_line(notice.hint)}" if notice.hint else ""
        for text in (line, hint):
            if text:
                self._put(self._err, f"{self._coloured(notice.sign, text)}\n")

    def progress(self, notice: Notice, width: int) -> None:
        """On a terminal, show a line in place of the progress before it; else add a line.

        `width` is the terminal's, in cells: a line that wraps could not be replaced.
        """
        if not self._is_terminal:
            self.notice(notice)
            return
        if not self._progress_cells:
            self._start_line()
        line = fit(f"{notice.sign} {one_line(notice.text)}", max(1, width - 1))
        shown = cells(line)
        rest = " " * (self._progress_cells - shown)
        self._put(self._err, f"\r{self._coloured(notice.sign, line)}{rest}")
        self._progress_cells = max(shown, 1)

    def finish(self) -> None:
        """Leave the cursor at the start of a line, whatever stands there."""
        self.end_answer()
        self._leave_progress()

    def take(self) -> list[Piece]:
        """Hand over what was collected."""
        pieces, self._pieces = self._pieces, []
        return pieces

    def _put(self, stream: Stream, text: str) -> None:
        self._pieces.append(Piece(stream, text))

    def _coloured(self, sign: Sign, text: str) -> str:
        return f"\x1b[{_COLOURS[sign]}m{text}\x1b[0m" if self._colour else text

    def _start_line(self) -> None:
        self._leave_progress()
        if self._is_terminal and self._is_mid_line:
            self._put(self._err, "\n")
            self._is_mid_line = False

    def _leave_progress(self) -> None:
        if self._progress_cells:
            self._put(self._err, "\n")
            self._progress_cells = 0

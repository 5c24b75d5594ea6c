"""Lays text out in columns for a terminal: a label, what is said, and a time at the right."""

from sinks.terminal_text import cells, fit, harmless

LABEL = 9
_MIN_WIDTH = 40
_BOLD, _DIM = "1", "2"


class Sheet:
    """Collects lines. All text becomes harmless here; its own line breaks stay."""

    def __init__(self, width: int, *, colour: bool) -> None:
        self._width = max(width, _MIN_WIDTH)
        self._colour = colour
        self._lines: list[str] = []

    def blank(self) -> None:
        """An empty line."""
        self._lines.append("")

    def heading(self, text: str, right: str = "") -> None:
        """A bold line."""
        right = harmless(right)
        line = fit(harmless(text), self._width - cells(right) - 2)
        gap = " " * (self._width - cells(line) - cells(right)) if right else ""
        self._lines.append(self._paint(line, _BOLD) + gap + self._paint(right, _DIM))

    def row(self, label: str, text: str, right: str = "", *, tint: str = "") -> None:
        """A label, a text over as many lines as it takes, and a word at the right of the first."""
        room, right = self._width - LABEL, harmless(right)
        lines = wrap(harmless(text).expandtabs(4), room - (cells(right) + 2 if right else 0), room)
        for at, line in enumerate(lines):
            start = f"  {label}".ljust(LABEL) if at == 0 else " " * LABEL
            end = ""
            if right and at == 0:
                end = " " * (room - cells(line) - cells(right)) + self._paint(right, _DIM)
            self._lines.append(f"{self._paint(start, tint)}{self._paint(line, tint)}{end}".rstrip())

    def text(self) -> str:
        """All of it, each line with its end."""
        return "".join(f"{line}\n" for line in self._lines)

    def _paint(self, text: str, code: str) -> str:
        if not (self._colour and code and text.strip()):
            return text
        return f"\x1b[{code}m{text}\x1b[0m"


def wrap(text: str, first: int, rest: int) -> list[str]:
    """Lines of at most `first` cells, then of at most `rest`; broken at spaces where there are."""
    lines: list[str] = []
    room = first
    for part in text.split("\n"):
        line = part
        while cells(line) > room:
            head = fit(line, room) or line[0]
            at = head.rstrip().rfind(" ") if line[len(head)] != " " else len(head)
            cut = at if head[: max(at, 0)].strip() else len(head)
            lines.append(line[:cut].rstrip())
            line = line[cut:].lstrip(" ")
            room = rest
        lines.append(line.rstrip())
        room = rest
    return lines

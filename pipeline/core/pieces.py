"""Texts that a recording holds in pieces, put together: what a model says, and what is shown of it.

A secret may be cut anywhere between two pieces, and then none of them shows it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

_STREAMED = frozenset({"model_spoke", "model_thought", "answer_delta"})
_OF_A_MODEL = ("model_spoke", "model_thought")
_ENDS = {
    "model_finished": _OF_A_MODEL,
    "model_failed": _OF_A_MODEL,
    "cancel_model": _OF_A_MODEL,
    "answer_completed": ("answer_delta",),
}
_HEADER = "recording"


class Head(msgspec.Struct, frozen=True):
    """What tells whether a line holds a piece."""

    kind: str = ""
    call: str = ""
    text: str | None = None

    @property
    def is_piece(self) -> bool:
        """Is `text` a piece, rather than a text of its own?"""
        return self.kind in _STREAMED and self.text is not None


@dataclass(slots=True)
class Streamed:
    """One text, and which lines hold its pieces."""

    size: int = 0
    _pieces: list[tuple[int, int, str]] = field(default_factory=list[tuple[int, int, str]])

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(piece for _, _, piece in self._pieces)

    @property
    def line(self) -> int:
        """The number of the line with its first piece."""
        return self._pieces[0][0]

    def add(self, line: int, piece: str) -> None:
        """One more piece."""
        self._pieces.append((line, self.size, piece))
        self.size += len(piece)

    def cut(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """A span as spans of the pieces: line, begin and end within the piece."""
        for line, begin, piece in self._pieces:
            first, last = max(start, begin), min(stop, begin + len(piece))
            if first < last:
                yield line, first - begin, last - begin


class Pieces:
    """Takes the lines of a recording in order. A text is held until it ends, as in the run."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], Streamed] = {}

    def read(self, number: int, head: Head) -> list[Streamed]:
        """The texts that end with this line."""
        if head.is_piece:
            streamed = self._open.setdefault((head.kind, head.call), Streamed())
            streamed.add(number, head.text or "")
            return []
        if head.kind == _HEADER:
            return self.end()
        keys = [(kind, head.call) for kind in _ENDS.get(head.kind, ())]
        return [self._open.pop(key) for key in keys if key in self._open]

    def end(self) -> list[Streamed]:
        """The texts that nothing has ended."""
        left = list(self._open.values())
        self._open = {}
        return left


_heads = msgspec.json.Decoder(Head)


def head_of(line: str | bytes) -> Head:
    """The head of a line; one without a kind if it is no line."""
    try:
        return _heads.decode(line)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return Head()

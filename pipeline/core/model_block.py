"""One content block of a model's turn, put together from its pieces."""

from typing import Any, TypeVar

import msgspec

from pipeline.core.events import Json
from pipeline.core.json_text import is_nested_deeper
from pipeline.core.shapes import MAX_DEPTH, is_object

_MAX_SHOWN = 80

T = TypeVar("T")


class BrokenTurnError(ValueError):
    """The server sent what cannot be a turn; the text says what was found and expected."""


Piece = tuple[str, str]
"""A field of a block, and what is added to it."""

_FIELDS = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "signature_delta": ("signature", "signature"),
    "input_json_delta": ("partial_json", "input"),
}


class Block:
    """One content block: as it started, and what was added since, joined only at the end."""

    def __init__(self, start: Json) -> None:
        self.is_ended = False
        self._start = start
        self._parts: dict[str, list[str]] = {}
        self._citations: list[Any] = []

    @property
    def text(self) -> Piece:
        """What the block had to show when it started; most have nothing yet."""
        for field in ("text", "thinking"):
            if self._start.get("type") == field and isinstance(self._start.get(field), str):
                return field, self._start[field]
        return "", ""

    @property
    def is_void(self) -> bool:
        """A text block without text: servers send it, and refuse to have it sent back."""
        if self._start.get("type") != "text":
            return False
        return not any(part.strip() for part in (self.text[1], *self._parts.get("text", ())))

    def add(self, delta: Json) -> Piece:
        """Take one delta; an unknown kind of it adds nothing."""
        kind = delta.get("type")
        if kind == "citations_delta":
            self._citations.append(delta.get("citation"))
        if kind not in _FIELDS:
            return "", ""
        source, field = _FIELDS[kind]
        text = delta.get(source)
        if not isinstance(text, str):
            raise BrokenTurnError(f"found {shown(text)} as {source} of a {kind}, expected text")
        self._parts.setdefault(field, []).append(text)
        return field, text

    def whole(self, *, is_strict: bool) -> Json:
        """The block to send back: all that came, and nothing else. A new value each time.

        A cut-off tool input is an error if `is_strict`, else `{}`: such a call never runs.
        """
        block = dict(self._start)
        for field in ("text", "thinking"):
            if field in self._parts:
                block[field] = "".join((block.get(field) or "", *self._parts[field]))
        if signature := self._parts.get("signature"):
            block["signature"] = "".join(signature)
        if self._citations:
            block["citations"] = [*(block.get("citations") or ()), *self._citations]
        if block.get("type") == "tool_use" or "input" in self._parts:
            block["input"] = self._input(is_strict=is_strict)
        return block

    def _input(self, *, is_strict: bool) -> Json:
        name = self._start.get("name")
        if is_strict and not self.is_ended:
            raise BrokenTurnError(
                f"found an unfinished call of {name!r}, expected content_block_stop after it"
            )
        text = "".join(self._parts.get("input", ()))
        if not text.strip():
            given: Any = self._start.get("input")
            return given if is_object(given) else {}
        try:
            return decode(text, Json)
        except BrokenTurnError as exc:
            if is_strict:
                raise BrokenTurnError(f"in the input of {name!r}: {exc}") from exc
            return {}


def decode(data: str, shape: type[T]) -> T:
    """JSON from the model's server.

    Raises:
        BrokenTurnError: If it is no JSON, or not of that shape.
    """
    try:
        value = msgspec.json.decode(data, type=shape)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as exc:
        raise BrokenTurnError(f"found {shown(data)}, expected JSON: {exc}") from exc
    if is_nested_deeper(data.encode(), MAX_DEPTH):
        limit = f"no more than {MAX_DEPTH} levels"
        raise BrokenTurnError(f"found {shown(data)}, expected JSON of {limit}")
    return value


def shown(value: object) -> str:
    """A foreign value for an error text: quoted, and never long."""
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"

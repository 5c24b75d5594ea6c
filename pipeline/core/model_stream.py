"""The events of one Messages API turn, folded into what the model said. No I/O, no clock.

Written for Claude and for the other servers that speak the same API, which is why it is strict in
one place and lenient elsewhere. Strict: a turn counts only once `message_stop` came with a stop
reason, and a tool call only if its block was ended and its input is a JSON object; else nothing of
it may run. Lenient: events, blocks and deltas of unknown type pass, blocks may interleave (they go
by `index`), and every field that we do not need may be missing.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from pipeline.core.events import Json, ModelFinished, ModelSpoke, ModelThought, Tokens
from pipeline.core.shapes import is_object

MAX_TURN_BYTES = 64 * 1024 * 1024
_MAX_SHOWN = 80

T = TypeVar("T")


class BrokenTurnError(ValueError):
    """The server sent what cannot be a turn; the text says what was found and expected."""


class _Kind(msgspec.Struct):
    type: str = ""


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None


class _Message(msgspec.Struct):
    model: str | None = None
    usage: _Usage | None = None


class _MessageStart(msgspec.Struct):
    message: _Message = _Message()


class _BlockStart(msgspec.Struct):
    index: int
    content_block: Json


class _BlockDelta(msgspec.Struct):
    index: int
    delta: Json


class _BlockStop(msgspec.Struct):
    index: int


class _Ending(msgspec.Struct):
    stop_reason: str | None = None


class _MessageDelta(msgspec.Struct):
    delta: _Ending = _Ending()
    usage: _Usage | None = None


class ModelTurn:
    """One turn in the making: `feed` it each event, and `finish` it once it `is_complete`.

    `has_begun` turns true with the first piece of content: what comes before, the server sends
    whether the model has started or not.
    """

    def __init__(self, call: str, model: str) -> None:
        self.has_begun = False
        self.is_complete = False
        self._call = call
        self._model = model
        self._blocks: dict[int, _Block] = {}
        self._stop_reason: str | None = None
        self._usage = _Usage()
        self._size = 0

    def feed(self, data: str) -> ModelSpoke | ModelThought | None:
        """Take the data of one event; return what there is to show of it.

        Raises:
            BrokenTurnError: If it is not JSON, lacks what its type needs, belongs to a block that
                never started, or makes the turn larger than `MAX_TURN_BYTES`.
        """
        self._size += len(data)
        if self._size > MAX_TURN_BYTES:
            raise BrokenTurnError(f"found more than {MAX_TURN_BYTES:,} characters in one turn")
        match _decode(data, _Kind).type:
            case "message_start":
                message = _decode(data, _MessageStart).message
                self._model = message.model or self._model
                self._count(message.usage)
            case "content_block_start":
                start = _decode(data, _BlockStart)
                self.has_begun = True
                self._blocks[start.index] = _Block(start.content_block)
                return self._shown(self._blocks[start.index].text)
            case "content_block_delta":
                piece = _decode(data, _BlockDelta)
                return self._shown(self._block(piece.index).add(piece.delta))
            case "content_block_stop":
                self._block(_decode(data, _BlockStop).index).is_ended = True
            case "message_delta":
                change = _decode(data, _MessageDelta)
                self._stop_reason = change.delta.stop_reason or self._stop_reason
                self._count(change.usage)
            case "message_stop":
                self.is_complete = True
            case _:
                return None  # A type of tomorrow: what it means is not ours to guess.
        return None

    def finish(self) -> ModelFinished:
        """The whole turn.

        Raises:
            BrokenTurnError: If the turn has no stop reason, or asks for a tool in a way that leaves
                open what it asks for.
        """
        if self._stop_reason is None:
            raise BrokenTurnError("found message_stop without a stop reason, expected one before")
        wants_tools = self._stop_reason == "tool_use"
        blocks = [self._blocks[index] for index in sorted(self._blocks)]
        content = tuple(block.whole(is_strict=wants_tools) for block in blocks if not block.is_void)
        if wants_tools:
            _check_calls([block for block in content if block.get("type") == "tool_use"])
        return ModelFinished(
            call=self._call,
            content=content,
            stop_reason=self._stop_reason,
            model=self._model,
            tokens=Tokens(
                input=self._usage.input_tokens or 0,
                output=self._usage.output_tokens or 0,
                cache_read=self._usage.cache_read_input_tokens or 0,
                cache_write=self._usage.cache_creation_input_tokens or 0,
            ),
        )

    def _block(self, index: int) -> "_Block":
        try:
            return self._blocks[index]
        except KeyError:
            raise BrokenTurnError(
                f"found a piece of block {index}, expected content_block_start before it"
            ) from None

    def _shown(self, piece: "_Piece") -> ModelSpoke | ModelThought | None:
        field, text = piece
        if field == "text" and text:
            return ModelSpoke(call=self._call, text=text)
        if field == "thinking" and text:
            return ModelThought(call=self._call, text=text)
        return None

    def _count(self, usage: _Usage | None) -> None:
        """Counts are totals so far: a later one replaces an earlier one, a missing one does not."""
        for name, count in msgspec.structs.asdict(usage).items() if usage else ():
            if count is not None:
                setattr(self._usage, name, count)


_Piece = tuple[str, str]
"""A field of a block, and what is added to it."""

_FIELDS = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "signature_delta": ("signature", "signature"),
    "input_json_delta": ("partial_json", "input"),
}


class _Block:
    """One content block: as it started, and what was added since, joined only at the end."""

    def __init__(self, start: Json) -> None:
        self.is_ended = False
        self._start = start
        self._parts: dict[str, list[str]] = {}
        self._citations: list[Any] = []

    @property
    def text(self) -> _Piece:
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

    def add(self, delta: Json) -> _Piece:
        """Take one delta; an unknown kind of it adds nothing."""
        kind = delta.get("type")
        if kind == "citations_delta":
            self._citations.append(delta.get("citation"))
        if kind not in _FIELDS:
            return "", ""
        source, field = _FIELDS[kind]
        text = delta.get(source)
        if not isinstance(text, str):
            raise BrokenTurnError(f"found {_shown(text)} as {source} of a {kind}, expected text")
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
            return _decode(text, Json)
        except BrokenTurnError as exc:
            if is_strict:
                raise BrokenTurnError(f"in the input of {name!r}: {exc}") from exc
            return {}


def _check_calls(calls: Sequence[Json]) -> None:
    if not calls:
        raise BrokenTurnError("found the stop reason 'tool_use', expected a tool_use block with it")
    seen: set[str] = set()
    for call in calls:
        id_, name = call.get("id"), call.get("name")
        if not isinstance(id_, str) or not id_ or not isinstance(name, str) or not name:
            raise BrokenTurnError(
                f"found a tool_use with id {_shown(id_)} and name {_shown(name)}, expected both"
            )
        if id_ in seen:
            raise BrokenTurnError(f"found two tool_use blocks with id {id_!r}, expected one")
        seen.add(id_)


def _decode(data: str, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=shape)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as exc:
        raise BrokenTurnError(f"found {_shown(data)}, expected JSON: {exc}") from exc


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"

"""The events of one Messages API turn, folded into what the model said. No I/O, no clock.

Written for Claude and for the other servers that speak the same API, which is why it is strict in
one place and lenient elsewhere. Strict: a turn counts only once `message_stop` came with a stop
reason, and a tool call only if its block was ended and its input is a JSON object; else nothing of
it may run. Lenient: events, blocks and deltas of unknown type pass, blocks may interleave (they go
by `index`), and every field that we do not need may be missing.
"""

from collections.abc import Sequence

import msgspec

from pipeline.core.events import Json, ModelFinished, ModelSpoke, ModelThought, Tokens
from pipeline.core.model_block import Block, BrokenTurnError, Piece, decode, shown

MAX_TURN_BYTES = 64 * 1024 * 1024


class ErrorEventError(Exception):
    """The server gave up in mid answer. `body` is what it said: JSON, or else text."""

    def __init__(self, body: object) -> None:
        super().__init__("the model's server sent an error event")
        self.body = body


class _Kind(msgspec.Struct, frozen=True):
    type: str = ""


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None


class _Message(msgspec.Struct, frozen=True):
    model: str | None = None
    usage: _Usage | None = None


class _MessageStart(msgspec.Struct, frozen=True):
    message: _Message = _Message()


class _BlockStart(msgspec.Struct, frozen=True):
    index: int
    content_block: Json


class _BlockDelta(msgspec.Struct, frozen=True):
    index: int
    delta: Json


class _BlockStop(msgspec.Struct, frozen=True):
    index: int


class _Ending(msgspec.Struct, frozen=True):
    stop_reason: str | None = None


class _MessageDelta(msgspec.Struct, frozen=True):
    delta: _Ending = _Ending()
    usage: _Usage | None = None


class ModelTurn:
    """One turn in the making: `feed` it each event, and `finish` it once it `is_complete`.

    `has_begun` turns true with the first piece of content: what comes before, the server sends
    whether the model has started or not. `most` characters are taken in all.
    """

    def __init__(self, call: str, model: str, *, most: int = MAX_TURN_BYTES) -> None:
        self._most = most
        self.has_begun = False
        self.is_complete = False
        self._call = call
        self._model = model
        self._blocks: dict[int, Block] = {}
        self._stop_reason: str | None = None
        self._usage = _Usage()
        self._size = 0

    def feed(self, name: str, data: str) -> ModelSpoke | ModelThought | None:
        """Take one event, its SSE name and its data; return what there is to show of it.

        Raises:
            ErrorEventError: If it is an error.
            BrokenTurnError: If it is not JSON, lacks what its type needs, belongs to a block that
                never started, or makes the turn larger than `most`.
        """
        self._size += len(data)
        if self._size > self._most:
            limit = f"{self._most:,} characters in one turn (--max-answer-bytes)"
            raise BrokenTurnError(f"found more than {limit}")
        if name == "error":  # Not every server says `"type": "error"` inside, too.
            raise ErrorEventError(_any(data))
        match decode(data, _Kind).type:
            case "error":
                raise ErrorEventError(_any(data))
            case "message_start":
                message = decode(data, _MessageStart).message
                self._model = message.model or self._model
                self._count(message.usage)
            case "content_block_start":
                start = decode(data, _BlockStart)
                self.has_begun = True
                self._blocks[start.index] = Block(start.content_block)
                return self._shown(self._blocks[start.index].text)
            case "content_block_delta":
                piece = decode(data, _BlockDelta)
                return self._shown(self._block(piece.index).add(piece.delta))
            case "content_block_stop":
                self._block(decode(data, _BlockStop).index).is_ended = True
            case "message_delta":
                change = decode(data, _MessageDelta)
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

    def _block(self, index: int) -> Block:
        try:
            return self._blocks[index]
        except KeyError:
            raise BrokenTurnError(
                f"found a piece of block {index}, expected content_block_start before it"
            ) from None

    def _shown(self, piece: Piece) -> ModelSpoke | ModelThought | None:
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


def _check_calls(calls: Sequence[Json]) -> None:
    if not calls:
        raise BrokenTurnError("found the stop reason 'tool_use', expected a tool_use block with it")
    seen: set[str] = set()
    for call in calls:
        id_, name = call.get("id"), call.get("name")
        if not isinstance(id_, str) or not id_ or not isinstance(name, str) or not name:
            raise BrokenTurnError(
                f"found a tool_use with id {shown(id_)} and name {shown(name)}, expected both"
            )
        if id_ in seen:
            raise BrokenTurnError(f"found two tool_use blocks with id {id_!r}, expected one")
        seen.add(id_)


def _any(data: str) -> object:
    try:
        return decode(data, object)
    except BrokenTurnError:
        return data

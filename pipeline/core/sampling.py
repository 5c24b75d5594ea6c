"""What servers ask of the model, in the form of the Messages API, and its answer in MCP's.

MCP: client/sampling. Tools for the model are not offered to servers, so none may come.
"""

import msgspec

from pipeline.core import conversation as talk
from pipeline.core.content import to_block
from pipeline.core.events import Json, ModelFinished
from pipeline.core.jsonrpc import shorten
from pipeline.core.shapes import is_list, is_object

MOST_TOKENS = 8192
_SUMMARY, _SHORT = 200, 40
_KINDS = ("text", "image")
_STOPS = {"end_turn": "endTurn", "max_tokens": "maxTokens", "stop_sequence": "stopSequence"}


class BadSampleError(ValueError):
    """A request that cannot be put to the model; the text says why."""


class Sample(msgspec.Struct, frozen=True):
    """A request for the model: `messages` as the Messages API takes them; `summary` for people."""

    messages: tuple[Json, ...]
    system: str
    max_tokens: int
    summary: str


def read_sample(params: Json) -> Sample:
    """Read the parameters of `sampling/createMessage`. Hints which model to use are passed over.

    Raises:
        BadSampleError: If there is no message, one that is not understood, or tools.
    """
    messages = params.get("messages")
    if not is_list(messages) or not messages:
        raise BadSampleError("found no messages, expected at least one")
    if params.get("tools"):
        raise BadSampleError("found tools, which this client did not offer to take")
    said = talk.Conversation()
    for message in messages:
        match message:
            case {"role": "user", "content": content}:
                said = said.with_user(*_blocks(content))
            case {"role": "assistant", "content": content}:
                said = said.with_assistant(_blocks(content))
            case _:
                raise BadSampleError("found a message without role user or assistant, or content")
    system, most = params.get("systemPrompt"), params.get("maxTokens")
    if not isinstance(most, int) or isinstance(most, bool) or most <= 0:
        most = MOST_TOKENS
    last: Json = said.messages[-1]["content"][-1]
    return Sample(
        messages=said.messages,
        system=system if isinstance(system, str) else "",
        max_tokens=min(MOST_TOKENS, most),
        summary=shorten(str(last.get("text", "(an image)")), _SUMMARY),
    )


def sampled(turn: ModelFinished) -> Json:
    """The model's answer as the result of `sampling/createMessage`."""
    stop = _STOPS.get(turn.stop_reason, turn.stop_reason)
    text = talk.spoken(turn.content)
    content = {"type": "text", "text": text}
    return {"role": "assistant", "content": content, "model": turn.model, "stopReason": stop}


def _blocks(content: object) -> list[Json]:
    items = content if is_list(content) else [content]
    if not items:
        raise BadSampleError("found a message with nothing in it, expected text or an image")
    blocks: list[Json] = []
    for item in items:
        if not is_object(item) or item.get("type") not in _KINDS:
            found = item.get("type") if is_object(item) else type(item).__name__
            found = shorten(str(found), _SHORT)
            raise BadSampleError(f"found content of type {found!r}, expected text or image")
        blocks.append(to_block(item))
    return blocks

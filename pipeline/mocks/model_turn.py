"""A recorded answer as the Messages API sends it: as a stream of events, or as one message."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from pipeline.core.events import Json, ModelFinished, Tool
from pipeline.core.shapes import is_list, is_object
from pipeline.mocks.model_script import ModelAnswer
from pipeline.mocks.serving import pieces, sse_json


def message_of(answer: ModelAnswer, end: ModelFinished, request: Json) -> Json:
    """The whole message; tools go by the names of this request, ids are new to it."""
    content = _renamed(end.content, answer.tools, request)
    usage = {
        "input_tokens": end.tokens.input,
        "cache_read_input_tokens": end.tokens.cache_read,
        "cache_creation_input_tokens": end.tokens.cache_write,
        "output_tokens": end.tokens.output,
    }
    return {
        "id": f"msg_{end.call}",
        "type": "message",
        "role": "assistant",
        "model": end.model or request.get("model", ""),
        "content": content,
        "stop_reason": end.stop_reason,
        "stop_sequence": None,
        "usage": usage,
    }


def stream_of(answer: ModelAnswer, message: Json) -> Iterator[bytes]:
    """The events of a whole message; texts come in the pieces in which they were spoken."""
    usage = message["usage"]
    opening: Json = {"content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 0}}
    yield _event("message_start", message={**message, **opening})
    spoken, thought = iter(answer.spoken), iter(answer.thought)
    for index, block in enumerate(message["content"]):
        yield from _block(index, block, spoken, thought)
    ending = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield _event("message_delta", delta=ending, usage=usage)
    yield _event("message_stop")


def cut_stream_of(answer: ModelAnswer, error: Json, request: Json) -> Iterator[bytes]:
    """The events of an answer that failed in the middle: what was spoken, then the error."""
    blank: Json = {"id": "msg_cut", "type": "message", "role": "assistant", "content": []}
    usage = {"input_tokens": 0, "output_tokens": 0}
    rest = {"model": request.get("model", ""), "stop_reason": None, "usage": usage}
    yield _event("message_start", message={**blank, **rest})
    yield _event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    for text in answer.spoken:
        yield _delta(0, "text_delta", text=text)
    yield sse_json("error", error)


def _block(
    index: int, block: Json, spoken: Iterator[str], thought: Iterator[str]
) -> Iterator[bytes]:
    match block:
        case {"type": "text", "text": str() as text}:
            empty = {"text": ""}
            deltas = [_delta(index, "text_delta", text=p) for p in pieces(text, spoken)]
        case {"type": "thinking", "thinking": str() as text}:
            empty = {"thinking": "", "signature": ""}
            deltas = [_delta(index, "thinking_delta", thinking=p) for p in pieces(text, thought)]
            if "signature" in block:
                deltas.append(_delta(index, "signature_delta", signature=block["signature"]))
        case {"type": "tool_use", "input": value}:
            empty: Json = {"input": {}}
            whole = msgspec.json.encode(value).decode()
            deltas = [_delta(index, "input_json_delta", partial_json=whole)]
        case _:
            empty, deltas = {}, []
    yield _event("content_block_start", index=index, content_block={**block, **empty})
    yield from deltas
    yield _event("content_block_stop", index=index)


def _renamed(content: Sequence[Json], recorded: Sequence[Tool], request: Json) -> list[Json]:
    names, used = _tool_names(request), _used_ids(request)
    return [
        {**block, "name": _name(block, recorded, names), "id": _id(block, used)}
        if block.get("type") == "tool_use"
        else block
        for block in content
    ]


def _name(block: Json, recorded: Sequence[Tool], names: Sequence[str]) -> Any:
    """How this client calls the tool: `mcp__fs__read` of one is `read` or `fs.read` of another."""
    name = block.get("name")
    if name in names:
        return name
    bare = next((tool.name for tool in recorded if tool.alias == name), None)
    if bare is None:
        return name
    same = [other for other in names if other == bare]
    alike = same or [other for other in names if other.endswith((f"_{bare}", f".{bare}"))]
    return alike[0] if len(alike) == 1 else name


def _id(block: Json, used: set[str]) -> str:
    """An id that this conversation does not hold yet: a recorded turn may be given twice."""
    id_, number = str(block.get("id")), 1
    while id_ in used:
        number += 1
        id_ = f"{block.get('id')}_{number}"
    used.add(id_)
    return id_


def _tool_names(request: Json) -> list[str]:
    tools: Any = request.get("tools")
    return [str(tool.get("name")) for tool in tools if is_object(tool)] if is_list(tools) else []


def _used_ids(request: Json) -> set[str]:
    contents = [m.get("content") for m in request["messages"] if is_object(m)]
    blocks = [block for content in contents if is_list(content) for block in content]
    return {str(b.get("id")) for b in blocks if is_object(b) and b.get("type") == "tool_use"}


def _event(kind: str, **fields: Any) -> bytes:
    return sse_json(kind, {"type": kind, **fields})


def _delta(index: int, kind: str, **fields: str) -> bytes:
    return _event("content_block_delta", index=index, delta={"type": kind, **fields})

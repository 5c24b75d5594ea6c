"""Which message a server's words answer, and the same words as an answer to another message."""

import json
from collections.abc import Iterator
from typing import Any, TypeAlias

import msgspec
from msgspec.structs import replace

from pipeline.core.commands import Get, Post
from pipeline.core.events import AnswerEnded, FrameReceived, Input, Json, PostAnswered
from pipeline.core.json_text import UNREADABLE, read_any
from pipeline.core.shapes import is_list, is_object
from pipeline.mocks import mcp_script

Message: TypeAlias = Post | Get

_ANSWER, _STREAM = "(an answer)", "(a stream)"


def meaning(message: Message) -> Json:
    """What counts of a message, as `mocks` see it; of our own answers, what they answer."""
    if isinstance(message, Get):
        return {"method": _STREAM}
    match message.message:
        case {"jsonrpc": _, "method": str() as method}:
            params = message.message.get("params")
            return mcp_script.meaning(method, params if is_object(params) else {})
        case {"tool": tool, "args": arguments}:
            return mcp_script.meaning(mcp_script.CALL, {"name": tool, "arguments": arguments})
        case found:
            return {"method": _ANSWER, "to": found.get("id")}


def is_answer(message: Message) -> bool:
    """Does it answer a question of the server's? That it asks whether we live is none."""
    if isinstance(message, Get):
        return False
    found = message.message
    return ("result" in found or "error" in found) and found.get("result") != {}


def is_request(message: Message) -> bool:
    """Does it want an answer beyond that it was taken?"""
    if isinstance(message, Get):
        return False
    found = message.message
    return "tool" in found or ("method" in found and "id" in found)


def named_in(frame: FrameReceived) -> Iterator[str]:
    """The ids of the messages that a frame answers, or reports progress on."""
    try:
        value: Any = read_any(frame.data)
    except UNREADABLE:
        return  # The client that recorded it made nothing of it either.
    for each in value if is_list(value) else [value]:
        match each:
            case {"method": _, "params": {"progressToken": str() as token}}:
                yield token
            case {"id": str() as id_} if "method" not in each:
                yield id_
            case _:
                continue


def as_answer_to(item: Input, id_: str, old: str) -> Input:
    """What answered the message `old`, as an answer to the message `id_`.

    An id stands in JSON as a string of its own, quotes included; in a text inside of JSON its
    quotes are escaped, so that no such text is taken for one.
    """
    if id_ == old:
        return item
    match item:
        case PostAnswered():
            return replace(item, id=id_, body=_renamed(item.body, id_, old))
        case FrameReceived():
            stream = id_ if item.stream == old else item.stream
            return replace(item, stream=stream, data=_renamed(item.data, id_, old))
        case AnswerEnded():
            return replace(item, id=id_)
        case _:
            return item


def _renamed(text: str, id_: str, old: str) -> str:
    new = msgspec.json.encode(id_).decode()
    for spelled in {json.dumps(old), json.dumps(old, ensure_ascii=False)}:
        text = text.replace(spelled, new)
    return text

"""MCP content to the blocks of the Messages API, and to plain text for people.

MCP: server/tools, "Tool Result". Text and images pass through; what a model cannot take (audio,
binary resources) is named in words, so that it knows something was there.
"""

from typing import Any

import msgspec

from pipeline.core.events import Json, ToolEnded
from pipeline.core.shapes import is_list, is_object

_IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")


def tool_result(use_id: str, ended: ToolEnded) -> Json:
    """The `tool_result` block that answers a model's `tool_use`.

    As the API wants it: no blank text, never empty, and with an error nothing but text.
    """
    match ended.outcome:
        case "answered":
            blocks = [_text(to_text(b)) if ended.is_error else to_block(b) for b in ended.content]
            content = [block for block in blocks if not _is_blank(block)]
            if not content and ended.structured is not None:
                content = [_text(msgspec.json.encode(ended.structured).decode())]
            if not content:
                content = [_text(ended.reason or "(the tool returned nothing)")]
        case "not_sent":
            content = [_text(f"The call was not sent: {ended.reason}. The tool did not run.")]
        case "unknown":
            content = [
                _text(
                    f"The outcome is unknown: {ended.reason}. The tool may or may not have run; "
                    "do not repeat the call if running it twice would do harm."
                )
            ]
    block: Json = {"type": "tool_result", "tool_use_id": use_id, "content": content}
    is_bad = ended.is_error or ended.outcome != "answered"
    return {**block, "is_error": True} if is_bad else block


def to_block(content: Json) -> Json:
    """One MCP content item as a block that a model takes."""
    match content:
        case {"type": "image", "data": str() as data, "mimeType": mime} if mime in _IMAGES:
            source = {"type": "base64", "media_type": mime, "data": data}
            return {"type": "image", "source": source}
        case _:
            return _text(to_text(content))


def to_text(content: Json) -> str:
    """One MCP content item in words."""
    match content:
        case {"type": "text", "text": str() as text}:
            return text
        case {"type": "image" | "audio" as kind, "data": str() as data}:
            size = len(data) * 3 // 4
            return f"({kind}, {content.get('mimeType', 'of unknown type')}, {size} bytes)"
        case {"type": "resource", "resource": {"text": str() as text, "uri": uri}}:
            return f"{uri}:\n{text}"
        case {"type": "resource", "resource": {"blob": str() as blob, "uri": uri}}:
            return f"({uri}, binary, {len(blob) * 3 // 4} bytes)"
        case {"type": "resource_link", "uri": uri}:
            return f"(link to {uri}{_named(content)})"
        case _:
            return msgspec.json.encode(content).decode()


def read_content(result: Json) -> tuple[Json, ...] | None:
    """The content items of a tool result; None if `content` is not a list of objects.

    A result without `content` has none: servers that answer with `structuredContent` alone exist.
    """
    content: Any = result.get("content", [])
    if not is_list(content) or not all(is_object(item) for item in content):
        return None
    return tuple(content)


def _is_blank(block: Json) -> bool:
    return block["type"] == "text" and not block["text"].strip()


def _text(text: str) -> Json:
    return {"type": "text", "text": text}


def _named(content: Json) -> str:
    name = content.get("title") or content.get("name")
    return f", {name}" if name else ""

"""What the real Messages API refuses, so that a request we get wrong fails here first."""

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_FIELDS = {
    "cache_control", "container", "max_tokens", "messages", "metadata", "model", "output_config",
    "service_tier", "stop_sequences", "stream", "system", "thinking", "tool_choice", "tools",
}  # fmt: skip


def check_headers(headers: Mapping[str, str]) -> str | None:
    """Why the API answers 400, or None."""
    if "anthropic-version" not in headers:
        return "anthropic-version: header is required"
    return None


def has_key(headers: Mapping[str, str]) -> bool:
    """Did the client say who it is?"""
    return "authorization" in headers or "x-api-key" in headers


def check_request(body: dict[str, Any]) -> str | None:
    """Why the API answers 400, or None."""
    return next(_problems(body), None)


def _problems(body: dict[str, Any]) -> Iterator[str]:
    for name in body.keys() - _FIELDS:
        yield f"{name}: Extra inputs are not permitted"
    if not isinstance(body.get("model"), str) or not body["model"]:
        yield "model: Field required"
    if not isinstance(body.get("max_tokens"), int):
        yield "max_tokens: Field required"
    if body.get("system") == "":
        yield "system: text content blocks must be non-empty"
    yield from _tool_problems(body.get("tools"))
    yield from _message_problems(body.get("messages"))


def _tool_problems(tools: Any) -> Iterator[str]:
    if tools is None:
        return
    if not tools:
        yield "tools: List should have at least 1 item"  # stricter than the API: leave it out
    names = [tool.get("name", "") for tool in tools]
    for at, tool in enumerate(tools):
        if not _TOOL_NAME.fullmatch(names[at]):
            yield f"tools.{at}.name: String should match pattern '{_TOOL_NAME.pattern}'"
        if tool.get("input_schema", {}).get("type") != "object":
            yield f"tools.{at}.input_schema.type: Field required"
        for extra in tool.keys() - {"name", "description", "input_schema"}:
            yield f"tools.{at}.{extra}: Extra inputs are not permitted"
    if len(set(names)) < len(names):
        yield "tools: Tool names must be unique."


def _message_problems(messages: Any) -> Iterator[str]:
    if not messages:
        yield "messages: at least one message is required"
        return
    for at, message in enumerate(messages):
        if message.get("role") not in ("user", "assistant"):
            yield f"messages.{at}.role: Input should be 'user' or 'assistant'"
        blocks = _blocks(message)
        if not blocks:
            yield f"messages.{at}: all messages must have non-empty content"
        for place, block in enumerate(blocks):
            yield from _block_problems(f"messages.{at}.content.{place}", block)
    if messages[0].get("role") != "user":
        yield "messages: first message must use the 'user' role"
    yield from _pairing_problems(messages)


def _block_problems(where: str, block: dict[str, Any]) -> Iterator[str]:
    match block:
        case {"type": "text", "text": str() as text} if not text.strip():
            yield f"{where}: text content blocks must contain non-whitespace text"
        case {"type": "thinking"} if not block.get("signature"):
            yield f"{where}.signature: Field required"
        case {"type": "tool_use"} if not isinstance(block.get("input"), dict):
            yield f"{where}.input: Input should be a valid dictionary"
        case _:
            return


def _pairing_problems(messages: Any) -> Iterator[str]:
    """Each tool_use is answered in the very next message, before anything else that it says."""
    turns = [("assistant", []), *_merged(messages), ("user", [])]
    for at, (message, following) in enumerate(pairwise(turns), -1):
        role, blocks = message
        used = [b["id"] for b in blocks if b.get("type") == "tool_use"]
        if len(set(used)) < len(used):
            yield f"messages.{at}: `tool_use` ids must be unique"
        results = [b.get("type") == "tool_result" for b in following[1]]
        answered = {b["tool_use_id"] for b in following[1] if b.get("type") == "tool_result"}
        if role == "assistant" and set(used) - answered:
            yield (
                f"messages.{at}: `tool_use` ids were found without `tool_result` blocks "
                f"immediately after: {', '.join(sorted(set(used) - answered))}"
            )
        if answered - set(used):
            yield f"messages.{at + 1}: unexpected `tool_use_id` found in `tool_result` blocks"
        if results != sorted(results, reverse=True):
            yield f"messages.{at + 1}: `tool_result` blocks must come first"


def _merged(messages: Any) -> list[tuple[str, list[dict[str, Any]]]]:
    """Neighbours of one role are one turn."""
    merged: list[tuple[str, list[dict[str, Any]]]] = []
    for message in messages:
        if merged and merged[-1][0] == message.get("role"):
            merged[-1][1].extend(_blocks(message))
        else:
            merged.append((message.get("role", ""), list(_blocks(message))))
    return merged


def _blocks(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message.get("content") or []
    return [{"type": "text", "text": content}] if isinstance(content, str) else content

"""What servers offer besides tools, for people: resources and prompts, and what is in them."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from pipeline.core.content import to_text
from pipeline.core.events import Json, RequestEnded
from pipeline.core.shapes import is_list, is_object
from sinks.terminal_text import clip, harmless, one_line

_MAX_LINE = 300
_TEMPLATES = "resourceTemplates"


def format_result(ended: RequestEnded) -> str:
    """The result of a request as text to read, made harmless; no newline at the end."""
    result: Json = ended.result or {}
    match ended.method:
        case "resources/list":
            return _list(result, "resources", _resource)
        case "resources/templates/list":
            return _list(result, _TEMPLATES, _resource)
        case "prompts/list":
            return _list(result, "prompts", _prompt)
        case "skills/list":
            return _list(result, "skills", _skill)
        case "resources/read":
            return "\n".join(harmless(_contents(each)) for each in _objects(result, "contents"))
        case "prompts/get":
            return "\n".join(harmless(_message(each)) for each in _objects(result, "messages"))
        case "completion/complete":
            completion = result.get("completion")
            values: Any = completion.get("values") if is_object(completion) else None
            return "\n".join(_line(str(value)) for value in values) if is_list(values) else ""
        case _:
            return "" if not result else harmless(msgspec.json.encode(result).decode())


def _list(result: Json, key: str, lines: Callable[[Json], Sequence[str]]) -> str:
    items = _objects(result, key)
    words = "resource templates" if key == _TEMPLATES else key
    found = [line for item in items for line in lines(item)]
    return "\n".join(found) if found else f"no {words}"


def _resource(item: Json) -> Sequence[str]:
    address = item.get("uri") or item.get("uriTemplate") or ""
    title = item.get("title") or item.get("name") or ""
    kind = f" ({item['mimeType']})" if isinstance(item.get("mimeType"), str) else ""
    return _entry(f"{address}{kind}", title, item.get("description"))


def _skill(item: Json) -> Sequence[str]:
    about = item.get("frontmatter")
    about = about if is_object(about) else {}
    name = str(about.get("name") or "")
    return _entry(str(item.get("uri", "")), name, about.get("description"))


def _prompt(item: Json) -> Sequence[str]:
    words = [str(item.get("name", ""))]
    for argument in _objects(item, "arguments"):
        name = f"{argument.get('name', '')}=…"
        words.append(name if argument.get("required") is True else f"[{name}]")
    return _entry(" ".join(words), item.get("title") or "", item.get("description"))


def _entry(first: str, title: object, description: object) -> Sequence[str]:
    text = description if isinstance(description, str) and description.strip() else title
    second = str(text).strip().partition("\n")[0]
    return [_line(first)] + ([f"    {_line(second)}"] if second else [])


def _contents(item: Json) -> str:
    text = item.get("text")
    return text if isinstance(text, str) else to_text({"type": "resource", "resource": item})


def _message(item: Json) -> str:
    content: Any = item.get("content")
    blocks = content if is_list(content) else [content]
    words = "\n".join(to_text(block) for block in blocks if is_object(block))
    return f"{item.get('role', 'user')}: {words}"


def _objects(value: Json, key: str) -> list[Json]:
    items = value.get(key)
    return [item for item in items if is_object(item)] if is_list(items) else []


def _line(text: str) -> str:
    return one_line(clip(text, _MAX_LINE))

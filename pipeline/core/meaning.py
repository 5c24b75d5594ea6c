"""What an event means, whatever run it is of: the same in two runs in which the same happened."""

import re
from collections.abc import Iterator
from itertools import count
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from pipeline.core.calls import PREFIX
from pipeline.core.codec import Entry, Header
from pipeline.core.commands import CallModel, Close, Item, Open, Post, Reconnect
from pipeline.core.events import (
    AnswerCompleted,
    CallRejected,
    CallSubmitted,
    FrameReceived,
    Json,
    ModelFailed,
    ModelFinished,
    PostAnswered,
    Problem,
    PromptCancelled,
    PromptRejected,
    PromptSubmitted,
    QuestionAnswered,
    QuestionAsked,
    QuestionClosed,
    RequestEnded,
    RequestStarted,
    RequestSubmitted,
    RunEnded,
    RunResumed,
    ServerLogged,
    ServersSettled,
    SessionClosed,
    SessionReady,
    StreamLost,
    StreamOpened,
    Tokens,
    Tool,
    ToolDelayed,
    ToolEnded,
    ToolRepeated,
    ToolsApproved,
    ToolsChanged,
    ToolsHeld,
    ToolStarted,
)
from pipeline.core.json_text import UNREADABLE, read_any
from pipeline.core.plan import ServerPlan
from pipeline.core.request_table import PREFIX as REQUEST
from pipeline.core.session.state import is_accepted
from pipeline.core.shapes import is_list, is_object

_LOOPBACK = re.compile(r"(?<![\w.])(127\.0\.0\.1|localhost|\[::1\]):\d{1,5}\b")
_LONG_ENOUGH = 8  # characters: a shorter id may be a word of a text
_CANCEL = "cancel:"
_PASSING = ("notifications/progress", "ping")


class Meaning(msgspec.Struct, frozen=True):
    """An event that counts, in its lane. `item` is for comparing alone: its types may be off."""

    lane: str
    entry: Entry
    item: Item


class Reader:
    """Reads one run: first `learn` all of it, then `read` it."""

    def __init__(self, header: Header) -> None:
        self._names: dict[str, str] = {}
        self._uses = 0
        self._pattern = (0, re.compile(""))
        self._learn_servers(header.plan.servers)

    def learn(self, item: Item) -> None:
        """Take note of the names that are of this run alone."""
        match item:
            case SessionReady(route=route) if len(route.session_id) >= _LONG_ENOUGH:
                self._names.setdefault(route.session_id, "(session id)")
            case RunResumed(servers=servers):
                self._learn_servers(servers)
            case ModelFinished(content=content):
                for block in content:
                    id_ = block.get("id")
                    if block.get("type") == "tool_use" and isinstance(id_, str) and id_:
                        self._uses += 1
                        self._names.setdefault(id_, f"(use {self._uses})")
            case _:
                pass

    def read(self, entry: Entry) -> Meaning | None:
        """What an entry means; None if it means nothing for a comparison."""
        found = self._lane(entry.item)
        if found is None:
            return None
        lane, item = found
        return Meaning(self.told(lane), entry, self.told(item))

    def _learn_servers(self, servers: tuple[ServerPlan, ...]) -> None:
        """A server on this machine is named after its port: `localhost-37405`."""
        taken = set(self._names.values())
        for server in servers:
            port = _port_of(server.url)
            if port is None or not server.name.endswith(f"-{port}") or server.name in self._names:
                continue
            base = server.name.removesuffix(f"-{port}")
            name = next(n for n in _numbered(base) if n not in taken)
            taken.add(name)
            self._names[server.name] = name

    def told(self, value: Any) -> Any:
        """The same value without the names that are of this run alone."""
        if isinstance(value, str):
            return self._text(value)
        if is_object(value):
            return {self._text(key): self.told(each) for key, each in value.items()}
        if is_list(value):
            return [self.told(each) for each in value]
        if isinstance(value, tuple):
            return tuple(self.told(each) for each in cast("tuple[Any, ...]", value))
        if isinstance(value, msgspec.Struct):
            names = value.__struct_fields__
            return replace(value, **{name: self.told(getattr(value, name)) for name in names})
        return value

    def _text(self, text: str) -> str:
        if self._names:
            text = self._known().sub(lambda match: self._names[match[0]], text)
        return _LOOPBACK.sub(r"\1:(port)", text)

    def _known(self) -> re.Pattern[str]:
        """All names at once, made anew when there are more."""
        known, pattern = self._pattern
        if len(self._names) != known:
            longest_first = sorted(self._names, key=len, reverse=True)
            inner = "|".join(re.escape(name) for name in longest_first)
            pattern = re.compile(rf"(?<![A-Za-z0-9])(?:{inner})(?![A-Za-z0-9])")
            self._pattern = len(self._names), pattern
        return pattern

    def _lane(self, item: Item) -> tuple[str, Item] | None:
        match item:
            case PromptSubmitted() | PromptCancelled() | PromptRejected() | CallSubmitted():
                return "prompts", item
            case RequestSubmitted():
                return "prompts", item
            case RequestStarted(request=request) | RequestEnded(request=request):
                return f"request {request}", item
            case QuestionAsked(question=question) | QuestionClosed(question=question):
                return f"question {question}", item
            case QuestionAnswered(question=question):
                return f"question {question}", item
            case ModelFailed() | AnswerCompleted() | CallRejected():
                return "conversation", item
            case CallModel(tools=tools):
                # Servers come up in any order, and so do their tools.
                in_order = sorted(
                    map(_undigested, tools), key=lambda tool: (tool.server, tool.name)
                )
                return "conversation", replace(item, call="", tools=tuple(in_order))
            case ModelFinished(content=content):
                blocks = tuple(_unsigned(block) for block in content)
                plain = replace(item, call="", content=blocks, model="", tokens=Tokens())
                return "conversation", plain
            case ToolStarted(call=call) | ToolRepeated(call=call) | ToolEnded(call=call):
                return f"call {call}", item
            case ToolDelayed(call=call):
                return f"call {call}", replace(item, retry_in=0.0)
            case Post():
                return self._on_post(item)
            case PostAnswered():
                return self._on_posted(item)
            case FrameReceived():
                return self._on_frame(item)
            case Open(server=server) | Close(server=server) | Reconnect(server=server):
                return f"server {server}", item
            case StreamOpened(server=server) | ServerLogged(server=server):
                return f"server {server}", item
            case StreamLost(server=server) | SessionClosed(server=server):
                return f"server {server}", replace(item, retry_in=_is_retried(item.retry_in))
            case SessionReady(server=server, route=route):
                plain = replace(route, url="", session_id="")
                return f"server {server}", replace(item, route=plain)
            case ToolsChanged(server=server, tools=tools):
                return f"server {server}", replace(item, tools=tuple(map(_undigested, tools)))
            case ToolsHeld(server=server) | ToolsApproved(server=server):
                return f"server {server}", item
            case Problem(where=where) if not where.startswith("sink "):
                return f"problems of {where}", item
            case RunEnded() | RunResumed() | ServersSettled():
                return "run", item
            case _:
                return None

    def _on_post(self, item: Post) -> tuple[str, Item] | None:
        message: Json = {key: item.message[key] for key in item.message if key != "session_id"}
        if message.get("result") == {} and "method" not in message:
            return None  # the answer to a ping
        return _wire_lane(item.server, item.id), replace(item, url="", message=message)

    def _on_posted(self, item: PostAnswered) -> tuple[str, Item] | None:
        if is_accepted(item.status):
            return None  # the answer is what counts, and that is a frame
        return _wire_lane(item.server, item.id), item

    def _on_frame(self, item: FrameReceived) -> tuple[str, Item] | None:
        data = _decoded(item.data)
        if not item.data or (is_object(data) and data.get("method") in _PASSING):
            return None
        if item.event == "endpoint":
            data = item.data.partition("?")[0]
        id_ = data.get("id") if is_object(data) else None
        # Held decoded, so that what differs is a place in it. It is compared, and nothing else.
        plain: Any = replace(item, id="", data=data)
        return _wire_lane(item.server, id_), plain


def _wire_lane(server: str, id_: Any) -> str:
    if not isinstance(id_, str) or not id_.startswith((PREFIX, REQUEST, _CANCEL)):
        return f"server {server}"
    kind, _, name = id_.partition("~")[0].partition(":")
    is_request = f"{kind}:" == REQUEST or (f"{kind}:" == _CANCEL and name.startswith("r"))
    return f"request {name}" if is_request else f"call {name}"


def _decoded(text: str) -> Any:
    try:
        value: Any = read_any(text)
    except UNREADABLE:
        return text
    return value


def _is_retried(retry_in: float | None) -> float | None:
    """Whether, not when: that is chance."""
    return None if retry_in is None else 0.0


def _unsigned(block: Json) -> Json:
    """A block of the model without the signature of its thinking, which is new each time."""
    return {key: value for key, value in block.items() if key != "signature"}


def _undigested(tool: Tool) -> Tool:
    """What was digested is compared; and a digest is of ports too, which differ in any two runs."""
    return replace(tool, digest="")


def _port_of(url: str) -> int | None:
    try:
        return urlsplit(url).port
    except ValueError:
        return None


def _numbered(base: str) -> Iterator[str]:
    yield base
    yield from (f"{base}#{number}" for number in count(2))

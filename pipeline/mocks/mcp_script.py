"""What a recorded MCP server offered, and what it sent in answer to each request.

Folded from the wire, not from the outcomes: what the mock sends later is what the server sent.
"""

from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

import msgspec

from pipeline.core.commands import Item, Post
from pipeline.core.events import (
    Dialect,
    FrameReceived,
    Json,
    PostAnswered,
    ReplyReceived,
    RunResumed,
    SessionReady,
    StreamLost,
)
from pipeline.core.json_text import UNREADABLE, read_any
from pipeline.core.session import seed
from pipeline.core.session.body import events_in
from pipeline.core.session.state import Session, is_accepted
from pipeline.core.shapes import is_list, is_object
from pipeline.mocks.match import compact
from pipeline.shell.recordings import RecordedRun

CALL = "tools/call"
_HANDSHAKE = ("initialize", "tools/list", "ping")


class NothingRecordedError(ValueError):
    """The recording does not hold what was asked of it; the text says what it holds."""


class RpcAnswer(msgspec.Struct, frozen=True):
    """The `result` or the `error` of a JSON-RPC answer, as it came."""

    member: Literal["result", "error"]
    body: Any


class SeedAnswer(msgspec.Struct, frozen=True):
    """An event of the seed dialect as it came, and what it means. `has_id`: the id came back."""

    event: Literal["result", "error"]
    data: str
    reply: ReplyReceived
    has_id: bool


class Refusal(msgspec.Struct, frozen=True):
    """The POST itself was refused."""

    status: int
    body: str


Answer: TypeAlias = RpcAnswer | SeedAnswer | Refusal


class Exchange(msgspec.Struct):
    """One request and what came of it: progress (without its token), then `answer`.

    `answer` None: the server took the request and never answered it.
    """

    asked: Json
    answer: Answer | None = None
    progress: tuple[Json, ...] = ()


def meaning(method: str, params: Json) -> Json:
    """What counts of a request: of a tool call its name and arguments, else all but `_meta`."""
    if method == CALL:
        given = params.get("arguments")
        arguments: Any = {} if given is None else given
        return {"method": CALL, "name": params.get("name"), "arguments": arguments}
    return {"method": method, **{k: v for k, v in params.items() if k not in ("_meta", "method")}}


def words(asked: Json) -> str:
    """A meaning as people write it: `add {"a":2,"b":3}`."""
    if asked["method"] == CALL:
        return f"{asked['name']} {compact(asked['arguments'])}"
    return f"{asked['method']} {compact({k: v for k, v in asked.items() if k != 'method'})}"


class McpScript:
    """One server, built up item by item with `feed`; what other servers did passes by.

    `greeting` is the raw result of `initialize`, None in the seed dialect; `tools` is the last list
    that was read, as the server wrote it.
    """

    def __init__(self, server: str) -> None:
        self.server = server
        self.dialect: Dialect = "sse"
        self.is_ready = False
        self.greeting: Json | None = None
        self.tools: tuple[Any, ...] = ()
        self.exchanges: list[Exchange] = []
        self._session = Session(server=server, url="")
        self._posted: dict[str, Exchange] = {}
        self._waiting: dict[str, Exchange] = {}

    def feed(self, item: Item) -> None:
        """Take the next item of a run."""
        match item:
            case SessionReady(server=self.server, route=route):
                self.dialect, self.is_ready = route.dialect, True
            case Post(server=self.server):
                self._on_post(item.id, item.message)
            case FrameReceived(server=self.server):
                self._on_frame(item)
            case PostAnswered(server=self.server):
                self._on_posted(item)
            case StreamLost(server=self.server):
                self._waiting.clear()
            case _:
                pass

    def end_run(self) -> None:
        """What is not answered by now never was; the next run counts its ids anew."""
        self._posted.clear()
        self._waiting.clear()

    def posted(self, id_: str) -> Exchange | None:
        """The exchange of this run whose `Post` has that id; None if nothing reached the server."""
        return self._posted.get(id_)

    def _on_post(self, id_: str, message: Json) -> None:
        match message:
            case {"jsonrpc": _, "id": _, "method": str() as method}:
                params = message.get("params")
                exchange = Exchange(meaning(method, params if is_object(params) else {}))
            case {"tool": tool, "args": arguments} if "jsonrpc" not in message:
                exchange = Exchange(meaning(CALL, {"name": tool, "arguments": arguments}))
            case _:
                return
        before = self._posted.get(id_)
        if before is not None and before.answer is None:
            self._drop(before)  # the same call, sent again after its connection was lost
        self._posted[id_] = self._waiting[id_] = exchange
        if exchange.asked["method"] not in _HANDSHAKE:
            self.exchanges.append(exchange)

    def _on_posted(self, posted: PostAnswered) -> None:
        exchange = self._waiting.get(posted.id)
        if exchange is None:
            return
        if posted.status is None:
            if not posted.is_sent:
                # Nothing is known of how the server would have answered.
                del self._waiting[posted.id], self._posted[posted.id]
                self._drop(exchange)
        elif not is_accepted(posted.status):
            self._settle(posted.id, Refusal(posted.status, posted.body))
        elif self.dialect == "seed":
            for reply in seed.on_body(self._session, posted)[1]:
                self._on_seed_reply(reply)
        else:
            events = events_in(posted.body)
            texts = [posted.body] if events is None else [event.data for event in events]
            for text in texts:
                self._on_messages(text, posted.id)

    def _drop(self, exchange: Exchange) -> None:
        # By identity: an earlier call may have been the same to the letter.
        self.exchanges = [other for other in self.exchanges if other is not exchange]

    def _on_frame(self, frame: FrameReceived) -> None:
        match frame.event:
            case "tools":
                tools = _decode(frame.data)
                self.tools = tuple(tools) if is_list(tools) else self.tools
            case "result" | "error" as event if self.dialect == "seed":
                read = seed.on_result if event == "result" else seed.on_error
                for reply in read(self._session, frame.data)[1]:
                    self._on_seed_reply(reply, frame.data)
            case "message":
                self._on_messages(frame.data, None)
            case _:
                pass

    def _on_seed_reply(self, reply: object, data: str = "") -> None:
        assert isinstance(reply, ReplyReceived), "each seed answer becomes one reply"
        calls = [id_ for id_ in self._waiting if id_.startswith(seed.PREFIX)]
        id_ = reply.id if reply.id is not None else next(iter(calls), "")
        event = "error" if reply.result is None else "result"
        whole = {"error": reply.error} if reply.result is None else reply.result
        data = data or msgspec.json.encode(whole).decode()
        self._settle(id_, SeedAnswer(event, data, reply, has_id=_id_in(data) == id_))

    def _on_messages(self, text: str, asked: str | None) -> None:
        found = _decode(text)
        for message in found if is_list(found) else [found]:
            match message:
                case {"method": "notifications/progress", "params": {"progressToken": token}}:
                    params = message["params"]
                    self._on_progress(token, {k: params[k] for k in params if k != "progressToken"})
                case {"error": error} if error is not None:
                    # Some servers know no id any more when they refuse.
                    id_ = message.get("id")
                    self._settle(asked if id_ is None else id_, RpcAnswer("error", error))
                case {"id": id_, "result": result}:
                    self._settle(id_, RpcAnswer("result", result))
                case _:
                    pass

    def _on_progress(self, token: Any, params: Json) -> None:
        exchange = self._waiting.get(token) if isinstance(token, str) else None
        if exchange is not None:
            exchange.progress = (*exchange.progress, params)

    def _settle(self, id_: Any, answer: Answer) -> None:
        exchange = self._waiting.pop(id_, None) if isinstance(id_, str) else None
        if exchange is None:
            return
        exchange.answer = answer
        match exchange.asked, answer:
            case {"method": "initialize"}, RpcAnswer("result", body) if is_object(body):
                self.greeting = body
            case {"method": "tools/list"}, RpcAnswer("result", {"tools": [*page]}):
                is_first = exchange.asked.get("cursor") is None
                self.tools = tuple(page) if is_first else (*self.tools, *page)
            case _:
                pass


def read_scripts(runs: Iterable[RecordedRun]) -> dict[str, McpScript]:
    """The servers that had a session in any of these runs, by name.

    Raises:
        RecordingError: If a run cannot be read.
    """
    scripts: dict[str, McpScript] = {}
    for run in runs:
        for server in run.header.plan.servers:
            scripts.setdefault(server.name, McpScript(server.name))
        for entry in run.entries():
            if isinstance(entry.item, RunResumed):
                for server in entry.item.servers:
                    scripts.setdefault(server.name, McpScript(server.name))
            for script in scripts.values():
                script.feed(entry.item)
        for script in scripts.values():
            script.end_run()
    return {name: script for name, script in scripts.items() if script.is_ready}


def pick(scripts: dict[str, McpScript], server: str | None) -> McpScript:
    """The server of that name, or the only one.

    Raises:
        NothingRecordedError: If there is none, or it could be any of several.
    """
    names = ", ".join(map(repr, scripts)) or "none"
    if server is None and len(scripts) == 1:
        return next(iter(scripts.values()))
    if server is None or server not in scripts:
        found = "no name" if server is None else repr(server)
        raise NothingRecordedError(f"found {found}, expected one of the recorded servers: {names}")
    return scripts[server]


def _decode(text: str) -> Any:
    try:
        return read_any(text)
    except UNREADABLE:
        return None  # The client that recorded it made nothing of it either.


def _id_in(data: str) -> Any:
    value = _decode(data)
    return value.get("id") if is_object(value) else None

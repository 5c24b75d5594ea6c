"""What a person is told about an event besides the answer, in words.

The first character says the direction: `>` out, `<` in, `=` state, `·` progress, `!` trouble,
`?` an unknown outcome. The words still hold foreign text as it came, only shortened: whoever
displays them makes it harmless.
"""

import json
import re
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import msgspec

from pipeline.core.commands import Item
from pipeline.core.content import to_text
from pipeline.core.events import (
    AnswerCompleted,
    CallRejected,
    Json,
    OffersChanged,
    Problem,
    QuestionAsked,
    QuestionClosed,
    RequestEnded,
    ResourceUpdated,
    RunEnded,
    ServerLogged,
    ServersSettled,
    SessionClosed,
    SessionReady,
    Stop,
    StreamLost,
    StreamOpened,
    ToolEnded,
    ToolProgress,
    ToolRepeated,
    ToolsChanged,
    ToolStarted,
    Usage,
)
from pipeline.core.run import NO_CONNECTION, UNAUTHORIZED
from sinks.terminal_text import clip

Sign: TypeAlias = Literal[">", "<", "=", "·", "!", "?"]
TOLD = (
    AnswerCompleted,
    CallRejected,
    OffersChanged,
    Problem,
    QuestionAsked,
    QuestionClosed,
    RequestEnded,
    ResourceUpdated,
    RunEnded,
    ServerLogged,
    ServersSettled,
    SessionClosed,
    SessionReady,
    StreamLost,
    StreamOpened,
    ToolEnded,
    ToolProgress,
    ToolRepeated,
    ToolsChanged,
    ToolStarted,
    Usage,
)
MAX_VALUE = 200
MAX_REASON = 500
_MAX_NAMES = 8
_QUIET_LEVELS = ("debug", "info", "notice")
_PLAIN_VALUE = re.compile(r"""[^\s"'{}\[\]]+""")
_STOPPED: dict[Stop, str] = {
    "max_tokens": "the answer is cut off: it reached the most tokens that one turn may have",
    "max_budget": "stopped: the budget is spent; --max-budget-usd raises it",
    "refusal": "the model refused to answer",
    "context_full": "stopped: the conversation no longer fits into what the model can read",
    "cancelled": "cancelled",
    "model_failed": "the model failed, so the answer is not whole",
}


class Notice(msgspec.Struct, frozen=True):
    """One line for a person; `hint`, if there is one, goes on a line of its own below it."""

    sign: Sign
    text: str
    hint: str = ""
    is_failure: bool = False

    @property
    def is_trouble(self) -> bool:
        """Does it say that something went wrong?"""
        return self.is_failure or self.sign in "!?"


class Notices:
    """Items to notices, one at a time. Remembers what was said, so that nothing is said twice."""

    def __init__(self, *, verbose: bool = False) -> None:
        self._verbose = verbose
        self._ready: dict[str, SessionReady] = {}
        self._met: set[str] = set()
        self._connected: set[str] = set()
        self._told_lost: set[str] = set()
        self._calls: dict[str, str] = {}
        self._has_told_trouble = False

    def read(self, item: Item) -> Sequence[Notice]:
        """What to say about an item, given all those before it; most items need no words."""
        notices = self._read(item)
        self._has_told_trouble |= any(notice.is_trouble for notice in notices)
        return notices

    def _read(self, item: Item) -> Sequence[Notice]:
        match item:
            case StreamOpened(server=server):
                self._connected.add(server)
                return ()
            case SessionReady(server=server):
                self._ready[server] = item
                self._told_lost.discard(server)
                return ()
            case ToolsChanged():
                return self._tools_changed(item)
            case ServersSettled():
                return self._settled(item)
            case StreamLost():
                return self._stream_lost(item)
            case SessionClosed():
                return self._session_closed(item)
            case ToolStarted(call=call, tool=tool, arguments=arguments):
                self._calls[call] = tool
                return (Notice(">", f"{_name(tool)} {_arguments(arguments)}".rstrip()),)
            case ToolRepeated(tool=tool, reason=reason):
                return (Notice(">", f"{_name(tool)} again: {_reason(reason)}"),)
            case ToolProgress(call=call):
                return (Notice("·", _progress(self._calls.get(call, call), item)),)
            case ToolEnded(call=call):
                self._calls.pop(call, None)
                return (_tool_ended(item, verbose=self._verbose),)
            case QuestionAsked() | QuestionClosed():
                return _question(item)
            case RequestEnded():
                return _request_ended(item)
            case ResourceUpdated(server=server, uri=uri):
                return (Notice("=", f"{_name(server)}: {_reason(uri)} has changed"),)
            case OffersChanged(server=server, what=what):
                text = f"{_name(server)}: its {what} have changed"
                return (Notice("=", text),) if self._verbose else ()
            case AnswerCompleted(stop=stop, turns=turns):
                return _stopped(stop, turns)
            case Usage():
                return (Notice("=", _usage(item)),) if self._verbose else ()
            case ServerLogged():
                return _logged(item, verbose=self._verbose)
            case CallRejected(tool=where, reason=detail, hint=hint):
                return (_problem(where, detail, hint),)
            case Problem(where=where, detail=detail, hint=hint):
                return (_problem(where, detail, hint),)
            case RunEnded():
                return self._ended(item)
            case _:
                return ()

    # A session is told when its tools are known, which is right after it is ready.

    def _tools_changed(self, item: ToolsChanged) -> Sequence[Notice]:
        ready = self._ready.pop(item.server, None)
        if ready is not None and item.server not in self._met:
            self._met.add(item.server)
            return (Notice("=", f"{_who(ready)} ready, {_tools(item)}"),)
        notices = [] if ready is None else [Notice("=", f"{_who(ready)} ready again")]
        changes = (("+", item.added), ("-", item.removed), ("~", item.changed))
        told = [f"{mark} {_names(names)}" for mark, names in changes if names]
        if told:
            notices.append(Notice("=", f"{_name(item.server)}: tools {' '.join(told)}"))
        return notices

    def _settled(self, item: ServersSettled) -> Sequence[Notice]:
        if not item.starting:
            return ()
        return (Notice("=", f"still starting: {_names(item.starting)}"),)

    # One loss is two events where there was a session: `StreamLost`, then `SessionClosed`.

    def _stream_lost(self, item: StreamLost) -> Sequence[Notice]:
        what = "connection lost" if item.server in self._connected else "no connection"
        self._connected.discard(item.server)
        self._told_lost.add(item.server)
        return (_lost(item.server, what, item.reason, item.retry_in, item.attempt),)

    def _session_closed(self, item: SessionClosed) -> Sequence[Notice]:
        if item.server in self._told_lost:
            return ()
        return (_lost(item.server, "session lost", item.reason, item.retry_in, 0),)

    def _ended(self, item: RunEnded) -> Sequence[Notice]:
        """The reason, where it is news: most failures were told when they happened."""
        is_news = item.code in (UNAUTHORIZED, NO_CONNECTION) or not self._has_told_trouble
        if item.code == 0 or not item.reason or not is_news:
            return ()
        return (Notice("!", _reason(item.reason)),)


def _name(text: str) -> str:
    return clip(text, 80)


def _reason(text: str) -> str:
    return clip(text, MAX_REASON)


def _names(names: Sequence[str]) -> str:
    shown = [_name(name) for name in names[:_MAX_NAMES]]
    return ", ".join(shown + ["…"] * (len(names) > _MAX_NAMES))


def _tools(item: ToolsChanged) -> str:
    if not item.tools:
        return "no tools"
    count = "1 tool" if len(item.tools) == 1 else f"{len(item.tools)} tools"
    return f"{count}: {_names([tool.name for tool in item.tools])}"


def _who(item: SessionReady) -> str:
    of = " ".join(_name(word) for word in (item.server_name, item.server_version) if word)
    return f"{_name(item.server)}: {of}".rstrip()


def _lost(server: str, what: str, reason: str, retry_in: float | None, attempt: int) -> Notice:
    next_ = "not trying again" if retry_in is None else f"trying again in {retry_in:.1f} s"
    if retry_in is not None and attempt:
        next_ += f" (attempt {attempt})"
    return Notice("!", f"{_name(server)}: {what}: {_reason(reason)}; {next_}")


def _problem(where: str, detail: str, hint: str) -> Notice:
    return Notice("!", f"{_name(where)}: {_reason(detail)}", _reason(hint))


def _arguments(arguments: Json) -> str:
    words = (f"{key}={_value(value)}" for key, value in arguments.items())
    return clip(" ".join(words), MAX_VALUE)


def _value(value: Any) -> str:
    if isinstance(value, str):
        return value if _PLAIN_VALUE.fullmatch(value) else f'"{value}"'
    return json.dumps(value, ensure_ascii=False)


def _progress(tool: str, item: ToolProgress) -> str:
    of = "" if item.total is None else f"/{item.total:.12g}"
    return f"{_name(tool)} {item.progress:.12g}{of} {clip(item.message, MAX_VALUE)}".rstrip()


def _tool_ended(item: ToolEnded, *, verbose: bool) -> Notice:
    tool, reason = _name(item.tool), _reason(item.reason)
    match item.outcome:
        case "unknown":
            return Notice("?", f"{tool} outcome unknown: {reason}")
        case "not_sent":
            return Notice("!", f"{tool} not sent: {reason}")
        case "answered":
            words = clip(" ".join(to_text(block) for block in item.content), MAX_VALUE)
    if item.is_error:
        text = f"{tool} failed: {reason or words or 'it gave no reason'}"
        return Notice("<", text, is_failure=True)
    return Notice("<", f"{tool} ok: {words}" if verbose and words else f"{tool} ok")


def _question(item: QuestionAsked | QuestionClosed) -> Sequence[Notice]:
    who = _name(item.server)
    match item:
        case QuestionAsked(form="url", message=message, url=url):
            # Never shortened: whoever goes there must see where.
            return (Notice("=", f"{who} wants you to visit {url}", _reason(message)),)
        case QuestionAsked(form="sample", message=message):
            return (Notice("=", f"{who} asks your model: {_reason(message)}"),)
        case QuestionAsked(message=message):
            return (Notice("=", f"{who} asks: {_reason(message)}"),)
        case QuestionClosed(action=action, reason=reason):
            words = {"accept": "answered", "decline": "declined", "cancel": "cancelled"}
            end = f"{who}: question {words.get(action, action)}"
            return (Notice("=", f"{end}: {_reason(reason)}" if reason else end),)


def _request_ended(item: RequestEnded) -> Sequence[Notice]:
    what = f"{_name(item.method)} at {_name(item.server)}"
    if item.result is not None:
        return ()
    if item.outcome == "answered":
        return (Notice("!", f"{what}: {_reason(item.error)}", is_failure=True),)
    sign: Sign = "?" if item.outcome == "unknown" else "!"
    return (Notice(sign, f"{what}: {item.outcome.replace('_', ' ')}: {_reason(item.reason)}"),)


def _stopped(stop: Stop, turns: int) -> Sequence[Notice]:
    if stop == "end_turn":
        return ()
    after = f"stopped after {turns} turns; --max-turns raises that"
    return (Notice("!", _STOPPED.get(stop, after)),)


def _usage(item: Usage) -> str:
    used = item.tokens
    words = [f"{used.input} tokens in", f"{used.output} out"]
    words += [f"{used.cache_read} from cache"] if used.cache_read else []
    words += [f"{used.cache_write} to cache"] if used.cache_write else []
    words += [f"${item.cost_usd:.4f}"] if item.cost_usd is not None else []
    words += [f"${item.total_usd:.4f} so far"] if item.total_usd is not None else []
    return f"{_name(item.model)}: {', '.join(words)}"


def _logged(item: ServerLogged, *, verbose: bool) -> Sequence[Notice]:
    is_mild = item.level in _QUIET_LEVELS
    if is_mild and not verbose:
        return ()
    text = f"{_name(item.server)}: {_name(item.level)}: {_reason(item.text)}"
    return (Notice("=" if is_mild else "!", text),)

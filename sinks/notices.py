"""What a person is told about an event besides the answer, in words.

The first character says the direction: `>` out, `<` in, `=` state, `·` progress, `!` trouble,
`?` an unknown outcome.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from pipeline.core.commands import Ask, Item, PinTools
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
    RequestStarted,
    ResourceUpdated,
    RunEnded,
    ServerLogged,
    ServersSettled,
    SessionClosed,
    SessionReady,
    Stop,
    StreamLost,
    StreamOpened,
    ToolDelayed,
    ToolEnded,
    ToolProgress,
    ToolRepeated,
    ToolsApproved,
    ToolsChanged,
    ToolsHeld,
    ToolStarted,
    Usage,
)
from pipeline.core.run import NO_CONNECTION, UNAUTHORIZED
from sinks import asked_words, pinned_words
from sinks.notice import MAX_VALUE, Notice, short_name, short_names, short_reason
from sinks.terminal_text import clip

TOLD = (
    AnswerCompleted,
    Ask,
    CallRejected,
    OffersChanged,
    PinTools,
    Problem,
    QuestionAsked,
    QuestionClosed,
    RequestEnded,
    RequestStarted,
    ResourceUpdated,
    RunEnded,
    ServerLogged,
    ServersSettled,
    SessionClosed,
    SessionReady,
    StreamLost,
    StreamOpened,
    ToolDelayed,
    ToolEnded,
    ToolProgress,
    ToolRepeated,
    ToolsApproved,
    ToolsChanged,
    ToolsHeld,
    ToolStarted,
    Usage,
)
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


class Notices:
    """Items to notices, one at a time. Remembers what was said, so that nothing is said twice."""

    def __init__(self, *, verbose: bool = False) -> None:
        self._verbose = verbose
        self._ready: dict[str, SessionReady] = {}
        self._met: set[str] = set()
        self._connected: set[str] = set()
        self._told_lost: set[str] = set()
        self._calls: dict[str, str] = {}
        self._requests: dict[str, RequestStarted] = {}
        self._questions: dict[str, QuestionAsked] = {}
        self._held: dict[str, Sequence[str]] = {}
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
            case ToolsHeld(server=server, tools=tools):
                before, self._held[server] = self._held.get(server, ()), [t.name for t in tools]
                return pinned_words.held(item, before)
            case ToolsApproved():
                return (pinned_words.approved(item),)
            case PinTools():
                return pinned_words.pinned(item) if self._verbose else ()
            case ServersSettled():
                return self._settled(item)
            case StreamLost():
                return self._stream_lost(item)
            case SessionClosed():
                return self._session_closed(item)
            case ToolStarted(call=call, tool=tool, arguments=arguments):
                self._calls[call] = tool
                return (Notice(">", f"{short_name(tool)} {_arguments(arguments)}".rstrip()),)
            case ToolRepeated(tool=tool, reason=reason):
                return (Notice(">", f"{short_name(tool)} again: {short_reason(reason)}"),)
            case ToolDelayed(tool=tool, reason=reason, retry_in=pause):
                what = f"{short_name(tool)} has to wait: {short_reason(reason)}"
                return (Notice("!", f"{what}; {_when(pause)}"),)
            case ToolProgress(call=call):
                return (Notice("·", _progress(self._calls.get(call, call), item)),)
            case ToolEnded(call=call):
                self._calls.pop(call, None)
                return (_tool_ended(item, verbose=self._verbose),)
            case QuestionAsked(question=question):
                self._questions[question] = item
                return ()
            case Ask(question=question):
                return self._asked(question)
            case QuestionClosed(question=question):
                return (*self._unasked(question), asked_words.closed(item))
            case RequestStarted(request=request):
                self._requests[request] = item
                return ()
            case RequestEnded(request=request):
                return asked_words.request(self._requests.pop(request, None), item)
            case ResourceUpdated(server=server, uri=uri):
                return (Notice("=", f"{short_name(server)}: {short_reason(uri)} has changed"),)
            case OffersChanged(server=server, what=what):
                text = f"{short_name(server)}: its {what} have changed"
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

    # A question is told when it is somebody's turn to answer it, else together with its end.

    def _asked(self, question: str) -> Sequence[Notice]:
        asked = self._questions.pop(question, None)
        return () if asked is None else (asked_words.asked(asked),)

    def _unasked(self, question: str) -> Sequence[Notice]:
        return [replace(notice, is_question=False) for notice in self._asked(question)]

    # A session is told when its tools are known, which is right after it is ready.

    def _tools_changed(self, item: ToolsChanged) -> Sequence[Notice]:
        ready = self._ready.pop(item.server, None)
        if ready is not None and item.server not in self._met:
            self._met.add(item.server)
            return (Notice("=", f"{_who(ready)} ready, {_tools(item)}"),)
        notices = [] if ready is None else [Notice("=", f"{_who(ready)} ready again")]
        changes = (("+", item.added), ("-", item.removed), ("~", item.changed))
        told = [f"{mark} {short_names(names)}" for mark, names in changes if names]
        if told:
            notices.append(Notice("=", f"{short_name(item.server)}: tools {' '.join(told)}"))
        return notices

    def _settled(self, item: ServersSettled) -> Sequence[Notice]:
        if not item.starting:
            return ()
        return (Notice("=", f"still starting: {short_names(item.starting)}"),)

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
        return (Notice("!", short_reason(item.reason)),)


def _tools(item: ToolsChanged) -> str:
    if not item.tools:
        return "no tools"
    count = "1 tool" if len(item.tools) == 1 else f"{len(item.tools)} tools"
    return f"{count}: {short_names([tool.name for tool in item.tools])}"


def _who(item: SessionReady) -> str:
    of = " ".join(short_name(word) for word in (item.server_name, item.server_version) if word)
    return f"{short_name(item.server)}: {of}".rstrip()


def _lost(server: str, what: str, reason: str, retry_in: float | None, attempt: int) -> Notice:
    next_ = _when(retry_in)
    if retry_in is not None and attempt:
        next_ += f" (attempt {attempt})"
    return Notice("!", f"{short_name(server)}: {what}: {short_reason(reason)}; {next_}")


def _when(retry_in: float | None) -> str:
    if retry_in is None:
        return "not trying again"
    in_words = f"{retry_in:.1f}"
    return "trying again at once" if in_words == "0.0" else f"trying again in {in_words} s"


def _problem(where: str, detail: str, hint: str) -> Notice:
    return Notice("!", f"{short_name(where)}: {short_reason(detail)}", short_reason(hint))


def _arguments(arguments: Json) -> str:
    words = (f"{key}={_value(value)}" for key, value in arguments.items())
    return clip(" ".join(words), MAX_VALUE)


def _value(value: Any) -> str:
    if isinstance(value, str):
        return value if _PLAIN_VALUE.fullmatch(value) else f'"{value}"'
    return json.dumps(value, ensure_ascii=False)


def _progress(tool: str, item: ToolProgress) -> str:
    of = "" if item.total is None else f"/{item.total:.12g}"
    return f"{short_name(tool)} {item.progress:.12g}{of} {clip(item.message, MAX_VALUE)}".rstrip()


def _tool_ended(item: ToolEnded, *, verbose: bool) -> Notice:
    tool, reason = short_name(item.tool), short_reason(item.reason)
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
    return f"{short_name(item.model)}: {', '.join(words)}"


def _logged(item: ServerLogged, *, verbose: bool) -> Sequence[Notice]:
    is_mild = item.level in _QUIET_LEVELS
    if is_mild and not verbose:
        return ()
    text = f"{short_name(item.server)}: {short_name(item.level)}: {short_reason(item.text)}"
    return (Notice("=" if is_mild else "!", text),)

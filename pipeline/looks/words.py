"""The words that a text and a page share. Foreign text in them is as it came: not yet harmless."""

import msgspec

from pipeline.core.events import (
    CallSubmitted,
    Json,
    PromptCancelled,
    RequestEnded,
    RequestStarted,
    RequestSubmitted,
    RunResumed,
    Tokens,
    Tool,
    ToolsChanged,
)
from pipeline.core.story import Call, ModelTurn, Note, Server, Story, Turn
from sinks.notices import Notice, Notices

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86_400.0
_EXACT = 10.0  # seconds: longer times need no hundredths
_MOST_NAMES = 12
_SHORT_DIGEST = len("sha256:") + 12


def duration(seconds: float) -> str:
    """A length of time with as many digits as a person uses: `3 ms`, `1.25 s`, `2 min 5 s`."""
    if seconds < 0.9995:  # noqa: PLR2004  what would be shown as 1000 ms
        return f"{seconds * 1000:.0f} ms"
    if seconds < _EXACT:
        return f"{seconds:.2f} s"
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    for unit, name, smaller, small in ((_DAY, "d", _HOUR, "h"), (_HOUR, "h", _MINUTE, "min")):
        if seconds >= unit:
            return f"{seconds // unit:.0f} {name} {seconds % unit // smaller:.0f} {small}"
    return f"{seconds // _MINUTE:.0f} min {seconds % _MINUTE:.0f} s"


def took(began: float, ended: float | None) -> str:
    """How long something took; nothing if the recording does not say."""
    return "" if ended is None else duration(ended - began)


def count(number: int, what: str) -> str:
    """`1 call`, `1,200 calls`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def names(all_names: list[str]) -> str:
    """The first of many names, and how many more there are."""
    shown = ", ".join(all_names[:_MOST_NAMES])
    more = len(all_names) - _MOST_NAMES
    return f"{shown} and {more} more" if more > 0 else shown


def when(story: Story) -> str:
    """`2026-11-24 08:08:21 UTC`."""
    date, _, time = story.header.at.partition("T")
    return f"{date} {time[:8]} UTC" if time else "at an unknown time"


def server_line(server: Server) -> str:
    """What a server is, and when it was there."""
    if server.ready is None:
        return f"{server.name}: never ready; {server.url}"
    of = " ".join(w for w in (server.ready.server_name, server.ready.server_version) if w)
    ready_in = (server.ready_at or 0.0) - (server.opened or 0.0)
    parts = [of, server.ready.protocol, f"ready after {duration(ready_in)}", server.url]
    return f"{server.name}: {', '.join(part for part in parts if part)}"


def tools_line(server: Server) -> str:
    """What a server offers."""
    if not server.tools:
        return "no tools"
    return f"{count(len(server.tools), 'tool')}: {names([tool.name for tool in server.tools])}"


def tool_line(tool: Tool) -> str:
    """A tool and as much of its digest as tells it from what it was before."""
    return f"{tool.digest[:_SHORT_DIGEST]}  {tool.name}"


def wish(turn: Turn) -> str:
    """What was asked for, in the person's words."""
    match turn.wish:
        case None:
            return "(what was asked is not in this recording)"
        case CallSubmitted(tool=tool, arguments=arguments):
            return f"call {tool} {arguments}".rstrip()
        case RequestSubmitted(method=method, params=params):
            return f"{method} {_named(params)}".rstrip()
        case prompt:
            return prompt.text


def _named(params: Json) -> str:
    """What a request is about."""
    return str(params.get("uri") or params.get("name") or "")


def never(turn: Turn) -> str:
    """Why nothing came of a wish; nothing if something did."""
    return "" if turn.began is not None else "never taken up"


def model_aside(step: ModelTurn) -> str:
    """What is to be said of the model's turn besides what it said."""
    parts = [f"thinks, {count(step.thought, 'character')}"] if step.thought else []
    if step.uses:
        parts.append(f"asks for {count(step.uses, 'tool')}")
    if step.failed is not None:
        parts.append(f"fails: {step.failed.reason}")
    elif step.finished is None:
        parts.append("does not finish")
    return "; ".join(parts)


def model_time(step: ModelTurn) -> str:
    """How long the model took, and when its first word came where that was not at the end."""
    whole = took(step.began, step.ended)
    if step.first_word is None or step.ended is None or step.ended - step.began < 1.0:
        return whole
    return f"first word {duration(step.first_word - step.began)}, {whole}"


def fate(call: Call) -> str:
    """How a call ended, in a word that is also a CSS class: ok, failed, unsent, unknown, open."""
    if call.end is None:
        return "open"
    match call.end.outcome:
        case "not_sent":
            return "unsent"
        case "unknown":
            return "unknown"
        case "answered":
            return "failed" if call.end.is_error else "ok"


def tokens(used: Tokens) -> str:
    """`1,234 tokens in (1,000 from cache), 56 out`."""
    cached = [(used.cache_read, "from cache"), (used.cache_write, "to cache")]
    aside = ", ".join(f"{number:,} {what}" for number, what in cached if number)
    total = used.input + used.cache_read + used.cache_write
    return f"{total:,} tokens in{f' ({aside})' if aside else ''}, {used.output:,} out"


def spent(story: Story) -> str:
    """Tokens and money of the whole run; nothing where none were told."""
    if not story.spent:
        return ""
    last = story.spent[-1]
    cost = "" if last.cost_usd is None else f", ${last.cost_usd:.4f}"
    return f"{tokens(last.total)}{cost}"


def ending(story: Story) -> str:
    """How the run ended."""
    after = f"after {duration(story.duration)}"
    if story.end is None:
        return f"the recording stops {after}, before the end of the run"
    reason = f": {story.end.reason}" if story.end.reason else ""
    return f"exit status {story.end.code} {after}{reason}"


def summary(story: Story) -> str:
    """What there was, counted."""
    calls = [fate(call) for call in story.calls]
    kinds = {kind: calls.count(kind) for kind in ("failed", "unsent", "unknown", "open")}
    aside = ", ".join(f"{number} {kind}" for kind, number in kinds.items() if number)
    outages = sum(len(server.outages) for server in story.servers)
    parts = [
        count(len(story.turns), "turn"),
        count(len(story.model_turns), "model call"),
        f"{count(len(calls), 'tool call')}{f' ({aside})' if aside else ''}",
    ]
    return ", ".join(parts + ([count(outages, "outage")] if outages else []))


class Teller:
    """Notes and calls in the words of the console, one after the other."""

    def __init__(self, story: Story) -> None:
        self._notices = Notices(verbose=True)
        self._is_one_server = len(story.servers) <= 1
        self._greeted: set[str] = set()

    def note(self, note: Note) -> list[Notice]:
        """What there is to say of a note; of most there is nothing."""
        match note.item:
            case ToolsChanged(server=server) if server not in self._greeted:
                # What it offers stands in the head.
                self._greeted.add(server)
                self._notices.read(note.item)
                return []
            case RunResumed():
                return [Notice("=", "the recording went on here, in another process")]
            case RequestStarted(server=server, method=method, params=params):
                self._notices.read(note.item)
                return [Notice(">", f"{method} {_named(params)}".rstrip() + f" at {server}")]
            case RequestEnded(server=server, method=method, result=result) if result is not None:
                done = Notice("<", f"{method} at {server} ok")
                return [done, *self._notices.read(note.item)]
            case PromptCancelled(signal=signal):
                return [Notice("!", "stopped by Ctrl-C" if signal == "SIGINT" else signal)]
            case item:
                return list(self._notices.read(item))

    def call(self, call: Call) -> tuple[Notice, list[Notice]]:
        """What was called, and what came of it."""
        (started,) = self._notices.read(call.started)
        if not self._is_one_server:
            started = Notice(">", f"{call.started.server}: {started.text}")
        if call.end is None:
            return started, [Notice("?", "no end in this recording")]
        return started, list(self._notices.read(call.end))

    def answer(self, turn: Turn) -> list[Notice]:
        """Why an answer is not what it could be."""
        return [] if turn.answer is None else list(self._notices.read(turn.answer))


def pretty(value: object) -> str:
    """JSON for people."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()

"""The timeline of a page, as SVG: who was busy when, what was lost, tokens over time.

Bars are links to the step they stand for: they can be reached by keyboard, and say what they are.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from pipeline.core.events import Problem, PromptCancelled, ServerLogged, SinkFailed
from pipeline.core.story import Call, Note, Outage, Server, Story
from pipeline.looks import words
from pipeline.looks.lanes import busy, rows
from pipeline.looks.markup import Markup, element, join
from pipeline.looks.shapes import area, label, rect
from pipeline.looks.timescale import Timescale
from sinks.terminal_text import clip, one_line

MAX_BARS = 1000
_MAX_POINTS = 400
_WIDTH, _LEFT, _RIGHT = 960.0, 104.0, 950.0
_AXIS, _ROW, _BAR, _GAP, _TOKENS, _TIP = 26.0, 20.0, 15.0, 8.0, 64.0, 24.0
_MIN_BAR, _LETTER = 3.0, 6.6
_TELLING = (Problem, PromptCancelled, ServerLogged, SinkFailed)
_HINT = "Point at a bar, or move with Tab, to see what it is; follow it to its step below."
T = TypeVar("T")


class Timeline(msgspec.Struct, frozen=True):
    """The drawing, and what there was no room for, in words."""

    svg: Markup
    left_out: tuple[str, ...] = ()


def timeline(story: Story, is_shown: Callable[[int], bool]) -> Timeline:
    """Draw a story. `is_shown(seq)`: is there an element `e<seq>` that a bar can lead to?"""
    drawing = _Drawing(story, is_shown)
    drawing.turns()
    drawing.model()
    for server in story.servers:
        drawing.server(server)
    drawing.notes()
    drawing.tokens()
    return Timeline(drawing.svg(), tuple(drawing.left_out))


class _Drawing:
    """Lanes from top to bottom; `_y` is where the next one begins."""

    def __init__(self, story: Story, is_shown: Callable[[int], bool]) -> None:
        self.left_out: list[str] = []
        self._story = story
        self._is_shown = is_shown
        self._scale = Timescale(busy(story), story.duration, _LEFT, _RIGHT)
        self._y = _AXIS
        self._back: list[Markup] = []
        self._front: list[Markup] = []
        self._tips: list[Callable[[float], Markup]] = []

    def svg(self) -> Markup:
        height = self._y + _TIP
        title = element("title", "Timeline of the session", id="timeline-title")
        bars = [bar(height - 8) for bar in self._tips]
        hint = label(_HINT, 4, height - 8, "soft hint")
        return element(
            "svg", title, self._axis(), *self._back, *self._front, *self._folds(), hint, *bars,
            viewBox=f"0 0 {_WIDTH:g} {height:g}", role="group", aria_labelledby="timeline-title",
        )  # fmt: skip

    def _axis(self) -> Markup:
        bottom = self._y
        parts: list[Markup] = []
        for turn in self._story.turns[:MAX_BARS]:
            if turn.began is not None and turn.number % 2:
                x, end = self._span(turn.began, turn.ended)
                parts.append(rect(x, _AXIS, end - x, bottom - _AXIS, "band"))
        for seconds, x in self._scale.ticks(76.0):
            parts.append(element("line", x1=x, x2=x, y1=_AXIS - 4, y2=bottom, class_="grid"))
            shown = words.duration(seconds)
            parts.append(label(shown, x, _AXIS - 10, "soft small", text_anchor="middle"))
        return join(parts)

    def _folds(self) -> list[Markup]:
        """In front of the lanes: what they show there is of no length."""
        middle = (_AXIS + self._y) / 2
        parts: list[Markup] = []
        for fold in self._scale.folds:
            shown = words.duration(fold.seconds)
            title = element("title", f"{shown} in which nothing happened")
            box = rect(fold.x, _AXIS - 4, fold.end - fold.x, self._y - _AXIS, "fold")
            x = (fold.x + fold.end) / 2 + 4
            turned = f"rotate(-90 {x:g} {middle:g})"
            name = label(
                f"{shown} later", x, middle, "soft small", transform=turned, text_anchor="middle"
            )
            parts.append(element("g", title, box, name))
        return parts

    # --- lanes --------------------------------------------------------------------------------

    def turns(self) -> None:
        self._label("turns")
        for turn in self._bounded(self._story.turns, "turns"):
            x = self._scale.x(turn.asked if turn.began is None else turn.began)
            tip = f"Turn {turn.number}: {words.wish(turn)}"
            name = label(str(turn.number), x + 8, self._y + 12, "name")
            dot = element("circle", cx=x + 2, cy=self._y + 8, r=3.5, class_="model")
            href = f"#turn-{turn.number}" if self._is_shown(-turn.number) else None
            self._link(href, f"{tip} ({_span_words(turn.began, turn.ended)})", dot, name)
        self._y += _ROW

    def model(self) -> None:
        turns = self._story.model_turns
        if not turns:
            return
        self._label("model")
        for step in self._bounded(turns, "model calls"):
            x, end = self._span(step.began, step.ended)
            kind = "failed" if step.failed is not None else "model"
            parts = [rect(x, self._y + 1, end - x, _BAR, kind)]
            said = clip(step.text, 80) or words.model_aside(step)
            tip = f"model: {said} ({_span_words(step.began, step.ended)})"
            self._link(self._href(step.seq), tip, *parts)
        self._y += _ROW + _GAP

    def server(self, server: Server) -> None:
        calls = [call for call in self._story.calls if call.started.server == server.name]
        lanes = rows(calls, self._span)
        height = max(1, len(lanes)) * _ROW
        self._label(server.name)
        for outage in self._bounded(server.outages, f"outages of {server.name}"):
            self._outage(outage, height)
        count = 0
        for at, row in enumerate(lanes):
            for call in row:
                count += 1
                if count <= MAX_BARS:
                    self._call(call, self._y + at * _ROW)
        more = len(calls) - min(count, MAX_BARS)
        if more:
            self.left_out.append(f"{words.count(more, 'call')} of {server.name}")
        self._y += height + _GAP

    def notes(self) -> None:
        notes = [
            step
            for step in self._story.steps
            if isinstance(step, Note) and isinstance(step.item, _TELLING)
        ]
        if not notes:
            return
        self._label("told")
        teller = words.Teller(self._story)
        for note in self._bounded(notes, "notes"):
            told = teller.note(note)
            if told:
                x = self._scale.x(note.at)
                y = self._y + 8
                shape = element("path", d=f"M{x:g} {y - 6:g}l6 11h-12z", class_="mark")
                tip = f"{told[0].text} (at {words.duration(note.at)})"
                self._link(self._href(note.seq), tip, shape)
        self._y += _ROW

    def tokens(self) -> None:
        if not self._story.spent:
            return
        points = list(self._story.spent)
        if len(points) > _MAX_POINTS:
            step = -(-len(points) // _MAX_POINTS)
            points = [*points[:-1:step], points[-1]]
        sums = [p.total.input + p.total.cache_read + p.total.cache_write for p in points]
        outs = [p.total.output for p in points]
        most = max(max(sums) + max(outs), 1)
        base = self._y + _TOKENS
        xs = [self._scale.x(point.at) for point in points]
        both = [base - (a + b) * (_TOKENS - 14) / most for a, b in zip(sums, outs, strict=True)]
        only = [base - b * (_TOKENS - 14) / most for b in outs]
        self._label("tokens")
        title = element("title", f"Tokens over time: {words.spent(self._story)}")
        total = label(f"{sums[-1] + outs[-1]:,}", _RIGHT, both[-1] - 4, "small", text_anchor="end")
        areas = (
            area(xs, both, base, _RIGHT, "tokens-in"),
            area(xs, only, base, _RIGHT, "tokens-out"),
        )
        self._front.append(element("g", title, *areas, total))
        self._y = base + _GAP

    # --- pieces -------------------------------------------------------------------------------

    def _label(self, name: str) -> None:
        room = int((_LEFT - 12) / _LETTER)
        shown = name if len(name) <= room else f"{name[: room - 1]}…"
        line = element("line", x1=0, x2=_WIDTH, y1=self._y - 3, y2=self._y - 3, class_="rule")
        self._back += [line, label(shown, 4, self._y + 12, "soft")]

    def _bounded(self, things: Sequence[T], what: str) -> Sequence[T]:
        if len(things) > MAX_BARS:
            self.left_out.append(f"{len(things) - MAX_BARS:,} {what}")
        return things[:MAX_BARS]

    def _outage(self, outage: Outage, height: float) -> None:
        x, end = self._span(outage.began, outage.ended)
        back = "not back" if outage.ended is None else "back"
        tip = f"{outage.server} was lost: {outage.reason} ({back}: "
        tip += f"{_span_words(outage.began, outage.ended)})"
        box = rect(x, self._y - 2, end - x, height, "lost")
        mark = element("path", d=f"M{x:g} {self._y - 2:g}v{height:g}", class_="lost-at")
        self._link(None, tip, box, mark)

    def _call(self, call: Call, y: float) -> None:
        x, end = self._span(call.began, call.ended)
        kind = words.fate(call)
        name = {"failed": "✕ ", "unknown": "? ", "open": "? "}.get(kind, "") + call.started.tool
        room = int((end - x - 8) / _LETTER)
        parts = [rect(x, y + 1, end - x, _BAR, kind)]
        if room >= min(len(name), 3):
            shown = name if len(name) <= room else f"{name[: max(room - 1, 1)]}…"
            parts.append(label(shown, x + 4, y + 12.5, "in-bar name"))
        ended = words.Teller(self._story).call(call)[1]
        told = "; ".join(notice.text for notice in ended)
        tip = f"{call.started.tool}: {told} ({_span_words(call.began, call.ended)})"
        self._link(self._href(call.seq), tip, *parts)

    def _link(self, href: str | None, words_: str, *shapes: Markup) -> None:
        tip = one_line(clip(words_, 140))

        def bar(y: float) -> Markup:
            title = element("title", tip)
            shown = label(tip, 4, y, "tip")
            if href is None:
                return element("g", title, *shapes, shown)
            return element("a", title, *shapes, shown, href=href, aria_label=tip)

        self._tips.append(bar)

    def _href(self, seq: int) -> str | None:
        return f"#e{seq}" if self._is_shown(seq) else None

    def _span(self, began: float, ended: float | None) -> tuple[float, float]:
        """From where to where; what did not end goes to the end of the drawing."""
        x = self._scale.x(began)
        end = self._scale.x(self._story.duration if ended is None else ended)
        return x, max(end, x + _MIN_BAR)


def _span_words(began: float | None, ended: float | None) -> str:
    if began is None:
        return "never taken up"
    took = words.took(began, ended) or "no end"
    return f"{took}, at {words.duration(began)}"

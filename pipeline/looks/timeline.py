"""The timeline of a page, as SVG: who was busy when, what was lost, tokens over time.

Bars are links to the step they stand for: they can be reached by keyboard, and say what they are.
"""

from collections.abc import Callable, Sequence

import msgspec

from pipeline.core.events import Problem, PromptCancelled, ServerLogged, SinkFailed
from pipeline.core.story import Call, ModelTurn, Note, Outage, Server, Story, Turn
from pipeline.looks import words
from pipeline.looks.markup import Markup, element, join
from pipeline.looks.timescale import Timescale
from sinks.terminal_text import clip, one_line

MAX_BARS = 1000
_MAX_POINTS = 400
_MAX_ROWS = 8
_WIDTH, _LEFT, _RIGHT = 960.0, 104.0, 950.0
_AXIS, _ROW, _BAR, _GAP, _TOKENS, _TIP = 26.0, 20.0, 15.0, 8.0, 64.0, 24.0
_MIN_BAR, _LETTER = 3.0, 6.6
_TELLING = (Problem, PromptCancelled, ServerLogged, SinkFailed)
Anchor = Callable[[int], bool]


class Timeline(msgspec.Struct, frozen=True):
    """The drawing, and what there was no room for, in words."""

    svg: Markup
    left_out: tuple[str, ...] = ()


def timeline(story: Story, is_shown: Anchor) -> Timeline:
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

    def __init__(self, story: Story, is_shown: Anchor) -> None:
        self.left_out: list[str] = []
        self._story = story
        self._is_shown = is_shown
        self._scale = Timescale(_busy(story), story.duration, _LEFT, _RIGHT)
        self._y = _AXIS
        self._back: list[Markup] = []
        self._front: list[Markup] = []
        self._tip_y = 0.0
        self._tips: list[Callable[[float], Markup]] = []

    def svg(self) -> Markup:
        height = self._y + _TIP
        title = element("title", "Timeline of the session", id="timeline-title")
        bars = [bar(height - 8) for bar in self._tips]
        return element(
            "svg", title, self._axis(), *self._back, *self._front, *bars,
            viewBox=f"0 0 {_WIDTH:g} {height:g}", role="group", aria_labelledby="timeline-title",
        )  # fmt: skip

    def _axis(self) -> Markup:
        bottom = self._y
        parts: list[Markup] = []
        for turn in self._story.turns[:MAX_BARS]:
            if turn.began is not None and turn.number % 2:
                x, end = self._span(turn.began, turn.ended)
                parts.append(_rect(x, _AXIS, end - x, bottom - _AXIS, "band"))
        for seconds, x in self._scale.ticks(76.0):
            parts.append(element("line", x1=x, x2=x, y1=_AXIS - 4, y2=bottom, class_="grid"))
            label = words.duration(seconds)
            parts.append(_text(label, x, _AXIS - 10, "soft small", text_anchor="middle"))
        for fold in self._scale.folds:
            label = words.duration(fold.seconds)
            title = element("title", f"{label} in which nothing happened")
            rect = _rect(fold.x, _AXIS - 4, fold.end - fold.x, bottom - _AXIS + 4, "fold")
            middle = (fold.x + fold.end) / 2
            turned = f"rotate(-90 {middle:g} {bottom - 8:g})"
            name = _text(f"{label} later", middle + 4, bottom - 8, "soft small", transform=turned)
            parts.append(element("g", title, rect, name))
        return join(parts)

    # --- lanes --------------------------------------------------------------------------------

    def turns(self) -> None:
        self._label("turns")
        for turn in self._bounded(self._story.turns, "turns"):
            x, end = self._span(turn.asked if turn.began is None else turn.began, turn.ended)
            tip = f"Turn {turn.number}: {words.wish(turn)}"
            name = _text(str(turn.number), x + 8, self._y + 12, "name")
            dot = element("circle", cx=x + 2, cy=self._y + 8, r=3.5, class_="model")
            href = f"#turn-{turn.number}" if self._is_shown(-turn.number) else None
            self._link(href, f"{tip} ({_span_words(turn.began, turn.ended)})", dot, name)
            del end
        self._y += _ROW

    def model(self) -> None:
        turns = self._story.model_turns
        if not turns:
            return
        self._label("model")
        for step in self._bounded(turns, "model calls"):
            x, end = self._span(step.began, step.ended)
            kind = "failed" if step.failed is not None else "model"
            parts = [_rect(x, self._y + 1, end - x, _BAR, kind)]
            said = clip(step.text, 80) or words.model_aside(step)
            tip = f"model: {said} ({_span_words(step.began, step.ended)})"
            self._link(self._href(step.seq), tip, *parts)
        self._y += _ROW + _GAP

    def server(self, server: Server) -> None:
        calls = [call for call in self._story.calls if call.started.server == server.name]
        rows = _rows(calls, self._span)
        height = max(1, len(rows)) * _ROW
        self._label(server.name)
        for outage in self._bounded(server.outages, f"outages of {server.name}"):
            self._outage(outage, height)
        count = 0
        for at, row in enumerate(rows):
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
        total = _text(f"{sums[-1] + outs[-1]:,}", _RIGHT, both[-1] - 4, "small", text_anchor="end")
        areas = (_area(xs, both, base, "tokens-in"), _area(xs, only, base, "tokens-out"))
        self._front.append(element("g", title, *areas, total))
        self._y = base + _GAP

    # --- pieces -------------------------------------------------------------------------------

    def _label(self, name: str) -> None:
        room = int((_LEFT - 12) / _LETTER)
        shown = name if len(name) <= room else f"{name[: room - 1]}…"
        line = element("line", x1=0, x2=_WIDTH, y1=self._y - 3, y2=self._y - 3, class_="rule")
        self._back += [line, _text(shown, 4, self._y + 12, "soft")]

    def _bounded(self, things: Sequence[msgspec.Struct], what: str) -> Sequence[msgspec.Struct]:
        if len(things) > MAX_BARS:
            self.left_out.append(f"{len(things) - MAX_BARS:,} {what}")
        return things[:MAX_BARS]

    def _outage(self, outage: Outage, height: float) -> None:
        x, end = self._span(outage.began, outage.ended)
        back = "not back" if outage.ended is None else "back"
        tip = f"{outage.server} was lost: {outage.reason} ({back}: "
        tip += f"{_span_words(outage.began, outage.ended)})"
        rect = _rect(x, self._y - 2, end - x, height, "lost")
        mark = element(
            "path", d=f"M{x:g} {self._y - 2:g}v{height:g}", stroke="currentColor", class_="mark"
        )
        self._link(None, tip, rect, mark)

    def _call(self, call: Call, y: float) -> None:
        x, end = self._span(call.began, call.ended)
        kind = words.fate(call)
        name = {"failed": "✕ ", "unknown": "? ", "open": "? "}.get(kind, "") + call.started.tool
        room = int((end - x - 8) / _LETTER)
        parts = [_rect(x, y + 1, end - x, _BAR, kind)]
        if room >= min(len(name), 3):
            shown = name if len(name) <= room else f"{name[: max(room - 1, 1)]}…"
            parts.append(_text(shown, x + 4, y + 12.5, "in-bar name"))
        ended = words.Teller(self._story).call(call)[1]
        told = "; ".join(notice.text for notice in ended)
        tip = f"{call.started.tool}: {told} ({_span_words(call.began, call.ended)})"
        self._link(self._href(call.seq), tip, *parts)

    def _link(self, href: str | None, words_: str, *shapes: Markup) -> None:
        tip = one_line(clip(words_, 140))

        def bar(y: float) -> Markup:
            title = element("title", tip)
            shown = _text(tip, 4, y, "tip")
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


def _busy(story: Story) -> list[tuple[float, float]]:
    """The times in which something is under way."""
    spans: list[tuple[float, float]] = [(0.0, 0.0), (story.duration, story.duration)]
    for server in story.servers:
        if server.opened is not None and server.ready_at is not None:
            spans.append((server.opened, server.ready_at))
        spans += [(o.began, o.began) for o in server.outages]
        spans += [(o.ended, o.ended) for o in server.outages if o.ended is not None]
    for chapter in story.chapters:
        if isinstance(chapter, Note):
            spans.append((chapter.at, chapter.at))
        else:
            spans += _busy_in(chapter)
    return spans


def _busy_in(turn: Turn) -> list[tuple[float, float]]:
    spans = [(turn.asked, turn.asked)]
    for step in turn.steps:
        if isinstance(step, Note):
            spans.append((step.at, step.at))
        else:
            spans.append((step.began, step.began if step.ended is None else step.ended))
    return spans


def _rows(
    calls: Sequence[Call], span: Callable[[float, float | None], tuple[float, float]]
) -> list[list[Call]]:
    """Calls side by side on rows of their own, each on the first that is free."""
    rows: list[list[Call]] = []
    free: list[float] = []
    for call in calls:
        x, end = span(call.began, call.ended)
        at = next((at for at, until in enumerate(free) if until <= x), len(rows))
        if at == len(rows):
            if len(rows) == _MAX_ROWS:
                at = free.index(min(free))
            else:
                rows.append([])
                free.append(0.0)
        rows[at].append(call)
        free[at] = max(free[at], end + 1)
    return rows


def _area(xs: Sequence[float], ys: Sequence[float], base: float, kind: str) -> Markup:
    """Steps: the height stays until the next point."""
    path = f"M{xs[0]:.1f} {base:.1f}" + "".join(
        f"H{x:.1f}V{y:.1f}" for x, y in zip(xs, ys, strict=True)
    )
    return element("path", d=f"{path}H{_RIGHT:g}V{base:.1f}Z", class_=kind)


def _rect(x: float, y: float, width: float, height: float, kind: str) -> Markup:
    return element("rect", x=x, y=y, width=width, height=height, class_=kind)


def _text(words_: str, x: float, y: float, kind: str, **attributes: str) -> Markup:
    return element("text", words_, x=x, y=y, class_=kind, **attributes)


def _span_words(began: float | None, ended: float | None) -> str:
    if began is None:
        return "never taken up"
    took = words.took(began, ended) or "no end"
    return f"{took}, at {words.duration(began)}"

"""A session as one page that stands alone: it loads nothing, and there is no script in it.

What servers, the model and people wrote is escaped and made harmless; should that ever fail, the
page's own policy still allows no script, no image and no request.
"""

import base64
import hashlib
from collections.abc import Sequence

from pipeline.core.story import Call, ModelTurn, Note, Step, Story, Turn
from pipeline.looks import steps, words
from pipeline.looks.markup import Markup, element
from pipeline.looks.reading import story_of
from pipeline.looks.style import STYLE
from pipeline.looks.timeline import timeline
from pipeline.shell.recordings import RecordedRun
from sinks.terminal_text import clip, one_line

MAX_TURNS = 200
MAX_STEPS = 200
_OPEN_TURNS = 20
_MANY_EVENTS = 2000
_LONG, _SHORT = 4000, 600
_KINDS = (
    ("model", "the model"),
    ("ok", "a call, answered"),
    ("failed", "✕ an error"),
    ("unknown", "? outcome unknown"),
    ("unsent", "not sent"),
    ("lost", "a server is lost"),
    ("tokens-in", "tokens in"),
    ("tokens-out", "tokens out"),
)


def page(run: RecordedRun) -> str:
    """The page, as HTML in UTF-8.

    It is bounded: at most `MAX_TURNS` turns of at most `MAX_STEPS` steps are written out, long
    texts are cut, and it says what is left out.

    Raises:
        RecordingError: If the run cannot be read.
    """
    story = story_of(run)
    turns = story.turns
    left_out = turns[MAX_TURNS // 2 : -MAX_TURNS // 2] if len(turns) > MAX_TURNS else ()
    skipped = {turn.number for turn in left_out}
    shown = _shown(story, skipped)
    drawing = timeline(story, shown.__contains__)
    notes = [f"Not drawn: {', '.join(drawing.left_out)}."] if drawing.left_out else []
    figure = element(
        "div", drawing.svg, class_="card scroll", tabindex="0", role="region",
        aria_label="Timeline, scrolls sideways",
    )  # fmt: skip
    main = element(
        "main",
        element(
            "section",
            element("h2", "Timeline", id="timeline"),
            figure,
            *(element("p", note, class_="left-out") for note in notes),
            _legend(),
            aria_labelledby="timeline",
        ),
        element(
            "section",
            element("h2", "Turns", id="turns", tabindex="-1"),
            *_chapters(story, skipped),
            aria_labelledby="turns",
        ),
    )
    made = f"Made from {one_line(clip(run.path.name, 200))}. This page loads nothing from anywhere."
    body = element(
        "body",
        element("a", "Skip to the turns", href="#turns", class_="skip"),
        _header(story),
        main,
        element("footer", element("p", made)),
    )
    return f"<!doctype html>\n{element('html', _head(story), body, lang='en')}\n"


def _head(story: Story) -> Markup:
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="referrer", content="no-referrer"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"Session {one_line(story.header.session[:80])}"),
        element("style", Markup(STYLE)),
    )


def _header(story: Story) -> Markup:
    header = story.header
    facts: list[tuple[str, str]] = [
        ("when", f"{words.when(story)}, for {words.duration(story.duration)}"),
        ("model", header.plan.model),
    ]
    if header.plan.system_prompt:
        facts.append(("system", header.plan.system_prompt))
    for server in story.servers:
        facts.append(("server", words.server_line(server)))
        facts.append(("", words.tools_line(server)))
    facts += [
        ("in all", f"{words.summary(story)}; {words.count(story.events, 'event')}"),
        *([("tokens", words.spent(story))] if story.spent else []),
        ("end", words.ending(story)),
    ]
    rows = [
        element("dt", name) + element("dd", one_line(clip(value, _SHORT)), class_="foreign")
        for name, value in facts
    ]
    title = element("h1", "Session ", element("code", one_line(header.session[:80])))
    return element("header", title, element("dl", *map(Markup, rows), class_="facts"))


def _legend() -> Markup:
    items = [
        element(
            "li",
            element(
                "svg", element("rect", width=12, height=12, class_=kind),
                viewBox="0 0 12 12", aria_hidden="true",
            ),
            name,
        )
        for kind, name in _KINDS
    ]  # fmt: skip
    return element("ul", *items, class_="legend", aria_label="Legend")


def _shown(story: Story, skipped: set[int]) -> set[int]:
    """The `seq` of all steps that are written out, and minus the number of such turns."""
    shown: set[int] = set()
    for chapter in story.chapters:
        if isinstance(chapter, Note):
            shown.add(chapter.seq)
        elif chapter.number not in skipped:
            shown.add(-chapter.number)
            shown.update(step.seq for step in chapter.steps[:MAX_STEPS])
    return shown


def _chapters(story: Story, skipped: set[int]) -> list[Markup]:
    teller = words.Teller(story)
    limit = _LONG if story.events <= _MANY_EVENTS else _SHORT
    parts: list[Markup] = []
    notes: list[Markup] = []
    was_skipping = False
    for chapter in story.chapters:
        if isinstance(chapter, Note):
            notes += steps.note(chapter, teller)
            continue
        parts += _between(notes)
        notes = []
        if chapter.number not in skipped:
            parts.append(_turn(chapter, teller, limit, is_open=len(story.turns) <= _OPEN_TURNS))
        elif not was_skipping:
            was_skipping = True
            many = f"{words.count(len(skipped), 'turn')} left out here; `show` has them all."
            parts.append(element("p", many, class_="left-out"))
    return parts + _between(notes)


def _between(notes: Sequence[Markup]) -> list[Markup]:
    return [element("ol", *notes, class_="steps between")] if notes else []


def _turn(turn: Turn, teller: words.Teller, limit: int, *, is_open: bool) -> Markup:
    asked = words.wish(turn)
    title = one_line(clip(" ".join(asked.split()), 120))
    heading = element("h3", f"{turn.number}. ", element("span", title, class_="foreign"))
    began = turn.asked if turn.began is None else turn.began
    time = f"at {words.duration(began)}"
    if turn.began is not None and turn.ended is not None:
        time += f", took {words.duration(turn.ended - turn.began)}"
    meta = ", ".join(each for each in (time, words.never(turn)) if each)
    items = [steps.prompt(clip(asked, limit))]
    for step in turn.steps[:MAX_STEPS]:
        items += _step(step, teller, limit)
    if len(turn.steps) > MAX_STEPS:
        more = words.count(len(turn.steps) - MAX_STEPS, "more step")
        items.append(element("li", element("span"), element("p", more, class_="left-out")))
    items += steps.notices(teller.answer(turn))
    return element(
        "details",
        element("summary", heading, element("span", meta, class_="meta")),
        element("ol", *items, class_="steps"),
        class_="card turn",
        id=f"turn-{turn.number}",
        open="" if is_open else None,
    )


def _step(step: Step, teller: words.Teller, limit: int) -> list[Markup]:
    match step:
        case ModelTurn():
            return [steps.model(step, limit)]
        case Call():
            return [steps.call(step, teller, limit)]
        case Note():
            return steps.note(step, teller)

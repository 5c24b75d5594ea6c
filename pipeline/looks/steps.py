"""The steps of a turn, as items of a list in a page."""

from collections.abc import Sequence

from pipeline.core.content import to_text
from pipeline.core.story import Call, ModelTurn, Note
from pipeline.looks import words
from pipeline.looks.markup import Markup, element
from sinks.notices import Notice
from sinks.terminal_text import clip, one_line

_FATES = {
    "ok": "ok",
    "failed": "✕ error",
    "unsent": "not sent",
    "unknown": "? unknown",
    "open": "? no end",
}


def prompt(text: str) -> Markup:
    """What was asked."""
    return _item("you", [element("p", text, class_="said foreign")], "")


def model(step: ModelTurn, limit: int) -> Markup:
    """What the model said."""
    said, aside = step.text.strip(), words.model_aside(step)
    parts = [element("p", clip(said, limit), class_="said foreign")] if said else []
    if aside or not said:
        parts.append(_aside(aside or "says nothing"))
    if step.usage is not None:
        cost = "" if step.usage.cost_usd is None else f", ${step.usage.cost_usd:.4f}"
        parts.append(_aside(f"{words.tokens(step.usage.tokens)}{cost}"))
    return _item("model", parts, words.model_time(step), seq=step.seq)


def call(step: Call, teller: words.Teller, limit: int) -> Markup:
    """What was called and what came of it; arguments and result open on demand."""
    started, ended = teller.call(step)
    fate = words.fate(step)
    line = element("code", one_line(started.text), class_="foreign")
    summary = element("summary", line, " ", element("span", _FATES[fate], class_=f"pill {fate}"))
    parts = [_aside("arguments"), _pre(clip(words.pretty(step.started.arguments), limit))]
    if step.end is not None and step.end.content:
        result = "\n".join(to_text(block) for block in step.end.content)
        parts += [_aside("result"), _pre(clip(result, limit))]
    if step.end is not None and step.end.structured is not None:
        parts += [
            _aside("structured result"),
            _pre(clip(words.pretty(step.end.structured), limit)),
        ]
    if step.progress:
        parts.append(_aside(f"progress was told {words.count(step.progress, 'time')}"))
    if step.sends > 1:
        parts.append(_aside(f"sent {words.count(step.sends, 'time')}"))
    told = [] if fate == "ok" else [_told(notice) for notice in ended]
    body = [element("details", summary, *parts), *told]
    return _item("tool", body, words.took(step.began, step.ended), seq=step.seq)


def note(step: Note, teller: words.Teller) -> list[Markup]:
    """What there is to say of a note; often nothing."""
    told = teller.note(step)
    if not told:
        return []
    right = f"at {words.duration(step.at)}"
    return [_item("", [_told(notice) for notice in told], right, seq=step.seq)]


def notices(told: Sequence[Notice]) -> list[Markup]:
    """What there is to say at the end of a turn."""
    return [_item("", [_told(notice)], "") for notice in told]


def _told(notice: Notice) -> Markup:
    kind = "t-unknown" if notice.sign == "?" else "t-trouble" if notice.is_trouble else "aside"
    hint = f" ({notice.hint})" if notice.hint else ""
    return element(
        "p", f"{notice.sign} {one_line(notice.text + hint)}", class_=f"said {kind} foreign"
    )


def _aside(text: str) -> Markup:
    return element("p", text, class_="aside foreign")


def _pre(text: str) -> Markup:
    return element("pre", text, class_="foreign", tabindex="0")


def _item(who: str, parts: Sequence[Markup], right: str, *, seq: int | None = None) -> Markup:
    return element(
        "li",
        element("span", who, class_="who"),
        element("div", *parts),
        element("span", right, class_="right"),
        id=None if seq is None else f"e{seq}",
    )

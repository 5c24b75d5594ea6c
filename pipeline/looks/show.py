"""A session as a person wants to read it, for a terminal."""

from pipeline.core.story import Call, ModelTurn, Note, Story, Turn
from pipeline.looks import words
from pipeline.looks.columns import Sheet
from pipeline.looks.reading import story_of
from pipeline.shell.recordings import RecordedRun
from sinks.notice import Notice, Sign
from sinks.terminal_text import clip, one_line

MAX_PROMPT, MAX_SAID, MAX_RESULT = 1000, 4000, 400
_TINTS: dict[Sign, str] = {">": "36", "<": "32", "=": "2", "·": "2", "!": "31", "?": "33"}
_YOU = "1"


def show(run: RecordedRun, *, colour: bool, width: int, verbose: bool = False) -> str:
    """The whole run as text, `width` cells wide; long texts are shortened, and it says so.

    `verbose` names every tool, with the beginning of its digest.

    Raises:
        RecordingError: If the run cannot be read.
    """
    story = story_of(run)
    sheet = Sheet(width, colour=colour)
    teller = words.Teller(story)
    _head(sheet, story, verbose=verbose)
    is_apart = False
    for chapter in story.chapters:
        if isinstance(chapter, Turn):
            _turn(sheet, chapter, teller)
            is_apart = False
            continue
        for notice in teller.note(chapter):
            if not is_apart:
                sheet.blank()
                is_apart = True
            _notice(sheet, notice, at=chapter.at)
    _end(sheet, story)
    return sheet.text()


def _head(sheet: Sheet, story: Story, *, verbose: bool) -> None:
    header = story.header
    sheet.heading(f"Session {one_line(clip(header.session, 80))}", f"rxmcp {header.rxmcp[:20]}")
    sheet.row("when", f"{words.when(story)}, for {words.duration(story.duration)}")
    sheet.row("model", _line(header.plan.model))
    if header.plan.system_prompt:
        sheet.row("system", _line(header.plan.system_prompt))
    for server in story.servers:
        sheet.row("server", _line(words.server_line(server)))
        sheet.row("", _line(words.tools_line(server)))
        for tool in server.tools if verbose else ():
            sheet.row("", _line(words.tool_line(tool)), tint="2")


def _turn(sheet: Sheet, turn: Turn, teller: words.Teller) -> None:
    sheet.blank()
    began = turn.asked if turn.began is None else turn.began
    time = f"at {words.duration(began)}"
    if turn.began is not None and turn.ended is not None:
        time = f"{time}, took {words.duration(turn.ended - turn.began)}"
    sheet.heading(f"Turn {turn.number}", time)
    sheet.row("you", clip(words.wish(turn), MAX_PROMPT), words.never(turn), tint=_YOU)
    for step in turn.steps:
        match step:
            case ModelTurn():
                _model(sheet, step)
            case Call():
                _call(sheet, step, teller)
            case Note():
                for notice in teller.note(step):
                    _notice(sheet, notice, at=step.at)
    for notice in teller.answer(turn):
        _notice(sheet, notice)


def _model(sheet: Sheet, step: ModelTurn) -> None:
    aside, time = words.model_aside(step), words.model_time(step)
    text = step.text.strip()
    if text:
        sheet.row("model", clip(text, MAX_SAID), time)
        time = ""
    if aside:
        sheet.row("" if text else "model", f"({_line(aside)})", time, tint="" if text else "2")
    elif not text:
        sheet.row("model", "(says nothing)", time, tint="2")
    if step.usage is not None:
        cost = "" if step.usage.cost_usd is None else f", ${step.usage.cost_usd:.4f}"
        sheet.row("", f"{words.tokens(step.usage.tokens)}{cost}", tint="2")


def _call(sheet: Sheet, call: Call, teller: words.Teller) -> None:
    started, ended = teller.call(call)
    _notice(sheet, started, right=words.took(call.began, call.ended))
    for notice in ended:
        _notice(sheet, notice)


def _notice(sheet: Sheet, notice: Notice, *, right: str = "", at: float | None = None) -> None:
    tint = _TINTS["!" if notice.is_failure else notice.sign]
    time = right if at is None else f"at {words.duration(at)}"
    sheet.row(notice.sign, one_line(clip(notice.text, MAX_RESULT)), time, tint=tint)
    if notice.hint:
        sheet.row("", one_line(clip(notice.hint, MAX_RESULT)), tint=tint)


def _end(sheet: Sheet, story: Story) -> None:
    sheet.blank()
    sheet.heading("End")
    sheet.row("", one_line(words.ending(story)))
    sheet.row("", f"{words.summary(story)}; {words.count(story.events, 'event')}")
    if story.spent:
        sheet.row("", words.spent(story))


def _line(text: str) -> str:
    return one_line(clip(text, MAX_RESULT))

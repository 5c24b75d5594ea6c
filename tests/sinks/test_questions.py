"""The questions that servers have open."""

from pipeline.core.codec import Entry
from pipeline.core.commands import Item
from pipeline.core.events import AnswerDelta, QuestionAsked, QuestionClosed
from sinks.questions import OpenQuestions

ASKED = QuestionAsked(question="q1", server="s", form="form", message="who?")
CLOSED = QuestionClosed(question="q1", server="s", action="accept")


async def after(*items: Item) -> OpenQuestions:
    sink = OpenQuestions()
    await sink.open()
    await sink.emit([Entry(seq, "x", item) for seq, item in enumerate(items, 1)])
    await sink.close()
    return sink


async def test_a_question_is_known_from_when_it_is_asked_until_it_is_closed() -> None:
    assert (await after(ASKED)).get("q1") is ASKED
    assert (await after(ASKED, CLOSED)).get("q1") is None
    assert (await after(CLOSED, AnswerDelta(text="x"))).get("q1") is None


def test_nothing_else_is_wanted() -> None:
    sink = OpenQuestions()
    assert sink.wants(ASKED)
    assert sink.wants(CLOSED)
    assert not sink.wants(AnswerDelta(text="x"))

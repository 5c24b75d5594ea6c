"""The questions that servers have open, for whoever puts them to a person."""

from collections.abc import Sequence

from pipeline.core.codec import Entry
from pipeline.core.commands import Item
from pipeline.core.events import QuestionAsked, QuestionClosed


class OpenQuestions:
    """Keeps what was asked until it is closed."""

    name = "open questions"

    def __init__(self) -> None:
        self._open: dict[str, QuestionAsked] = {}

    def get(self, question: str) -> QuestionAsked | None:
        """What is asked, None if it is closed."""
        return self._open.get(question)

    def wants(self, item: Item) -> bool:
        """Questions and their ends."""
        return isinstance(item, QuestionAsked | QuestionClosed)

    async def open(self) -> None:
        """Nothing to acquire."""

    async def emit(self, entries: Sequence[Entry]) -> None:
        """Take note."""
        for entry in entries:
            match entry.item:
                case QuestionAsked(question=question) as asked:
                    self._open[question] = asked
                case QuestionClosed(question=question):
                    self._open.pop(question, None)
                case _:
                    pass

    async def close(self) -> None:
        """Nothing to release."""

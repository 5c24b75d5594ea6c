"""One line for a person, and how much of a foreign text goes into it."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import msgspec

from sinks.terminal_text import clip

Sign: TypeAlias = Literal[">", "<", "=", "·", "!", "?"]
MAX_NAME, MAX_VALUE, MAX_REASON = 80, 200, 500
_MAX_NAMES = 8


class Notice(msgspec.Struct, frozen=True):
    """One line for a person; `hint`, if there is one, goes on a line of its own below it.

    `is_question`: somebody is asked, and could not answer without it.
    The words still hold foreign text as it came, only shortened: whoever displays them makes it
    harmless.
    """

    sign: Sign
    text: str
    hint: str = ""
    is_failure: bool = False
    is_question: bool = False

    @property
    def is_trouble(self) -> bool:
        """Does it say that something went wrong?"""
        return self.is_failure or self.sign in "!?"


def short_name(text: str) -> str:
    """As much of a name as a line has room for."""
    return clip(text, MAX_NAME)


def short_names(words: Sequence[str]) -> str:
    """The first of them, with commas."""
    shown = [short_name(word) for word in words[:_MAX_NAMES]]
    return ", ".join(shown + ["…"] * (len(words) > _MAX_NAMES))


def short_reason(text: str) -> str:
    """As much of a reason as still reads."""
    return clip(text, MAX_REASON)

"""What came of what in a recording: `reader` takes one apart into this, a bent run lives by it."""

from typing import TypeAlias

import msgspec

from pipeline.core.commands import (
    Ask,
    CallModel,
    Get,
    Post,
)
from pipeline.core.events import (
    CallSubmitted,
    Input,
    InputEnded,
    Json,
    PromptCancelled,
    PromptRejected,
    PromptSubmitted,
    RequestSubmitted,
    Tool,
)

Asking: TypeAlias = Post | Get | CallModel | Ask
Said: TypeAlias = (
    PromptSubmitted
    | PromptRejected
    | CallSubmitted
    | RequestSubmitted
    | InputEnded
    | PromptCancelled
)


class Reply(msgspec.Struct, frozen=True):
    """An input that came `at` that moment, `after` so many µs. `is_own`: it names what it answers.

    `of` is the id of the message that it answers, where that is not what led to it.
    """

    seq: int
    at: int
    after: int
    item: Input
    is_own: bool = True
    of: str = ""

    def due(self, began: int | None) -> int:
        """When it comes if all began at that moment (µs); None: as it was recorded."""
        return self.at if began is None else began + self.after


class Asked(msgspec.Struct, kw_only=True):
    """A command and what came of it; of a model's, also its whole conversation and the tools.

    `at` is when it was given (µs), `clock` the same on the clock of who was asked, `is_cancelled`
    whether it was taken back.
    """

    seq: int
    at: int
    clock: int
    command: Asking
    meaning: Json
    is_cancelled: bool = False
    tools: tuple[Tool, ...] = ()
    replies: list[Reply] = []


class Attempt(msgspec.Struct):
    """One try to connect to a server: how it ended (opened, or lost), and what it then brought.

    `opening.after` counts from the beginning of the try, those of `replies` from its success, which
    was at `clock` on the clock of the server.
    """

    opening: Reply
    clock: int
    replies: list[Reply] = []


class Started(msgspec.Struct):
    """A timer that was started at that moment (µs), and how long it ran; None: it never fired."""

    seq: int
    id: str
    seconds: float
    at: int
    lasted: int | None = None


class Script(msgspec.Struct):
    """A whole recording. `said` holds a person's words: after the last `ReadPrompt` or words.

    `sign_ins` are their ends.
    """

    asked: list[Asked] = []
    attempts: dict[str, list[Attempt]] = {}
    said: list[Reply] = []
    sign_ins: list[Reply] = []
    timers: list[Started] = []

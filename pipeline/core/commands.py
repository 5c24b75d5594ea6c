"""Everything the core may ask the shell to do, as frozen values tagged by `kind`.

A command is recorded like an event: a replay recomputes it and compares.
"""

from typing import Literal, TypeAlias

from pipeline.core.events import Event, Headers, Input, Internal, Json, Outcome, Tool
from pipeline.core.plan import ToolPin


class Open(Event, frozen=True):
    """Connect a server, and keep it connected, in place of any connection it has.

    `sse`: its event stream; `stdio`: its process; `http`: nothing yet, for each message makes a
    connection of its own, but failures count and come back with the usual patience.
    """

    server: str
    transport: Literal["sse", "http", "stdio"] = "sse"


class Reconnect(Event, frozen=True):
    """Drop a server's stream and come back with the usual patience; `reason` is told."""

    server: str
    reason: str


class Close(Event, frozen=True):
    """Drop a server's stream for good; `reason` is told, and the HTTP `status` that led to it."""

    server: str
    reason: str
    status: int | None = None


class Post(Event, frozen=True):
    """Send one message to a server. Messages to one server keep their order.

    `id` comes back in `PostAnswered`: the JSON-RPC id, or a name of its own for a notification.
    `headers` go with it, beside those that the shell adds. `side_by_side`: it waits for none before
    it, as each answer may take its time. `seconds` is the longest that an answer may take, to its
    end; None: what the settings say.
    """

    server: str
    url: str
    id: str
    message: Json
    headers: Headers = {}  # noqa: RUF012  msgspec copies it, and leaves it out where it is empty
    side_by_side: bool = False
    seconds: float | None = None


class Get(Event, frozen=True):
    """Ask a server for an event stream: its own, or the rest of a broken one (`Last-Event-ID`).

    Answered as a `Post` is; an open stream may last for ever.
    """

    server: str
    url: str
    id: str
    headers: Headers = {}  # noqa: RUF012  msgspec copies it, and leaves it out where it is empty


class Cut(Event, frozen=True):
    """Close the answer to a `Post` or `Get`; nothing more of it is wanted, and nothing comes."""

    server: str
    id: str


class Ask(Event, frozen=True):
    """Ask the person; one question at a time. Answered by `QuestionAnswered`.

    What is asked was told before, in `QuestionAsked`.
    """

    question: str


class StopAsking(Event, frozen=True):
    """Take a question back: it was answered otherwise, or is of no use any more."""

    question: str


class PinTools(Event, frozen=True):
    """Keep what tools of a server say, so that a later run sees when they say otherwise.

    `is_approval`: in place of what is kept of them. Else they are seen for the first time, and what
    is kept already stays, for another run may have been first. Never carried out in a replay.
    """

    server: str
    pins: dict[str, ToolPin]
    is_approval: bool = False


class CallModel(Event, frozen=True):
    """Ask the model for its next turn.

    `messages` is the whole conversation; a recording keeps those from `since` on, for the earlier
    ones stand in it already, and `tools` only where `tools_changed`. `system` and
    `max_tokens` stand for those of the run where they are set.
    """

    call: str
    messages: tuple[Json, ...]
    tools: tuple[Tool, ...] = ()
    since: int = 0
    tools_changed: bool = True
    system: str | None = None
    max_tokens: int | None = None


class CancelModel(Event, frozen=True):
    """Stop a model call; nothing more of it is wanted."""

    call: str


class StartTimer(Event, frozen=True):
    """Fire `TimerFired(id)` in so many seconds; a timer of that name starts over."""

    id: str
    seconds: float


class StopTimer(Event, frozen=True):
    """Forget a timer; one that has fired or never ran is fine."""

    id: str


class ReadPrompt(Event, frozen=True):
    """The next prompt may come: everything before it is answered."""


Command: TypeAlias = (
    Open
    | Reconnect
    | Close
    | Post
    | Get
    | Cut
    | Ask
    | StopAsking
    | PinTools
    | CallModel
    | CancelModel
    | StartTimer
    | StopTimer
    | ReadPrompt
)

Item: TypeAlias = Input | Outcome | Command
Passing: TypeAlias = Item | Internal

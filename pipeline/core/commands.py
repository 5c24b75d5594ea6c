"""Everything the core may ask the shell to do, as frozen values tagged by `kind`.

A command is recorded like an event: a replay recomputes it and compares.
"""

from typing import TypeAlias

from pipeline.core.events import Event, Input, Internal, Json, Outcome, Tool


class Open(Event, frozen=True):
    """Connect the event stream of a server, and keep it connected."""

    server: str


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
    """

    server: str
    url: str
    id: str
    message: Json


class CallModel(Event, frozen=True):
    """Ask the model for its next turn.

    `messages` is the whole conversation; a recording keeps those from `since` on, for the earlier
    ones stand in it already, and `tools` only where `tools_changed`.
    """

    call: str
    messages: tuple[Json, ...]
    tools: tuple[Tool, ...] = ()
    since: int = 0
    tools_changed: bool = True


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
    Open | Reconnect | Close | Post | CallModel | CancelModel | StartTimer | StopTimer | ReadPrompt
)

Item: TypeAlias = Input | Outcome | Command
Passing: TypeAlias = Item | Internal

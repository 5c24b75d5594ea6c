"""What is known of one session, and the few moves that every dialect makes."""

from typing import Any, Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from pipeline.core.commands import Close, Passing, Reconnect, StartTimer, StopTimer
from pipeline.core.events import Route, SessionReady, ToolsListed
from pipeline.core.plan import DialectWish, Plan

Phase: TypeAlias = Literal[
    "closed",  # no stream, but somebody tries
    "opened",  # the stream is accepted, `endpoint` has not come
    "deciding",  # `endpoint` came; `tools` next would mean seed, silence means 2024-11-05
    "initializing",
    "listing",
    "ready",
    "failed",  # no stream, and nobody tries
]


class Session(msgspec.Struct, frozen=True):
    """One server's session; a new connection starts a new one with the next `generation`.

    `is_told`: it was said to be ready, and its loss must be told too.
    """

    server: str
    url: str
    wish: DialectWish = "auto"
    phase: Phase = "closed"
    generation: int = 0
    route: Route | None = None
    session_id: str = ""
    greeting: SessionReady | None = None
    pages: tuple[Any, ...] = ()
    cursors: tuple[str, ...] = ()
    lists: int = 0
    is_listing: bool = False
    list_again: bool = False
    is_told: bool = False

    @property
    def timer(self) -> str:
        """The one deadline of whatever the session waits for."""
        return f"session:{self.server}"

    @property
    def grace(self) -> str:
        """The short wait that tells seed from 2024-11-05."""
        return f"grace:{self.server}"


Outputs: TypeAlias = tuple[Passing, ...]
Move: TypeAlias = tuple[Session, Outputs]


def ready(session: Session, tools: tuple[Any, ...]) -> Move:
    """The tool list is complete: the session may be used, and the registry hears of the list."""
    assert session.greeting is not None, "ready before a greeting is made"
    is_first = session.phase != "ready"
    news: Outputs = (session.greeting,) if is_first else ()
    listed = ToolsListed(server=session.server, tools=tools)
    session = replace(session, phase="ready", pages=(), cursors=(), is_listing=False, is_told=True)
    return session, (*news, StopTimer(id=session.timer), listed)


def start_over(session: Session, reason: str) -> Move:
    """This connection is of no use: drop it, and let the usual patience bring another."""
    reconnect = Reconnect(server=session.server, reason=reason)
    return _closed(session), (StopTimer(id=session.timer), reconnect)


def give_up(session: Session, reason: str, status: int | None = None) -> Move:
    """Another connection would be of no more use: drop the server for good."""
    close = Close(server=session.server, reason=reason, status=status)
    return _closed(session), (StopTimer(id=session.timer), close)


def _closed(session: Session) -> Session:
    return replace(session, phase="closed", route=None, is_listing=False)


def is_accepted(status: int | None) -> bool:
    """Did the server take what was posted? A redirect or no answer is no such thing."""
    return status is not None and 200 <= status < 300  # noqa: PLR2004  (RFC 9110, 15.3)


def await_step(session: Session, plan: Plan) -> StartTimer:
    """Give the next step of the handshake its time."""
    return StartTimer(id=session.timer, seconds=plan.connect_timeout)

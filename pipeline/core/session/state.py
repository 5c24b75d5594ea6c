"""What is known of one session, and the few moves that every dialect makes."""

from typing import Any, Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from pipeline.core.commands import Close, Passing, Reconnect, StartTimer, StopTimer
from pipeline.core.events import Json, Route, SessionOffers, SessionReady, ToolsListed
from pipeline.core.plan import DialectWish, Plan, ServerPlan

Phase: TypeAlias = Literal[
    "closed",  # no link, but somebody tries
    "opened",  # the stream is accepted, `endpoint` has not come
    "deciding",  # `endpoint` came; `tools` next would mean seed, silence means 2024-11-05
    "probing",  # `server/discover` was sent: its answer tells the era
    "initializing",
    "greeting",  # over HTTP: `initialized` was sent, and nothing else may come before it
    "listing",
    "ready",
    "failed",  # no link, and nobody tries
]
Transport: TypeAlias = Literal["sse", "http", "stdio"]
Era: TypeAlias = Literal["", "handshake", "modern"]


class Answer(msgspec.Struct, frozen=True):
    """The event stream that is to bring the answer to a request; `stream` names its latest one.

    `last_event_id` is where it may be taken up again, `tries` how often that was tried in vain.
    """

    stream: str
    last_event_id: str = ""
    tries: int = 0


class Session(msgspec.Struct, frozen=True):
    """One server's session; a new connection starts a new one with the next `generation`.

    `is_told`: it was said to be ready, and its loss must be told too. `era` is what was learnt of
    the server, for the next connection; `doubts` counts how often that was wrong. `answers` holds
    the open event streams by the id of the request; `stream_id` is the server's own stream, or the
    subscription, which came to nothing `vain` times in a row; `streams` counts all that was opened.
    """

    server: str
    url: str
    wish: DialectWish = "auto"
    transport: Transport = "sse"
    era: Era = ""
    doubts: int = 0
    phase: Phase = "closed"
    generation: int = 0
    route: Route | None = None
    session_id: str = ""
    greeting: SessionReady | None = None
    offers: Json = {}
    pages: tuple[Any, ...] = ()
    cursors: tuple[str, ...] = ()
    lists: int = 0
    is_listing: bool = False
    list_again: bool = False
    is_told: bool = False
    is_noisy: bool = False
    answers: dict[str, Answer] = {}
    streams: int = 0
    stream_id: str = ""
    own_event_id: str = ""
    vain: int = 0
    subscriptions: tuple[str, ...] = ()

    @property
    def timer(self) -> str:
        """The one deadline of whatever the session waits for."""
        return f"session:{self.server}"

    @property
    def grace(self) -> str:
        """The short wait that tells seed from 2024-11-05."""
        return f"grace:{self.server}"

    @property
    def again(self) -> str:
        """The pause before the server's own stream, or the subscription, is asked for again."""
        return f"again:{self.server}"


Outputs: TypeAlias = tuple[Passing, ...]
Move: TypeAlias = tuple[Session, Outputs]


def first(plan: ServerPlan, generation: int = 0) -> Session:
    """A session that is still to be opened."""
    return Session(
        server=plan.name,
        url=plan.url,
        wish=plan.dialect,
        transport=_transport(plan),
        generation=generation,
    )


def anew(session: Session) -> Session:
    """What the next connection begins with: all that was learnt of the server, nothing else."""
    return Session(
        server=session.server,
        url=session.url,
        wish=session.wish,
        transport=session.transport,
        era=session.era,
        doubts=session.doubts,
        generation=session.generation + 1,
        is_noisy=session.is_noisy,
        subscriptions=session.subscriptions,
    )


def _transport(plan: ServerPlan) -> Transport:
    """What to try first. An address that ends in `/sse` most likely is what it says."""
    match plan.dialect:
        case "stdio":
            return "stdio"
        case "sse" | "seed":
            return "sse"
        case "http":
            return "http"
        case "auto":
            if not plan.url:
                return "stdio"
            path = plan.url.partition("?")[0].rstrip("/")
            return "sse" if path.endswith("/sse") else "http"


def ready(session: Session, tools: tuple[Any, ...]) -> Move:
    """The tool list is complete: the session may be used, and the registry hears of the list."""
    assert session.greeting is not None, "ready before a greeting is made"
    is_first = session.phase != "ready"
    offers = SessionOffers(server=session.server, capabilities=session.offers)
    told = (offers, session.greeting) if session.offers else (session.greeting,)
    news: Outputs = told if is_first else ()
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

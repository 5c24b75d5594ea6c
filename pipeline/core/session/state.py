"""What is known of one session, and the few moves that every dialect makes."""

from typing import Any, Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from pipeline.core.commands import Close, Passing, Reconnect, StartTimer, StopTimer
from pipeline.core.events import Json, Route, SessionOffers, SessionReady, ToolsListed
from pipeline.core.plan import DialectWish, Plan

Phase: TypeAlias = Literal[
    "closed",  # no link, but somebody tries
    "opened",  # the stream is accepted, `endpoint` has not come
    "deciding",  # `endpoint` came; `tools` next would mean seed, silence means 2024-11-05
    "probing",  # `server/discover` was sent: its answer tells the era
    "initializing",
    "greeting",  # over HTTP: `initialized` was sent, and nothing else may come before it
    "attending",  # over HTTP: the server's own stream was asked for
    "listing",
    "ready",
    "failed",  # no link, and nobody tries
]
Transport: TypeAlias = Literal["sse", "http", "stdio"]
Era: TypeAlias = Literal["", "handshake", "modern"]

LATER = (408, 425, 429)
"""Refusals that may be over with the next attempt."""
_NOT_IMPLEMENTED = 501


class Answer(msgspec.Struct, frozen=True):
    """The event stream that is to bring the answer to a request; `stream` is the id of the latest.

    That is the request itself at first, empty while nothing is asked for, then a `Get` of ours. An
    answer may be taken up again from `last_event_id` on, by the session of its `generation` alone;
    `tries` is how often that was tried since its last event, after `waited` seconds in all, and
    `absences` how often in a row nobody was there.
    """

    stream: str
    generation: int
    last_event_id: str = ""
    tries: int = 0
    waited: float = 0.0
    absences: int = 0


class Session(msgspec.Struct, frozen=True):
    """One server's session; a new connection starts a new one with the next `generation`.

    What was learnt of the server, for the next connection, is `transport` and `known`, its era;
    `refusal` is how the other transport was refused at this address, empty if it was not tried.
    `era` is that of this connection, in which the server was probed `probes` times.

    `is_told`: it was said to be ready, and its loss must be told too. `is_renewed`: the session
    before this one was left because of what an error seemed to mean. `answers` holds the answers
    that are open, by the id of the request. `stream_id` is the server's own stream, or the
    subscription, which broke off `vain` times in a row; `is_pausing`: it will be asked for again,
    `had_stream`: there was one. `streams` counts all streams that were asked for. `is_partial`: the
    first list of tools broke off after `kept` of them, and was read again `relists` times.
    `is_resting`: it was read a moment ago, and a change that is told (`list_again`) has to wait.
    """

    server: str
    url: str
    wish: DialectWish = "auto"
    transport: Transport = "sse"
    refusal: str = ""
    known: Era = ""
    era: Era = ""
    probes: int = 0
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
    is_resting: bool = False
    is_partial: bool = False
    kept: int = 0
    relists: int = 0
    is_told: bool = False
    is_noisy: bool = False
    is_renewed: bool = False
    answers: dict[str, Answer] = {}
    streams: int = 0
    stream_id: str = ""
    own_event_id: str = ""
    had_stream: bool = False
    vain: int = 0
    is_pausing: bool = False
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
        """The time of the own stream or subscription: how long it lasts, then the pause."""
        return f"again:{self.server}"


Outputs: TypeAlias = tuple[Passing, ...]
Move: TypeAlias = tuple[Session, Outputs]


def anew(session: Session) -> Session:
    """What the next connection begins with: all that was learnt of the server, nothing else."""
    return Session(
        server=session.server,
        url=session.url,
        wish=session.wish,
        transport=session.transport,
        refusal=session.refusal,
        known=session.known,
        generation=session.generation + 1,
        is_noisy=session.is_noisy,
        is_renewed=session.is_renewed,
        subscriptions=session.subscriptions,
    )


def ready(session: Session, tools: tuple[Any, ...]) -> Move:
    """The tool list is complete: the session may be used, and the registry hears of the list."""
    greeting = session.greeting
    assert greeting is not None, "ready before a greeting is made"
    news: Outputs = ()
    if session.phase != "ready":
        news = (greeting,)
        if greeting.route.dialect != "seed":
            news = (SessionOffers(server=session.server, capabilities=session.offers), greeting)
        session = replace(session, phase="ready", is_told=True, known=session.era, refusal="")
    listed = ToolsListed(server=session.server, tools=tools)
    session = replace(session, pages=(), cursors=(), is_listing=False)
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


def is_final(status: int | None) -> bool:
    """Was that an answer, and would the next one be the same? "Not now" is no such thing.

    501 is one: a server that cannot POST at all may say so (RFC 9110, 15.6.2).
    """
    if status is None or status in LATER:
        return False
    return status < 500 or status == _NOT_IMPLEMENTED  # noqa: PLR2004  (RFC 9110, 15.6)


def pause_before(retry_ms: int | None, tries: int) -> float:
    """Seconds until a stream is asked for again: as its server wished, more after each vain try.

    Never less than it wished (2025-11-25, basic/transports, "Sending Messages to the Server").
    """
    wish = 1.0 if retry_ms is None else min(_DAY, max(_LEAST_PAUSE, retry_ms / 1000))
    return max(wish, min(_MOST_PAUSE, wish * 2.0 ** min(tries, _MOST_TRIES)))


_LEAST_PAUSE, _MOST_PAUSE, _DAY = 0.1, 60.0, 86_400.0  # seconds
_MOST_TRIES = 16


def patience(session: Session, plan: Plan) -> tuple[float, str]:
    """Seconds that the next step of the handshake may take, and the setting that says so.

    A process may have to be fetched and started before it says its first word.
    """
    if session.transport == "stdio" and session.phase in ("probing", "initializing"):
        return max((plan.connect_timeout, "--connect-timeout"), (plan.start_timeout, _START))
    return plan.connect_timeout, "--connect-timeout"


_START = "--start-timeout"


def await_step(session: Session, plan: Plan) -> StartTimer:
    """Give the next step of the handshake its time."""
    return StartTimer(id=session.timer, seconds=patience(session, plan)[0])

"""The sessions, and what waits to be sent to each: bookkeeping, without network or clock.

A session lives exactly as long as its stream. It is made by GET, and when the stream ends, for
whatever reason, its calls are cancelled and its id is worth nothing.
"""

import asyncio
import re
import secrets
from collections import deque
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Literal

from server.options import ServerOptions

SESSION_ID = re.compile(r"[A-Za-z0-9_-]{43}")
"""The form of every id (`fullmatch`); anything else is malformed, not unknown."""

Dialect = Literal["seed", "sse"]
Phase = Literal["new", "initialized", "ready"]
"""JSON-RPC life cycle: `initialize` answered; then `notifications/initialized` received."""
Spawn = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]

_ID_BYTES = 32


class Outbox:
    """Events on their way to one client, in order, bounded in bytes and in number.

    What the writer has taken and not yet written counts too: it is still in memory.
    """

    def __init__(self, *, max_bytes: int, max_events: int) -> None:
        self._waiting: deque[bytes] = deque()
        self._max_bytes = max_bytes
        self._max_events = max_events
        self.size = 0
        """Bytes that are not written yet."""

    def put(self, event: bytes) -> bool:
        """Queue `event`; False, with nothing changed, when a bound forbids it."""
        if len(self._waiting) >= self._max_events or self.size + len(event) > self._max_bytes:
            return False
        self._waiting.append(event)
        self.size += len(event)
        return True

    def take(self) -> bytes | None:
        """The next event, or None."""
        return self._waiting.popleft() if self._waiting else None

    def written(self, event: bytes) -> None:
        """Tell that a taken event has been handed to the connection."""
        self.size -= len(event)


class Session:
    """One client's stream, with its calls.

    Args:
        session_id: A secret; never logged.
        number: What logs call the session.
        spawn: Starts a call as a task; who gave it, owns the task.
        abort: Cuts the connection at once, without sending what is queued.
    """

    def __init__(
        self,
        session_id: str,
        number: int,
        dialect: Dialect,
        outbox: Outbox,
        *,
        now: float,
        spawn: Spawn,
        abort: Callable[[], None],
    ) -> None:
        self.id = session_id
        self.number = number
        self.dialect: Dialect = dialect
        self.outbox = outbox
        self.phase: Phase = "new"
        self.last_active = now
        self.ended: str | None = None
        """Why the stream ends; None while it lives. What is queued by then still goes out."""
        self.wake = asyncio.Event()
        """Set when there is something to write, or the stream is to end."""
        self._spawn = spawn
        self._abort = abort
        self._calls: dict[Hashable, asyncio.Task[None]] = {}

    @property
    def call_count(self) -> int:
        """Calls that run now."""
        return len(self._calls)

    def send(self, event: bytes) -> None:
        """Queue `event`. A client that leaves too much waiting is cut off; nothing raises."""
        if self.ended is not None:
            return
        if self.outbox.put(event):
            self.wake.set()
        else:
            self.cut("the client reads too slowly")

    def end(self, reason: str) -> None:
        """End the stream once what is queued has gone out. The first reason stays."""
        if self.ended is None:
            self.ended = reason
        self.wake.set()

    def cut(self, reason: str) -> None:
        """End the stream now: its connection goes, and with it what is queued."""
        self.end(reason)
        self._abort()

    def is_calling(self, key: Hashable) -> bool:
        """Whether a call of this key runs."""
        return key in self._calls

    def start(self, key: Hashable, call: Coroutine[Any, Any, None]) -> None:
        """Run `call` under `key`, which must be free."""
        task = self._spawn(call)
        self._calls[key] = task
        task.add_done_callback(lambda _: self._calls.pop(key))

    def cancel(self, key: Hashable) -> None:
        """Cancel the call of that key, if it runs."""
        task = self._calls.get(key)
        if task is not None:
            task.cancel()

    def cancel_all(self) -> None:
        """Cancel every call."""
        for task in self._calls.values():
            task.cancel()


class SessionRegistry:
    """All sessions that live, at most `options.max_sessions`."""

    def __init__(
        self,
        options: ServerOptions,
        *,
        new_id: Callable[[], str] = lambda: secrets.token_urlsafe(_ID_BYTES),
    ) -> None:
        self._options = options
        self._new_id = new_id
        self._sessions: dict[str, Session] = {}
        self._opened = 0
        self.is_closing = False
        """Set when the server stops: no session is opened any more."""
        self.empty = asyncio.Event()
        """Set while no session lives."""
        self.empty.set()

    @property
    def count(self) -> int:
        """Sessions that live now."""
        return len(self._sessions)

    @property
    def is_full(self) -> bool:
        """Whether another session must be refused."""
        return self.is_closing or self.count >= self._options.max_sessions

    def open(
        self, dialect: Dialect, *, now: float, spawn: Spawn, abort: Callable[[], None]
    ) -> Session:
        """A new session; the caller has looked at `is_full`, and calls `close` in the end."""
        self._opened += 1
        outbox = Outbox(
            max_bytes=self._options.max_queue_bytes, max_events=self._options.max_queue_events
        )
        session = Session(
            self._new_id(), self._opened, dialect, outbox, now=now, spawn=spawn, abort=abort
        )
        self._sessions[session.id] = session
        self.empty.clear()
        return session

    def find(self, session_id: str) -> Session | None:
        """The session of that id, unless it has ended."""
        session = self._sessions.get(session_id)
        return session if session is not None and session.ended is None else None

    def close(self, session: Session) -> None:
        """Forget the session; its id is unknown from here on."""
        del self._sessions[session.id]
        if not self._sessions:
            self.empty.set()

    def all(self) -> list[Session]:
        """The sessions that live, as a list of its own."""
        return list(self._sessions.values())

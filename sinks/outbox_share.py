"""A run's share of an outbox: what it puts there, and whose messages it sends.

It sends those of its own session, and those of sessions whose runs are no more: first the older
ones, and each session in its order. The lock of a session (`Claims`) keeps two runs from sending
the same message. Blocking, and for one thread; every function raises `OutboxError`.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import NamedTuple

from config.options import WebhookOptions
from sinks.outbox import Limits, Outbox, Totals
from sinks.outbox_place import Claims, outbox_folder, outbox_path
from sinks.standard_webhooks import Message
from sinks.webhook_post import tagged

AT_ONCE = 64
"""Messages that are read in one go."""


class Added(NamedTuple):
    """What became of messages: they wait, or are dead, for which `dropped` old ones had to go.

    `is_new`: none of them waited already.
    """

    totals: Totals
    is_full: bool
    is_new: bool = False
    is_dead: bool = False
    dropped: int = 0


class Batch(NamedTuple):
    """Messages of one session, in order.

    `may_be_more`: it is worth asking again at once. `is_ours`: nobody else sends our own session.
    """

    messages: Sequence[Message] = ()
    may_be_more: bool = False
    is_ours: bool = True


class Share:
    """What a run has of an open outbox. `session` None: it only sends what others left.

    The run goes on after `known`, 0 if it begins. `mark` is the `seq` up to which all of it was
    put before.
    """

    def __init__(self, outbox: Outbox, session: str | None, known: int = 0) -> None:
        self._outbox = outbox
        self._claims = Claims(outbox.path)
        self._session = session
        self.mark = known
        if session is not None:
            self.mark = outbox.begin(session, known)
            self._claims.take(session)

    def end(self, seq: int) -> None:
        """The run is over, and this is the `seq` of its last message."""
        assert self._session is not None, "only a run of its own ends"
        self._outbox.end(self._session, seq)

    def add(self, messages: Sequence[Message], *, dead_if_full: str, at: str) -> Added:
        """Have messages wait; where too many do, and there is a reason for it, as dead letters."""
        if dead_if_full:
            totals = self._outbox.totals()
            if self._outbox.is_full(totals):
                dropped = self._outbox.add_dead(messages, dead_if_full, at)
                return Added(totals, is_full=True, is_dead=True, dropped=dropped)
        count, totals = self._outbox.add(messages)
        is_new = count == len(messages)
        return Added(totals, is_full=self._outbox.is_full(totals), is_new=is_new)

    def add_dead(self, messages: Sequence[Message], reason: str, at: str) -> int:
        """Keep messages as dead letters; how many old ones had to go for them."""
        return self._outbox.add_dead(messages, reason, at)

    def is_full(self) -> bool:
        """More waits than may."""
        return self._outbox.is_full(self._outbox.totals())

    def next(self, after: Mapping[str, int]) -> Batch:
        """The next messages: of a session that was left behind, else of our own.

        `after` has the `seq` behind which to begin, for sessions where it is not the first.
        """
        for session in self._outbox.sessions():
            if session == self._session or not self._claims.take(session):
                continue
            if found := self._waiting(session, after):
                return Batch(found, may_be_more=True)
            self._claims.release(session)
        if self._session is None or not self._claims.take(self._session):
            return Batch(is_ours=False)
        found = self._waiting(self._session, after)
        return Batch(found, may_be_more=len(found) == AT_ONCE)

    def delivered(self, message: Message) -> None:
        """Forget a message."""
        self._outbox.delivered(message)

    def bury(self, message: Message, reason: str, at: str) -> int:
        """Make a dead letter of a message; how many old ones had to go for it."""
        return self._outbox.bury([message], reason, at)

    def bury_all(self, reason: str, at: str) -> tuple[int, int]:
        """The same for all of the share: how many there were, and how many old ones had to go."""
        return self._outbox.bury_sessions(self._sessions(), reason, at)

    def count(self) -> int:
        """How many messages of the share wait."""
        return self._outbox.count(self._sessions())

    def close(self) -> None:
        """Close the outbox, and let others have the sessions."""
        with ExitStack() as stack:
            stack.callback(self._claims.release_all)
            self._outbox.close()

    def _waiting(self, session: str, after: Mapping[str, int]) -> list[Message]:
        return self._outbox.waiting(session, after=after.get(session, -1), most=AT_ONCE)

    def _sessions(self) -> set[str]:
        own = () if self._session is None else (self._session,)
        return {*self._claims.held, *own}


def limits_of(options: WebhookOptions) -> Limits:
    """How much an outbox may hold."""
    return Limits(options.outbox_messages, options.outbox_bytes)


def open_share(
    url: str,
    options: WebhookOptions,
    session: str | None,
    *,
    known: int = 0,
    revives: bool = False,
) -> Share:
    """Open the outbox of an address, made if there is none, for a run.

    `revives`: all dead letters wait again.
    """
    path = outbox_path(outbox_folder(options.state_home), url)
    is_flushed = options.fsync == "always"
    outbox = Outbox(path, tagged(url), limits_of(options), is_flushed=is_flushed)
    try:
        if revives:
            outbox.revive()
        return Share(outbox, session, known)
    except BaseException:
        outbox.close()
        raise

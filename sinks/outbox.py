"""The messages to one webhook in one file (SQLite): those that wait, and dead letters.

A message is there from the commit of `add` until that of `delivered`, whatever process dies in
between. A dead letter was given up, for a reason that stands beside it; it stays until somebody
has it sent again, or drops it. Several processes may have the same file open.

Blocking, and for one thread: the one that opened it. Every function raises `OutboxError`.
"""

import sqlite3
import time
from collections.abc import Generator, Iterable
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Self

from sinks.outbox_place import OutboxError, prepare
from sinks.standard_webhooks import Message, message_id

_APPLICATION = 0x72784D43  # "rxMC": what kind of database it is, for `file` and for us
_PATIENCE = 5.0  # seconds for another process to finish what it writes
_PAUSE = 0.01
_VACUUM_PAGES = 4096
_STEPS = (
    """
    CREATE TABLE about (shown TEXT NOT NULL);
    CREATE TABLE messages (
        session TEXT NOT NULL, seq INTEGER NOT NULL,
        body BLOB NOT NULL, size INTEGER NOT NULL,
        dead INTEGER NOT NULL DEFAULT 0, reason TEXT NOT NULL DEFAULT '', died TEXT,
        PRIMARY KEY (session, seq)
    );
    CREATE INDEX turns ON messages (dead, session, seq, size);
    CREATE TABLE runs (session TEXT PRIMARY KEY, seq INTEGER NOT NULL);
    """,
)
"""What makes each version of the tables from the one before; PRAGMA user_version counts them."""
_ADD = """
    INSERT INTO messages (session, seq, body, size, dead, reason, died) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET dead = excluded.dead, reason = excluded.reason, died = excluded.died
    WHERE dead
"""
_TOO_MANY_DEAD = """
    SELECT rowid FROM (
        SELECT rowid, row_number() OVER newest AS number, sum(size) OVER newest AS total
        FROM messages WHERE dead WINDOW newest AS (ORDER BY rowid DESC)
    ) WHERE number > 1 AND (number > ? OR total > ?)
"""


_REMEMBER = """
    INSERT INTO runs (session, seq) VALUES (?, ?)
    ON CONFLICT DO UPDATE SET seq = max(seq, excluded.seq)
"""
_MOST_RUNS = 1000


class Limits(NamedTuple):
    """How many messages may wait, and how many bytes; dead letters have the same again."""

    messages: int
    bytes: int


class Totals(NamedTuple):
    """What is in an outbox."""

    waiting: int = 0
    bytes: int = 0
    dead: int = 0
    dead_bytes: int = 0


class DeadLetter(NamedTuple):
    """A message that was given up, why, and when (RFC 3339)."""

    message: Message
    reason: str
    died: str


class Outbox:
    """An open outbox, made if there is none. `shown` is its address as people may see it.

    `is_flushed`: each commit is on the disk before it counts, not only safe from the death of a
    process.
    """

    def __init__(self, path: Path, shown: str, limits: Limits, *, is_flushed: bool = False) -> None:
        self.path = path
        self._limits = limits
        prepare(path)
        with self._told("opened"):
            self._db = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)
            try:
                self._set_up(shown, is_flushed=is_flushed)
            except BaseException:
                self._db.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def shown(self) -> str:
        """The address as people may see it."""
        with self._told("read"):
            return str(self._db.execute("SELECT shown FROM about").fetchone()[0])

    def begin(self, session: str, known: int) -> int:
        """A run begins, or goes on after `known`: up to which `seq` was all of it put here?

        That is kept until `end`. Of a run that is not known here, nothing is missing.
        """
        with self._changing():
            self._db.execute("INSERT OR IGNORE INTO runs VALUES (?, ?)", (session, known))
            self._db.execute(
                "DELETE FROM runs WHERE rowid NOT IN"
                " (SELECT rowid FROM runs ORDER BY rowid DESC LIMIT ?)",
                (_MOST_RUNS,),
            )
            found = self._db.execute("SELECT seq FROM runs WHERE session = ?", (session,))
            return int(found.fetchone()[0])

    def end(self, session: str, seq: int) -> None:
        """A run is over, and this is the `seq` of its last message."""
        with self._changing():
            self._db.execute("DELETE FROM runs WHERE session = ? AND seq <= ?", (session, seq))

    def add(self, messages: Iterable[Message]) -> tuple[int, Totals]:
        """Have messages wait: how many did not yet, and what is in the outbox then.

        One that waits already stays as it is. One that is a dead letter waits again: somebody
        sends it once more, as a replay does.
        """
        with self._changing():
            return self._insert(messages, "", None), self._totals()

    def add_dead(self, messages: Iterable[Message], reason: str, at: str) -> int:
        """Keep messages as dead letters; how many old ones had to go for them."""
        with self._changing():
            self._insert(messages, reason, at)
            return self._drop_too_many()

    def sessions(self) -> list[str]:
        """Those with messages that wait, the oldest first."""
        with self._told("read"):
            found = self._db.execute(
                "SELECT session FROM messages WHERE NOT dead GROUP BY session ORDER BY min(rowid)"
            )
            return [str(session) for (session,) in found]

    def waiting(self, session: str, *, after: int, most: int) -> list[Message]:
        """The next messages of a session behind `after`, in order."""
        with self._told("read"):
            found = self._db.execute(
                "SELECT session, seq, body FROM messages"
                " WHERE NOT dead AND session = ? AND seq > ? ORDER BY seq LIMIT ?",
                (session, after, most),
            )
            return [_message(*row) for row in found]

    def count(self, sessions: Iterable[str]) -> int:
        """How many messages of these sessions wait."""
        sql = "SELECT count(*) FROM messages WHERE NOT dead AND session = ?"
        with self._told("read"):
            return sum(self._db.execute(sql, (each,)).fetchone()[0] for each in sessions)

    def delivered(self, message: Message) -> None:
        """Forget a message."""
        with self._changing():
            self._db.execute(
                "DELETE FROM messages WHERE session = ? AND seq = ?", (message.session, message.seq)
            )

    def bury(self, messages: Iterable[Message], reason: str, at: str) -> int:
        """Make dead letters of messages that wait; how many old ones had to go for them."""
        with self._changing():
            self._db.executemany(
                "UPDATE messages SET dead = 1, reason = ?, died = ? WHERE session = ? AND seq = ?",
                [(reason, at, each.session, each.seq) for each in messages],
            )
            return self._drop_too_many()

    def bury_sessions(self, sessions: Iterable[str], reason: str, at: str) -> tuple[int, int]:
        """The same for all that wait of these sessions: (new dead letters, old ones that went)."""
        with self._changing():
            found = self._db.executemany(
                "UPDATE messages SET dead = 1, reason = ?, died = ? WHERE NOT dead AND session = ?",
                [(reason, at, session) for session in sessions],
            )
            return found.rowcount, self._drop_too_many()

    def dead_letters(self) -> list[DeadLetter]:
        """All of them, the oldest first."""
        with self._told("read"):
            found = self._db.execute(
                "SELECT session, seq, body, reason, died FROM messages WHERE dead ORDER BY rowid"
            )
            return [
                DeadLetter(_message(session, seq, body), reason, died or "")
                for session, seq, body, reason, died in found
            ]

    def revive(self) -> int:
        """Have all dead letters wait again; how many there were."""
        with self._changing():
            return self._db.execute(
                "UPDATE messages SET dead = 0, reason = '', died = NULL WHERE dead"
            ).rowcount

    def drop(self) -> int:
        """Forget all dead letters; how many there were."""
        with self._changing():
            return self._db.execute("DELETE FROM messages WHERE dead").rowcount

    def totals(self) -> Totals:
        """What is in it."""
        with self._told("read"):
            return self._totals()

    def is_full(self, totals: Totals) -> bool:
        """More waits than may."""
        return totals.waiting > self._limits.messages or totals.bytes > self._limits.bytes

    def close(self) -> None:
        """Release it, and give back to the disk what an outage has left empty."""
        with self._told("closed"), closing(self._db):
            self._db.execute("PRAGMA busy_timeout = 0")
            with suppress(sqlite3.OperationalError):  # in use, or read-only: another time, then
                # `execute` would free one page: it takes one step where there are no columns.
                self._db.executescript(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})")

    def _set_up(self, shown: str, *, is_flushed: bool) -> None:
        run = self._db.execute
        run("BEGIN")  # both as they were at one moment: another process may just make it
        kind, version = (run(f"PRAGMA {each}").fetchone()[0] for each in _ABOUT)
        run("COMMIT")
        if (kind, version) != (0, 0) and kind != _APPLICATION:
            raise self._error("it is no outbox of rxmcp; move it away")
        if version > len(_STEPS):
            raise self._error(
                f"found version {version}, expected {len(_STEPS)} or less: a newer rxmcp has made "
                "it; use that one, or move it away"
            )
        if version == 0:
            run("PRAGMA auto_vacuum = INCREMENTAL")  # has to come before the first table
        self._log_ahead()
        run(f"PRAGMA synchronous = {'FULL' if is_flushed else 'NORMAL'}")
        if version < len(_STEPS):
            self._migrate(shown)

    def _log_ahead(self) -> None:
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                self._db.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as exc:
                # The one thing for which SQLite does not wait by itself: others open it as well.
                if exc.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                    raise
                time.sleep(_PAUSE)
            else:
                return

    def _migrate(self, shown: str) -> None:
        with self._changing():
            version: int = self._db.execute("PRAGMA user_version").fetchone()[0]
            for step in _STEPS[version:]:  # another process may just have made them
                for statement in step.split(";"):
                    self._db.execute(statement)
            if version == 0:
                self._db.execute("INSERT INTO about VALUES (?)", (shown,))
            self._db.execute(f"PRAGMA application_id = {_APPLICATION}")
            self._db.execute(f"PRAGMA user_version = {len(_STEPS)}")

    def _insert(self, messages: Iterable[Message], reason: str, died: str | None) -> int:
        rows = [
            (each.session, each.seq, each.body, len(each.body), died is not None, reason, died)
            for each in messages
        ]
        if rows:
            self._db.execute(_REMEMBER, max(row[:2] for row in rows))
        return self._db.executemany(_ADD, rows).rowcount

    def _totals(self) -> Totals:
        sql = "SELECT dead, count(*), sum(size) FROM messages GROUP BY dead"
        found = {bool(dead): (count, size) for dead, count, size in self._db.execute(sql)}
        return Totals(*found.get(False, (0, 0)), *found.get(True, (0, 0)))

    def _drop_too_many(self) -> int:
        totals = self._totals()
        if totals.dead <= self._limits.messages and totals.dead_bytes <= self._limits.bytes:
            return 0
        sql = f"DELETE FROM messages WHERE rowid IN ({_TOO_MANY_DEAD})"  # noqa: S608  no foreign text
        return self._db.execute(sql, self._limits).rowcount

    @contextmanager
    def _changing(self) -> Generator[None]:
        """All of it or nothing, and alone among the processes that have it open."""
        with self._told("written"):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:  # a full disk may have ended it already
                    self._db.execute("ROLLBACK")

    @contextmanager
    def _told(self, done: str) -> Generator[None]:
        try:
            yield
        except sqlite3.OperationalError as exc:  # the disk's, or another process's doing
            raise self._error(f"it cannot be {done} ({exc})") from exc
        except sqlite3.DatabaseError as exc:
            raise self._error(f"it cannot be {done} ({exc}); move it away") from exc

    def _error(self, why: str) -> OutboxError:
        return OutboxError(f"the outbox {str(self.path)!r} cannot be used: {why}")


_ABOUT = ("application_id", "user_version")


def _message(session: str, seq: int, body: bytes) -> Message:
    return Message(message_id(session, seq), body, session, seq)

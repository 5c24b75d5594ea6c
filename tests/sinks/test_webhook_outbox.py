"""The webhook sink with its outbox on the disk, against a real receiver on loopback."""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from config.options import MailboxOptions
from pipeline.core.codec import Entry
from pipeline.core.events import Problem, RunEnded
from pipeline.mailbox import Mailbox
from sinks.base import SinkActor
from sinks.outbox import Limits, Outbox
from sinks.outbox_place import Claims, outbox_folder, outbox_path
from sinks.webhook import WebhookSink
from sinks.webhook_times import Times
from tests.support.receiver import Answer, Posted, Receiver
from tests.support.webhooks import Told, answer, entries, on_disk, opened

HOUR = 3600.0


def box(folder: Path, url: str) -> Outbox:
    return Outbox(outbox_path(outbox_folder(str(folder)), url), "", Limits(10_000, 2**26))


def in_box(folder: Path, url: str) -> tuple[list[str], dict[str, str]]:
    """The ids of what waits, in order, and the reasons of dead letters by id."""
    with box(folder, url) as outbox:
        waiting = [
            message.id
            for session in outbox.sessions()
            for message in outbox.waiting(session, after=-1, most=10_000)
        ]
        return waiting, {dead.message.id: dead.reason for dead in outbox.dead_letters()}


class FakeTime:
    """Hours in no time: a pause moves the clock, and lets others have their turn."""

    def __init__(self, chance: float = 1.0) -> None:
        self.now = 0.0
        self._chance = chance

    @property
    def times(self) -> Times:
        return Times(
            clock=lambda: 1_700_000_000.0 + self.now,
            monotonic=lambda: self.now,
            pause=self._pause,
            chance=lambda: self._chance,
        )

    async def _pause(self, delay: float, _until: asyncio.Event) -> None:
        self.now += delay
        await asyncio.sleep(0)


class Down(Receiver):
    """A receiver that answers with 503 until `is_up` says otherwise."""

    def __init__(self, is_up: Callable[[], bool]) -> None:
        super().__init__()
        self._is_up = is_up

    def answer(self, posted: Posted) -> Answer:  # noqa: ARG002  (the receiver's)
        return Answer() if self._is_up() else Answer(503)

    async def tried(self, message: str, count: int) -> None:
        """Wait until a message has come so many times."""
        async with asyncio.timeout(20):
            while [p.id for p in self.posted].count(message) < count:
                await self.received(len(self.posted) + 1)


async def test_what_is_delivered_leaves_nothing_behind(tmp_path: Path) -> None:
    async with Receiver() as receiver:
        async with opened(receiver.url, on_disk(tmp_path)) as (sink, told):
            await sink.emit(entries(*[answer("x")] * 70))
            await sink.emit(entries(answer("y"), start=71))
        assert [p.id for p in receiver.posted] == [f"msg_s1_{n}" for n in range(1, 72)]
        assert told == []
        assert in_box(tmp_path, receiver.url) == ([], {})
        assert [path.suffix for path in (tmp_path / "rxmcp" / "outbox").iterdir()] == [".sqlite3"]


async def test_emit_returns_when_the_message_is_on_the_disk(tmp_path: Path) -> None:
    """Seen by another process, while the receiver still keeps the first one waiting."""
    async with Receiver([Answer(hangs=True)]) as receiver:
        options = on_disk(tmp_path, drain=0.05, timeout=60)
        async with opened(receiver.url, options) as (sink, _):
            await sink.emit(entries(answer("1"), answer("2")))
            assert in_box(tmp_path, receiver.url)[0] == ["msg_s1_1", "msg_s1_2"]


async def test_the_next_run_first_delivers_what_an_older_one_left(tmp_path: Path) -> None:
    receiver = Receiver()
    async with receiver:
        pass  # now the port is known, and nobody listens
    options = on_disk(tmp_path, drain=0.05)
    for session, count in (("old", 2), ("older", 4)):
        async with opened(receiver.url, options, session=session) as (sink, told):
            await sink.emit(entries(answer("1"), answer("2")))
        assert told == [
            f"{count} messages not delivered: connection refused; the next run with this webhook "
            "sends what waits in the outbox, or do `outbox send`"
        ]
    async with receiver:
        async with opened(receiver.url, on_disk(tmp_path), session="new") as (sink, told):
            await sink.emit(entries(answer("3")))
        ids = ["msg_old_1", "msg_old_2", "msg_older_1", "msg_older_2", "msg_new_1"]
        assert [p.id for p in receiver.accepted] == ids
        assert told == []
    assert in_box(tmp_path, receiver.url) == ([], {})


async def test_after_an_outage_of_an_hour_all_is_delivered_in_order_under_the_same_ids(
    tmp_path: Path,
) -> None:
    """The time is not real; the requests are."""
    time = FakeTime()
    async with Down(lambda: time.now > HOUR) as receiver:
        options = on_disk(tmp_path, attempts=6, max_delay=30, first_delay=0.5)
        async with opened(receiver.url, options, times=time.times) as (sink, told):
            await sink.emit(entries(*[answer("x")] * 100))
            await told.heard("delivers again")
        ids = [f"msg_s1_{n}" for n in range(1, 101)]
        assert [p.id for p in receiver.accepted] == ids
        refused = [p.id for p in receiver.posted if p not in receiver.accepted]
        assert len(refused) > HOUR / 30
        assert set(refused) == {"msg_s1_1"}
    assert told == [
        "the receiver is down (HTTP 503); messages wait in the outbox meanwhile",
        "delivers again",
    ]
    assert in_box(tmp_path, receiver.url) == ([], {})


async def test_a_receiver_that_comes_back_gets_what_waited_meanwhile(tmp_path: Path) -> None:
    """A short outage, and real time."""
    receiver = Receiver()
    async with receiver:
        pass
    async with opened(receiver.url, on_disk(tmp_path)) as (sink, told):
        await sink.emit(entries(answer("1")))
        await told.heard("is down (connection refused)")
        await sink.emit(entries(answer("2"), start=2))
        async with receiver:
            await told.heard("delivers again")
    assert [p.id for p in receiver.accepted] == ["msg_s1_1", "msg_s1_2"]


async def test_when_patience_is_over_messages_become_dead_letters(tmp_path: Path) -> None:
    time = FakeTime()
    async with Down(lambda: False) as receiver:
        options = on_disk(tmp_path, max_delay=30, patience=HOUR)
        async with opened(receiver.url, options, times=time.times) as (sink, told):
            await sink.emit(entries(answer("1"), answer("2")))
            await receiver.tried("msg_s1_2", 3)
        assert time.now > HOUR
        tries = [p.id for p in receiver.posted]
        assert tries.count("msg_s1_2") == 3  # its own attempts, and no other hour
    assert in_box(tmp_path, receiver.url) == ([], {"msg_s1_1": "HTTP 503", "msg_s1_2": "HTTP 503"})
    assert told == [
        "the receiver is down (HTTP 503); messages wait in the outbox meanwhile",
        "2 messages not delivered: HTTP 503; kept as dead letters (`outbox list`)",
    ]


async def test_a_message_that_is_refused_becomes_a_dead_letter_and_holds_up_no_other(
    tmp_path: Path,
) -> None:
    async with Receiver([Answer(400)] * 3) as receiver:
        async with opened(receiver.url, on_disk(tmp_path)) as (sink, told):
            await sink.emit(entries(answer("bad"), answer("good")))
            await told.heard("delivers again")
        assert [p.id for p in receiver.posted] == ["msg_s1_1"] * 3 + ["msg_s1_2"]
    assert told == [
        "could not deliver 1 message: HTTP 400; kept as a dead letter (`outbox list`); "
        "others are still tried",
        "delivers again",
    ]
    assert in_box(tmp_path, receiver.url) == ([], {"msg_s1_1": "HTTP 400"})


async def test_an_outage_does_not_count_against_a_message_that_is_refused_after_it(
    tmp_path: Path,
) -> None:
    async with Receiver([*[Answer(503)] * 5, Answer(400), Answer(200)]) as receiver:
        async with opened(receiver.url, on_disk(tmp_path)) as (sink, _):
            await sink.emit(entries(answer("1")))
            await receiver.received(7)
        assert len(receiver.accepted) == 1


async def test_410_makes_dead_letters_of_all_that_waits_and_of_all_that_comes(
    tmp_path: Path,
) -> None:
    async with Receiver([Answer(200), Answer(410)]) as receiver:
        async with opened(receiver.url, on_disk(tmp_path)) as (sink, told):
            await sink.emit(entries(answer("1"), answer("2"), answer("3")))
            await told.heard("wants nothing more")
            await sink.emit(entries(answer("4"), start=4))
        assert len(receiver.posted) == 2
    assert in_box(tmp_path, receiver.url) == ([], {f"msg_s1_{n}": "HTTP 410" for n in (2, 3, 4)})
    assert told[1:] == ["3 messages not delivered: HTTP 410; kept as dead letters (`outbox list`)"]


async def test_410_at_the_end_of_a_run_makes_dead_letters_of_what_is_left(tmp_path: Path) -> None:
    async with Receiver([Answer(410)]) as receiver:
        async with opened(receiver.url, on_disk(tmp_path)) as (sink, told):
            await sink.emit(entries(answer("1"), answer("2")))
        assert len(receiver.posted) == 1
    assert in_box(tmp_path, receiver.url) == ([], {"msg_s1_1": "HTTP 410", "msg_s1_2": "HTTP 410"})
    assert told[-1] == "2 messages not delivered: HTTP 410; kept as dead letters (`outbox list`)"


async def test_two_runs_at_once_send_each_message_once_and_each_session_in_order(
    tmp_path: Path,
) -> None:
    async with Receiver() as receiver:
        options = on_disk(tmp_path)
        async with (
            opened(receiver.url, options, session="a") as (one, _),
            opened(receiver.url, options, session="b") as (other, _),
        ):
            for seq in range(1, 31):
                await asyncio.gather(
                    *(sink.emit(entries(answer("x"), start=seq)) for sink in (one, other))
                )
        ids = [p.id for p in receiver.posted]
    for session in "ab":
        own = [each for each in ids if each.startswith(f"msg_{session}_")]
        assert own == [f"msg_{session}_{seq}" for seq in range(1, 31)]
    assert len(ids) == 60


async def test_two_runs_of_one_session_send_each_message_once_and_in_order(
    tmp_path: Path,
) -> None:
    """A recording that is replayed while its run still goes on."""
    async with Receiver() as receiver:
        options = on_disk(tmp_path)
        async with opened(receiver.url, options) as (first, _):
            await first.emit(entries(answer("1")))
            await receiver.received(1)
            async with opened(receiver.url, options) as (second, _):
                for seq in range(2, 40):
                    await second.emit(entries(answer("x"), start=seq))
        # The first sends it all: at the latest when it closes, and looks once more.
        assert [p.id for p in receiver.posted] == [f"msg_s1_{seq}" for seq in range(1, 40)]


async def test_a_run_whose_session_another_run_sends_leaves_it_to_that(tmp_path: Path) -> None:
    async with Receiver() as receiver:
        path = outbox_path(outbox_folder(str(tmp_path)), receiver.url)
        path.parent.mkdir(parents=True)
        other = Claims(path)
        assert other.take("s1")
        async with opened(receiver.url, on_disk(tmp_path)) as (sink, told):
            await sink.emit(entries(answer("1")))
            queue: Any = sink._queue
            async with asyncio.timeout(10):
                while not queue._is_caught_up:  # it has looked, and found that another run sends
                    await queue._do(lambda: None)
            await sink.emit(entries(answer("2"), start=2))
        assert receiver.posted == []
        assert told[0].startswith("2 messages not delivered: another run sends them; ")
        async with opened(receiver.url, on_disk(tmp_path)) as (sink, told):
            await sink.emit(entries(answer("3"), start=3))
            other.release_all()
            await sink.emit(entries(answer("4"), start=4))
        assert [p.id for p in receiver.posted] == [f"msg_s1_{seq}" for seq in range(1, 5)]
        assert told == []


async def test_what_waits_already_is_not_sent_twice_by_a_replay(tmp_path: Path) -> None:
    receiver = Receiver()
    async with receiver:
        pass
    async with opened(receiver.url, on_disk(tmp_path, drain=0.05)) as (sink, _):
        await sink.emit(entries(answer("1"), answer("2")))
    async with receiver:
        async with opened(receiver.url, on_disk(tmp_path)) as (sink, _):
            await sink.emit(entries(answer("1"), answer("2"), answer("3")))
        assert sorted({p.id for p in receiver.posted}) == ["msg_s1_1", "msg_s1_2", "msg_s1_3"]


async def test_a_replay_sends_dead_letters_again(tmp_path: Path) -> None:
    async with Receiver([Answer(400)] * 3) as receiver:
        async with opened(receiver.url, on_disk(tmp_path)) as (sink, told):
            await sink.emit(entries(answer("1")))
            await told.heard("could not deliver")
        async with opened(receiver.url, on_disk(tmp_path)) as (sink, _):
            await sink.emit(entries(answer("1")))
        assert [p.id for p in receiver.accepted] == ["msg_s1_1"]
    assert in_box(tmp_path, receiver.url) == ([], {})


# --- a full outbox ---------------------------------------------------------------------------


async def test_a_full_outbox_makes_the_run_wait_until_there_is_room(tmp_path: Path) -> None:
    receiver = Receiver()
    async with receiver:
        pass
    options = on_disk(tmp_path, outbox_messages=2, full_wait=60)
    async with opened(receiver.url, options) as (sink, told):
        await sink.emit(entries(answer("1"), answer("2")))
        waiting = asyncio.create_task(sink.emit(entries(answer("3"), start=3)))
        await told.heard("the outbox is full (3 messages")
        assert not waiting.done()
        async with receiver:
            async with asyncio.timeout(10):
                await waiting
            await receiver.received(3)
    assert [p.id for p in receiver.accepted] == ["msg_s1_1", "msg_s1_2", "msg_s1_3"]


async def test_it_is_full_at_so_many_bytes_too(tmp_path: Path) -> None:
    async with Receiver([Answer(hangs=True)]) as receiver:
        options = on_disk(tmp_path, outbox_bytes=500, full_wait=60, drain=0.05, timeout=60)
        async with opened(receiver.url, options) as (sink, told):
            waiting = asyncio.create_task(sink.emit(entries(answer("x" * 500))))
            await told.heard("the outbox is full (1 messages")
            sink.hurry()
            async with asyncio.timeout(10):
                await waiting
        assert in_box(tmp_path, receiver.url)[0] == ["msg_s1_1"]


async def test_where_no_room_comes_in_time_messages_become_dead_letters_and_it_is_told(
    tmp_path: Path,
) -> None:
    async with Receiver([Answer(hangs=True)]) as receiver:
        options = on_disk(tmp_path, outbox_messages=1, full_wait=0.05, drain=0.05, timeout=60)
        async with opened(receiver.url, options) as (sink, told):
            for seq in range(1, 5):
                async with asyncio.timeout(5):
                    await sink.emit(entries(answer("x"), start=seq))
        waiting, dead = in_box(tmp_path, receiver.url)
    assert waiting == ["msg_s1_1", "msg_s1_2"]  # one more than may: it was put before the wait
    # Dead letters have a limit, too, and the newest is always kept.
    assert dead == {"msg_s1_4": "the outbox was full for 0.05 s"}
    assert told[0].startswith("the outbox is full (2 messages, ")
    assert told[1] == (
        "could not deliver 1 message: the outbox was full for 0.05 s; kept as a dead letter "
        "(`outbox list`); others are still tried"
    )
    assert "2 messages not delivered: there is room for no more dead letters" in told[2]
    assert "1 of them kept as dead letters" in told[2]


async def test_the_end_of_a_run_waits_for_no_room(tmp_path: Path) -> None:
    """The actor of the sink says so, while `emit` still waits."""
    async with Receiver([Answer(hangs=True)]) as receiver:
        options = on_disk(tmp_path, outbox_messages=1, full_wait=600, drain=0.05, timeout=60)
        told = Told()
        sink = WebhookSink(receiver.url, options, session="s1", on_problem=told)
        actor = SinkActor(sink, Mailbox[Entry](MailboxOptions()), on_failure=pytest.fail)
        running = asyncio.create_task(actor.run())
        for entry in entries(answer("1"), answer("2")):
            actor.put(entry)
        await told.heard("the outbox is full")
        actor.put(entries(Problem(where="x", detail="last"), start=3)[0])
        actor.finish()
        async with asyncio.timeout(10):
            await running
    assert in_box(tmp_path, receiver.url)[0] == ["msg_s1_1", "msg_s1_2", "msg_s1_3"]


# --- a disk that fails -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: path.write_bytes(b"no database" * 100), "file is not a database"),
        (lambda path: path.write_bytes(b"x") and path.chmod(0o644), "others may read it"),
        (lambda path: path.symlink_to("/etc/passwd"), "it is no ordinary file"),
        (lambda path: path.mkdir(), "it is no ordinary file"),
        (lambda path: path.with_name(f"{path.stem}.s1.lock").mkdir(), "cannot be locked"),
    ],
)
async def test_an_outbox_that_cannot_be_used_is_told_and_messages_wait_in_memory(
    tmp_path: Path, spoil: Callable[[Path], Any], words: str
) -> None:
    async with Receiver() as receiver:
        path = outbox_path(outbox_folder(str(tmp_path)), receiver.url)
        path.parent.mkdir(parents=True)
        spoil(path)
        if path.is_file() and words == "file is not a database":
            path.chmod(0o600)
        async with opened(receiver.url, on_disk(tmp_path)) as (sink, told):
            await sink.emit(entries(answer("1")))
        assert [p.id for p in receiver.accepted] == ["msg_s1_1"]
    assert len(told) == 1
    assert words in told[0]
    assert told[0].endswith("; messages wait in memory, for this run only")


async def test_a_folder_that_cannot_be_made_is_told_and_messages_wait_in_memory(
    tmp_path: Path,
) -> None:
    (tmp_path / "rxmcp").write_text("in the way")
    async with Receiver() as receiver:
        async with opened(receiver.url, on_disk(tmp_path)) as (sink, told):
            await sink.emit(entries(answer("1")))
        assert len(receiver.accepted) == 1
    assert "messages wait in memory" in told[0]


async def on_its_thread(sink: WebhookSink, sql: str) -> None:
    """Do something to the open database of a sink."""
    queue: Any = sink._queue
    await queue._do(lambda: queue._opened()._outbox._db.execute(sql).fetchall())


async def test_a_disk_that_fills_up_is_told_once_and_deliveries_go_on_from_memory(
    tmp_path: Path,
) -> None:
    receiver = Receiver()
    async with receiver:
        pass
    async with opened(receiver.url, on_disk(tmp_path)) as (sink, told):
        await sink.emit(entries(answer("1")))
        await on_its_thread(sink, "PRAGMA max_page_count = 1")
        await sink.emit(entries(answer("x" * 100_000), start=2))
        await sink.emit(entries(answer("3"), start=3))
        async with receiver:
            await receiver.received(3)
            assert [p.id for p in receiver.accepted] == ["msg_s1_1", "msg_s1_2", "msg_s1_3"]
    (words,) = [text for text in told if "disk is full" in text]
    assert words.endswith("from now on messages wait in memory, for this run only")


async def test_where_the_disk_fails_what_is_in_memory_is_lost_at_the_end_and_told_apart(
    tmp_path: Path,
) -> None:
    async with Receiver([Answer(hangs=True)]) as receiver:
        options = on_disk(tmp_path, drain=0.05, timeout=60)
        async with opened(receiver.url, options) as (sink, told):
            await sink.emit(entries(answer("kept")))
            await receiver.received(1)
            await on_its_thread(sink, "PRAGMA query_only = 1")
            await sink.emit(entries(answer("x"), answer("y"), start=2))
    assert "readonly database" in told[0]
    assert told[1] == "2 messages not delivered: there was no time left"
    assert told[2].startswith("1 message not delivered: there was no time left; the next run")
    assert in_box(tmp_path, receiver.url)[0] == ["msg_s1_1"]


async def test_what_cannot_be_marked_is_sent_again_by_the_next_run_and_not_by_this_one(
    tmp_path: Path,
) -> None:
    async with Receiver([Answer(hangs=True)]) as receiver:
        options = on_disk(tmp_path, timeout=0.5)
        async with opened(receiver.url, options) as (sink, told):
            await sink.emit(entries(*[answer("x")] * 3))
            await receiver.received(1)
            await on_its_thread(sink, "PRAGMA query_only = 1")
        # Each once, but the first, which was not answered at first.
        assert [p.id for p in receiver.posted[1:]] == ["msg_s1_1", "msg_s1_2", "msg_s1_3"]
        assert any("readonly database" in text for text in told)
        async with opened(receiver.url, on_disk(tmp_path)):
            pass
        assert len(receiver.posted) == 7
    assert in_box(tmp_path, receiver.url) == ([], {})


async def test_an_outbox_that_cannot_be_read_any_more_is_left_alone(tmp_path: Path) -> None:
    async with Receiver([Answer(hangs=True)]) as receiver:
        options = on_disk(tmp_path, timeout=0.5)
        async with opened(receiver.url, options) as (sink, told):
            await sink.emit(entries(*[answer("x")] * 70))
            await receiver.received(1)
            await on_its_thread(sink, "ALTER TABLE messages RENAME TO gone")
            await sink.emit(entries(answer("later"), start=100))
            await receiver.received(2 + 64)
        assert receiver.accepted[-1].id == "msg_s1_100"
    assert any("no such table" in text for text in told)


# --- a run that goes on ------------------------------------------------------------------------


async def test_a_run_that_goes_on_knows_which_entries_never_came_to_its_outbox(
    tmp_path: Path,
) -> None:
    async with Receiver() as receiver:
        options = on_disk(tmp_path)
        async with opened(receiver.url, options) as (sink, _):
            await sink.emit(entries(answer("1"), answer("2")))
            assert not sink.lacks(1)  # a run that begins has nothing behind it
        again = WebhookSink(receiver.url, options, session="s1", on_problem=pytest.fail)
        again.goes_on(5)
        await again.open()
        assert [again.lacks(seq) for seq in range(1, 6)] == [False, False, True, True, True]
        await again.emit(entries(answer("3"), RunEnded(code=0), start=4))
        await again.close()
        # It has come to its end: nothing of it is missing, whatever goes on after it.
        third = WebhookSink(receiver.url, options, session="s1", on_problem=pytest.fail)
        third.goes_on(9)
        await third.open()
        assert not third.lacks(9)
        await third.close()


async def test_a_webhook_that_the_earlier_run_had_not_lacks_nothing_of_it(tmp_path: Path) -> None:
    async with Receiver() as receiver:
        for outbox in ("disk", "memory"):
            options = on_disk(tmp_path, outbox=outbox)
            sink = WebhookSink(receiver.url, options, session="s1", on_problem=pytest.fail)
            sink.goes_on(5)
            await sink.open()
            assert not any(sink.lacks(seq) for seq in range(1, 6))
            await sink.close()


# --- who sends -------------------------------------------------------------------------------


async def test_a_session_whose_run_goes_on_is_left_to_it(tmp_path: Path) -> None:
    receiver = Receiver()
    async with receiver:
        path = outbox_path(outbox_folder(str(tmp_path)), receiver.url)
    async with opened(receiver.url, on_disk(tmp_path, drain=0.05), session="a") as (sink, _):
        await sink.emit(entries(answer("1")))
    other = Claims(path)
    assert other.take("a")
    async with receiver:
        async with opened(receiver.url, on_disk(tmp_path), session="b") as (sink, told):
            await sink.emit(entries(answer("2")))
        assert [p.id for p in receiver.posted] == ["msg_b_1"]
        assert told == []
    other.release_all()
    assert in_box(tmp_path, receiver.url)[0] == ["msg_a_1"]


async def test_a_database_that_another_program_holds_is_waited_for(tmp_path: Path) -> None:
    async with Receiver() as receiver, opened(receiver.url, on_disk(tmp_path)) as (sink, told):
        path = outbox_path(outbox_folder(str(tmp_path)), receiver.url)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        emitting = asyncio.create_task(sink.emit(entries(answer("1"))))
        done, _ = await asyncio.wait([emitting], timeout=0.2)
        assert not done
        other.execute("COMMIT")
        other.close()
        async with asyncio.timeout(10):
            await emitting
        await receiver.received(1)
    assert told == []


async def test_an_opening_that_is_cancelled_leaves_nothing_locked(tmp_path: Path) -> None:
    async with Receiver() as receiver:
        path = outbox_path(outbox_folder(str(tmp_path)), receiver.url)
        async with opened(receiver.url, on_disk(tmp_path)):
            pass
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("PRAGMA user_version = 0")  # so that opening has something to write
        other.execute("BEGIN IMMEDIATE")
        sink = WebhookSink(receiver.url, on_disk(tmp_path), session="s1", on_problem=pytest.fail)
        opening = asyncio.create_task(sink.open())
        await asyncio.wait([opening], timeout=0.2)
        opening.cancel()
        await asyncio.wait([opening])
        assert opening.cancelled()
        other.execute("ROLLBACK")
        other.execute(f"PRAGMA user_version = {1}")
        other.close()
        await sink.close()
        async with opened(receiver.url, on_disk(tmp_path)) as (again, told):
            await again.emit(entries(answer("1")))
            await receiver.received(1)
        assert told == []


async def test_410_where_the_disk_has_failed_too_loses_what_is_in_memory_and_says_so(
    tmp_path: Path,
) -> None:
    async with (
        Receiver([Answer(hangs=True), Answer(410)]) as receiver,
        opened(receiver.url, on_disk(tmp_path, timeout=0.5)) as (sink, told),
    ):
        await sink.emit(entries(answer("1")))
        await receiver.received(1)
        await on_its_thread(sink, "PRAGMA query_only = 1")
        await sink.emit(entries(answer("2"), answer("3"), start=2))
        await told.heard("wants nothing more")
        await sink.emit(entries(answer("4"), start=4))
    assert any(text.startswith("3 messages not delivered") for text in told), told
    assert in_box(tmp_path, receiver.url) == (["msg_s1_1"], {})


async def test_a_dead_letter_that_cannot_be_marked_waits_for_the_next_run(tmp_path: Path) -> None:
    async with Receiver([Answer(400)] * 2 + [Answer(hangs=True), Answer(400)]) as receiver:
        options = on_disk(tmp_path, timeout=0.5, attempts=2)
        async with opened(receiver.url, options) as (sink, told):
            await sink.emit(entries(answer("1"), answer("2")))
            await receiver.received(3)
            await on_its_thread(sink, "PRAGMA query_only = 1")
            await receiver.received(4)
        assert any("readonly database" in text for text in told)
    waiting, dead = in_box(tmp_path, receiver.url)
    assert (waiting, list(dead)) == (["msg_s1_2"], ["msg_s1_1"])

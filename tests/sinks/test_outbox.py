"""The file of an outbox: what it keeps through crashes, in which order, and within which limits."""

import contextlib
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sinks.outbox import Limits, Outbox
from sinks.outbox_place import Claims, OutboxError, outbox_folder, outbox_path
from sinks.standard_webhooks import Message, message_id

ROOT = Path(__file__).parents[2]
URL = "https://me:hunter2@hooks.test/T00/s3cret?key=s3cret"
AT = "2026-11-24T06:28:23+00:00"
MANY = Limits(1000, 2**20)


def message(seq: int, session: str = "s", body: bytes = b"{}") -> Message:
    return Message(message_id(session, seq), body, session, seq)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return outbox_path(outbox_folder(str(tmp_path)), URL)


@contextlib.contextmanager
def opened(path: Path, limits: Limits = MANY) -> Iterator[Outbox]:
    with Outbox(path, "https://hooks.test/…#1", limits) as box:
        yield box


def ids(box: Outbox, session: str = "s", after: int = -1, most: int = 100) -> list[str]:
    return [each.id for each in box.waiting(session, after=after, most=most)]


def test_what_was_added_is_there_for_whoever_opens_it_next(path: Path) -> None:
    body = b'{"text": "gr\xc3\xbc\xc3\x9fe"}'
    with opened(path) as box:
        assert box.add([message(2, body=body), message(1)])[0] == 2
    with opened(path) as box:
        assert box.waiting("s", after=-1, most=9) == [message(1), message(2, body=body)]
        assert box.shown == "https://hooks.test/…#1"


def test_messages_come_in_the_order_of_their_session_and_sessions_in_that_of_their_first(
    path: Path,
) -> None:
    with opened(path) as box:
        box.add([message(9, "b"), message(10, "b"), message(2, "a"), message(3, "b")])
        assert box.sessions() == ["b", "a"]
        assert ids(box, "b") == ["msg_b_3", "msg_b_9", "msg_b_10"]
        assert ids(box, "b", after=3, most=1) == ["msg_b_9"]
        assert box.count(["a", "b", "unknown"]) == 4


def test_what_is_delivered_is_forgotten(path: Path) -> None:
    with opened(path) as box:
        box.add([message(1), message(2)])
        box.delivered(message(1))
        box.delivered(message(1))
        assert ids(box) == ["msg_s_2"]
        assert box.totals() == (1, 2, 0, 0)


def test_a_message_that_waits_stays_as_it_is_when_it_is_added_again(path: Path) -> None:
    with opened(path) as box:
        box.add([message(1, body=b"first")])
        added, totals = box.add([message(1, body=b"other"), message(2)])
        assert (added, totals.waiting) == (1, 2)
        assert box.waiting("s", after=-1, most=1)[0].body == b"first"


def test_a_dead_letter_has_its_reason_and_waits_again_when_it_is_added_again(path: Path) -> None:
    with opened(path) as box:
        box.add([message(1), message(2)])
        assert box.bury([message(1)], "HTTP 400", AT) == 0
        assert box.dead_letters() == [(message(1), "HTTP 400", AT)]
        assert ids(box) == ["msg_s_2"]
        assert box.add([message(1)])[0] == 1
        assert box.dead_letters() == []
        assert ids(box) == ["msg_s_1", "msg_s_2"]


def test_dead_letters_can_be_revived_or_dropped_and_what_waits_is_not_touched(path: Path) -> None:
    with opened(path) as box:
        box.add([message(1)])
        box.add_dead([message(2), message(3)], "HTTP 410", AT)
        assert box.revive() == 2
        assert ids(box) == ["msg_s_1", "msg_s_2", "msg_s_3"]
        assert box.bury_sessions(["s"], "HTTP 410", AT) == (3, 0)
        box.add([message(4)])
        assert box.drop() == 3
        assert (ids(box), box.dead_letters()) == (["msg_s_4"], [])


@pytest.mark.parametrize("limits", [Limits(2, 2**20), Limits(100, 25)])
def test_of_too_many_dead_letters_the_oldest_go_and_are_counted(path: Path, limits: Limits) -> None:
    with opened(path, limits) as box:
        letters = [message(seq, body=b"0123456789") for seq in range(1, 5)]
        assert box.add_dead(letters[:2], "x", AT) == 0
        assert box.add_dead(letters[2:], "x", AT) == 2
        assert [letter.message.seq for letter in box.dead_letters()] == [3, 4]


def test_the_newest_dead_letter_is_kept_however_big_it_is(path: Path) -> None:
    with opened(path, Limits(10, 5)) as box:
        box.add([message(1, body=b"0123456789"), message(2, body=b"0123456789")])
        assert box.bury([message(1), message(2)], "x", AT) == 1
        assert [letter.message.seq for letter in box.dead_letters()] == [2]


@pytest.mark.parametrize(
    ("limits", "is_full"), [(Limits(2, 20), False), (Limits(1, 99), True), (Limits(9, 19), True)]
)
def test_it_is_full_when_more_waits_than_may(path: Path, limits: Limits, *, is_full: bool) -> None:
    with opened(path, limits) as box:
        _, totals = box.add([message(1, body=b"0123456789"), message(2, body=b"0123456789")])
        assert box.is_full(totals) is is_full


def test_it_knows_up_to_where_a_run_that_was_cut_off_had_put_its_messages(path: Path) -> None:
    with opened(path) as box:
        assert box.begin("s", 0) == 0
        box.add([message(3), message(7)])
        box.delivered(message(3))
        box.add_dead([message(9)], "x", AT)
        box.add([message(4)])  # a replay puts older ones again
    with opened(path) as box:
        assert box.begin("s", 12) == 9
        box.end("s", 8)  # that is not its last one
        assert box.begin("s", 12) == 9
        box.end("s", 12)
        assert box.begin("s", 20) == 20
        assert box.begin("another", 5) == 5


def test_what_it_knows_of_runs_is_bounded(path: Path) -> None:
    with opened(path) as box:
        box.begin("first", 0)
        for number in range(1000):
            box.begin(f"run-{number}", 0)
        assert box.begin("run-0", 7) == 0
        assert box.begin("first", 7) == 7  # forgotten


# --- the file ---------------------------------------------------------------------------------


def test_only_its_owner_may_read_it_and_its_name_tells_nothing(path: Path) -> None:
    with opened(path) as box:
        box.add([message(1)])
        files = list(path.parent.iterdir())
        assert len(files) == 3  # and the two of its log
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert b"hunter2" not in path.read_bytes()
    assert not [word for word in ("hunter2", "s3cret", "hooks") if word in path.name]
    assert path != outbox_path(path.parent, URL + "x")


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("PRAGMA user_version = 99", "found version 99, expected 1 or less: a newer rxmcp has"),
        ("PRAGMA application_id = 7", "it is no outbox of rxmcp; move it away"),
    ],
)
def test_a_database_that_is_no_outbox_of_ours_is_refused_and_left_as_it_is(
    path: Path, sql: str, words: str
) -> None:
    with opened(path) as box:
        box.add([message(1)])
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(sql)
        db.commit()
    before = path.read_bytes()

    with pytest.raises(OutboxError) as caught:
        Outbox(path, "", MANY)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == before


def test_an_empty_database_of_another_program_is_refused(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.touch(0o600)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 1")
    with pytest.raises(OutboxError, match="it is no outbox of rxmcp"):
        Outbox(path, "", MANY)


def test_a_damaged_file_is_told_with_what_to_do(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.touch(0o600)
    path.write_bytes(b"what is this? " * 100)
    with pytest.raises(OutboxError, match=r"file is not a database\); move it away"):
        Outbox(path, "", MANY)


def test_a_file_that_others_may_read_is_refused(path: Path) -> None:
    with opened(path):
        pass
    path.chmod(0o640)
    with pytest.raises(OutboxError, match="others may read it"):
        Outbox(path, "", MANY)


def test_an_always_flushed_one_waits_for_the_disk(path: Path) -> None:
    def level(*, is_flushed: bool) -> int:
        with Outbox(path, "", MANY, is_flushed=is_flushed) as box:
            return int(box._db.execute("PRAGMA synchronous").fetchone()[0])

    assert (level(is_flushed=True), level(is_flushed=False)) == (2, 1)  # FULL, NORMAL


def test_what_an_outage_has_filled_is_given_back_to_the_disk(path: Path) -> None:
    with opened(path, Limits(1000, 2**30)) as box:
        box.add([message(seq, body=b"x" * 100_000) for seq in range(100)])
    full = path.stat().st_size
    with opened(path) as box:
        for seq in range(100):
            box.delivered(message(seq))
    assert path.stat().st_size < full / 10


def test_many_that_open_a_new_one_at_once_all_get_it(path: Path) -> None:
    start = threading.Barrier(8)

    def work(number: int) -> None:
        start.wait(timeout=10)
        with opened(path) as box:
            box.add([message(number)])

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))
    with opened(path) as box:
        assert box.totals().waiting == 8


def test_a_change_that_fails_changes_nothing(path: Path) -> None:
    with opened(path) as box:
        box.add([message(1)])
        box._db.execute("PRAGMA max_page_count = 1")
        with pytest.raises(OutboxError, match=r"it cannot be written .*full"):
            box.add([message(2), message(3, body=b"x" * 100_000)])
        assert ids(box) == ["msg_s_1"]
    with opened(path) as box:
        assert ids(box) == ["msg_s_1"]


_WRITER = """
import sys
from pathlib import Path
from sinks.outbox import Limits, Outbox
from sinks.standard_webhooks import Message, message_id

box = Outbox(Path(sys.argv[1]), "", Limits(10**6, 2**30))
for seq in range(10**6):
    batch = [Message(message_id("s", n), b"x" * 3000, "s", n) for n in (2 * seq, 2 * seq + 1)]
    box.add(batch)
    print(seq, flush=True)
    if seq % 3 == 2:
        box.delivered(batch[0])
"""


@pytest.mark.parametrize("acknowledged", [0, 1, 2, 3, 5, 8, 13, 40, 100, 300])
def test_what_was_acknowledged_survives_kill_9_whole(path: Path, acknowledged: int) -> None:
    """It goes on writing until it dies, somewhere in one of the writes after this one."""
    command = [sys.executable, "-c", _WRITER, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        seen = -1
        while seen < acknowledged:
            seen = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().split()
    seen = int(rest[-1]) if rest and rest[-1].isdigit() else seen
    with opened(path, Limits(10**6, 2**30)) as box:
        assert box._db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        kept = {each.seq for each in box.waiting("s", after=-1, most=10**6)}
    expected = {
        n
        for seq in range(seen + 1)
        for n in (2 * seq, 2 * seq + 1)
        if not (seq % 3 == 2 and n == 2 * seq)
    }
    maybe = {2 * seen} if seen % 3 == 2 else set[int]()  # taken away or not yet
    assert expected <= kept | maybe
    # A batch is there whole, or not at all; one more may have been written unheard.
    assert len([n for n in kept if n > 2 * seen + 1]) in (0, 2)


# --- who sends ---------------------------------------------------------------------------------


def test_a_session_belongs_to_one_run_until_that_lets_go_of_it(path: Path) -> None:
    path.parent.mkdir(parents=True)
    one, other = Claims(path), Claims(path)
    assert one.take("a")
    assert one.take("a")
    assert not other.take("a")
    assert other.take("b")
    assert (one.held, other.held) == (("a",), ("b",))
    one.release("a")
    one.release("a")
    assert other.take("a")
    other.release_all()
    assert list(path.parent.iterdir()) == []


def test_a_session_is_free_when_its_run_is_killed(path: Path) -> None:
    path.parent.mkdir(parents=True)
    script = (
        "import sys, time; from pathlib import Path; from sinks.outbox_place import Claims;"
        "claims = Claims(Path(sys.argv[1])); print(claims.take('a'), flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", script, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        claims = Claims(path)
        assert not claims.take("a")
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert claims.take("a")
    claims.release_all()


def test_a_lock_that_cannot_be_made_is_told(path: Path) -> None:
    with pytest.raises(OutboxError, match="cannot be locked: No such file"):
        Claims(path).take("a")


def test_a_lock_file_that_cannot_be_taken_away_is_left(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.parent.mkdir(parents=True)
    claims = Claims(path)
    assert claims.take("a")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        claims.release("a")
    other = Claims(path)
    assert other.take("a")
    other.release_all()


def test_without_a_home_it_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(OutboxError, match="no home to keep an outbox in; set XDG_STATE_HOME"):
        outbox_folder("")

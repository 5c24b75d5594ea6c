"""Messages to a webhook from one process to the next: crashes, outages, the command `outbox`."""

import asyncio
import contextlib
import json
import signal
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from pipeline.core.codec import Entry, to_json
from pipeline.core.commands import Item
from pipeline.shell.recordings import last_run
from sinks.outbox_place import outbox_folder, outbox_path
from sinks.webhook import DELIVERED, WebhookSink
from tests.faults.dialects import CALL, FLAGS
from tests.faults.exchange import Exchange, On
from tests.faults.good import accept, answer, end
from tests.faults.good import run as execute
from tests.faults.switchboard import switchboard
from tests.support.in_process import play
from tests.support.ports import free_port
from tests.support.program import Ended, run, running
from tests.support.receiver import Answer, Posted, Receiver
from tests.support.webhooks import on_disk

ROOT = Path(__file__).parents[2]
PROMPT = b"add a=2 b=3\n"
KINDS = ["session_ready", "tool_ended", "answer_completed", "run_ended"]
ONCE = {"RXMCP_WEBHOOK_DRAIN": "5", "RXMCP_WEBHOOK_ATTEMPTS": "1"}


def file_of(home: Path, url: str) -> Path:
    return outbox_path(outbox_folder(str(home / ".local" / "state")), url)


async def chat(url: str, cwd: Path, env: Mapping[str, str] | None = None) -> Ended:
    sinks = ("--sink", "console", "--sink", f"webhook={url}")
    ended = await run(*sinks, cwd=cwd, stdin=PROMPT, env=env)
    assert (ended.code, ended.out) == (0, "5\n")
    return ended


def wants(item: Item) -> bool:
    return isinstance(item, DELIVERED)


def kinds(receiver: Receiver) -> list[str]:
    """What was taken, but for words about the webhook itself."""
    taken = [posted.json["type"] for posted in receiver.accepted]
    return [kind for kind in taken if kind != "problem"]


async def outbox(action: str, url: str | None, cwd: Path, *more: str) -> Ended:
    sink = () if url is None else ("--sink", f"webhook={url}")
    return await run("outbox", action, *sink, *more, cwd=cwd, env=ONCE)


async def test_what_a_killed_run_had_for_a_webhook_the_next_run_delivers(tmp_path: Path) -> None:
    async with Receiver([Answer(hangs=True)]) as receiver:
        sinks = ("--sink", "console", "--sink", f"webhook={receiver.url}")
        async with running(*sinks, cwd=tmp_path) as program:
            await program.say(PROMPT)
            await program.answered("5\n")
            # Before the next one is asked for, the outbox has what led to it.
            await program.say("add a=3 b=3\n")
            await program.answered("6\n")
            program.signal(signal.SIGKILL)
            await program.ended()
        session = receiver.posted[0].json["data"]["session"]
        await chat(receiver.url, tmp_path)
        taken = [posted.json for posted in receiver.accepted]
    old = [each for each in taken if each["data"]["session"] == session]
    assert [each["type"] for each in old][:3] == KINDS[:3]
    assert taken[: len(old)] == old, "the older run's come first"
    assert [each["type"] for each in taken[len(old) :]] == KINDS
    seqs = [each["data"]["seq"] for each in old]
    assert seqs == sorted(set(seqs))


async def test_a_resumed_run_brings_to_the_webhook_what_never_came_to_the_outbox(
    tmp_path: Path,
) -> None:
    """The outbox is put back by one message, as if the kill had come between the two disks."""
    async with Receiver([Answer(hangs=True)]) as receiver:
        hook = f"webhook={receiver.url}"
        sinks = ("--sink", "console", "--sink", "jsonl=run.jsonl", "--sink", hook)
        async with running(*sinks, cwd=tmp_path) as program:
            await program.say(PROMPT)
            await program.answered("5\n")
            await program.say("add a=3 b=3\n")
            await program.answered("6\n")
            program.signal(signal.SIGKILL)
            await program.ended()
        path = file_of(tmp_path, receiver.url)
        with contextlib.closing(sqlite3.connect(path)) as box:
            box.execute("DELETE FROM messages WHERE seq = (SELECT max(seq) FROM messages)")
            box.execute("UPDATE runs SET seq = (SELECT max(seq) FROM messages)")
            box.commit()
        words = ("resume", "run.jsonl", "--sink", "console", "--sink", hook)
        ended = await run(*words, cwd=tmp_path, stdin=PROMPT)
        assert ended.code == 0, ended.err
        got = [(each.json["data"]["seq"], each.json["type"]) for each in receiver.accepted]
    items = last_run(tmp_path / "run.jsonl").entries()
    wanted = [(each.seq, to_json(each.item)["kind"]) for each in items if wants(each.item)]
    assert got == wanted
    assert len(wanted) >= 8


class SlowOutbox(WebhookSink):
    """An outbox that takes longer than a message to a server would."""

    async def emit(self, entries: Sequence[Entry]) -> None:
        for _ in range(50):
            await asyncio.sleep(0)
        await super().emit(entries)


async def test_the_outbox_has_the_end_of_a_call_before_the_next_one_is_made(tmp_path: Path) -> None:
    found: list[int] = []
    async with Receiver([Answer(hangs=True)]) as receiver:

        async def look(_: Exchange) -> None:
            path = outbox_path(outbox_folder(str(tmp_path)), receiver.url)
            with contextlib.closing(sqlite3.connect(path)) as box:
                bodies = [json.loads(body) for (body,) in box.execute("SELECT body FROM messages")]
            found.append([body["type"] for body in bodies].count("tool_ended"))

        calls = [On(CALL, look, execute, accept, answer, end, n=n) for n in (1, 2)]
        async with switchboard("http", *calls) as server:
            sink = SlowOutbox(receiver.url, on_disk(tmp_path, drain=0), session="s", on_problem=str)
            words = ("--server", server.url, "--dialect", FLAGS["http"])
            played = await play(*words, prompts=["act n=1", "act n=2"], sinks=[sink])
    assert played.ended.code == 0
    assert found == [0, 1]


_SENDER = """
import asyncio, sys
from config.options import WebhookOptions
from pipeline.core.codec import Entry
from pipeline.core.events import AnswerCompleted
from sinks.webhook import WebhookSink

async def main() -> None:
    options = WebhookOptions(state_home=sys.argv[2])
    sink = WebhookSink(sys.argv[1], options, session="s1", on_problem=print)
    await sink.open()
    answer = AnswerCompleted(text="x", turns=1)
    at = "2026-11-24T06:28:23.000001Z"
    await sink.emit([Entry(seq, at, answer) for seq in range(int(sys.argv[3]))])
    if sys.argv[4] == "wait":
        await asyncio.sleep(60)
    await sink.close()

asyncio.run(main())
"""


async def sender(url: str, home: Path, count: int, then: str) -> asyncio.subprocess.Process:
    words = ("-c", _SENDER, url, str(home), str(count), then)
    return await asyncio.create_subprocess_exec(sys.executable, *words, cwd=ROOT)


class Picky(Receiver):
    """A receiver with an answer of its own for some kinds of messages."""

    def __init__(self, answers: Mapping[str, int]) -> None:
        super().__init__()
        self._by_kind = answers

    def answer(self, posted: Posted) -> Answer:
        return Answer(self._by_kind.get(posted.json["type"], 200))


class Locking(Receiver):
    """From the first delivery on, nobody can write to the outbox: no message can be marked."""

    def __init__(self, home: Path) -> None:
        super().__init__()
        self._home = home
        self.lock: sqlite3.Connection | None = None

    def answer(self, posted: Posted) -> Answer:  # noqa: ARG002  (the receiver's)
        if self.lock is None:
            path = outbox_path(outbox_folder(str(self._home)), self.url)
            self.lock = sqlite3.connect(path, isolation_level=None)
            self.lock.execute("BEGIN IMMEDIATE")
        return Answer(200)


async def test_a_crash_between_delivery_and_mark_makes_a_second_delivery_with_the_same_id(
    tmp_path: Path,
) -> None:
    async with Locking(tmp_path) as receiver:
        process = await sender(receiver.url, tmp_path, 2, "wait")
        try:
            # The second one is sent, so the first one's 200 has been heard.
            await receiver.received(2, seconds=30)
        finally:
            process.kill()
            await process.wait()
        assert receiver.lock is not None
        receiver.lock.close()
        assert [posted.id for posted in receiver.accepted] == ["msg_s1_0", "msg_s1_1"]
        again = await sender(receiver.url, tmp_path, 0, "end")
        assert await again.wait() == 0
        ids = [posted.id for posted in receiver.accepted]
        bodies = {posted.id: posted.body for posted in receiver.accepted}
        assert ids == ["msg_s1_0", "msg_s1_1", "msg_s1_0", "msg_s1_1"]
        assert all(bodies[posted.id] == posted.body for posted in receiver.accepted)


@pytest.mark.parametrize("died_after", [1, 7, 30])
async def test_however_far_a_sender_came_when_it_was_killed_nothing_is_missing(
    tmp_path: Path, died_after: int
) -> None:
    async with Receiver() as receiver:
        process = await sender(receiver.url, tmp_path, 60, "wait")
        try:
            await receiver.received(died_after, seconds=30)
        finally:
            process.kill()
            await process.wait()
        again = await sender(receiver.url, tmp_path, 0, "end")
        assert await again.wait() == 0
        ids = [posted.id for posted in receiver.accepted]
    assert set(ids) == {f"msg_s1_{seq}" for seq in range(60)}
    assert len(ids) <= 62, "two at most are sent once more"


async def test_what_is_left_is_listed_and_sent_on_request(tmp_path: Path) -> None:
    receiver = Receiver()
    async with receiver:
        pass  # now the port is known, and nobody listens
    sink = ("--sink", "console", "--sink", f"webhook={receiver.url}")
    async with running(*sink, cwd=tmp_path, env=ONCE) as program:
        await program.say(PROMPT)
        await program.answered("5\n")
        # One of the five is about the trouble itself.
        await program.told("connection refused")
        program.end_input()
        ended = await program.ended()
    assert "5 messages not delivered: connection refused; the next run" in ended.words
    listed = await outbox("list", None, tmp_path)
    assert listed.code == 0
    assert listed.out.startswith(f"http://127.0.0.1:{receiver.port}/…#")
    assert listed.out.endswith(": 5 messages waiting\n")
    refused = await outbox("send", receiver.url, tmp_path)
    assert refused.code == 1
    assert refused.out.endswith(": 0 messages delivered; 5 messages waiting: connection refused\n")
    async with receiver:
        sent = await outbox("send", receiver.url, tmp_path)
        assert kinds(receiver) == KINDS
    assert (sent.code, sent.err) == (0, "")
    assert sent.out.endswith(": 5 messages delivered\n")
    for action, url in (("list", None), ("list", receiver.url), ("send", receiver.url)):
        nothing = await outbox(action, url, tmp_path)
        assert nothing.code == 0
        assert "0 messages delivered" in nothing.out or "nothing waits" in nothing.out


async def test_dead_letters_are_listed_with_their_reasons_sent_again_and_dropped(
    tmp_path: Path,
) -> None:
    answers = {"session_ready": 400, "answer_completed": 422}
    async with Picky(answers) as receiver:
        ended = await chat(receiver.url, tmp_path, ONCE)
        assert "kept as " in ended.words
        assert "(`outbox list`)" in ended.words
        listed = await outbox("list", receiver.url, tmp_path)
        head, first, second = listed.out.splitlines()
        assert head.endswith(": 2 dead letters")
        assert "  session_ready  " in first
        assert first.endswith("  HTTP 400")
        assert "  answer_completed  " in second
        assert second.endswith("  HTTP 422")
        whole = await outbox("list", None, tmp_path, "--verbose")
        bodies = [json.loads(line) for line in whole.out.splitlines() if line.startswith("    {")]
        assert [body["type"] for body in bodies] == ["session_ready", "answer_completed"]
    async with receiver:
        del answers["session_ready"]
        half = await outbox("send", receiver.url, tmp_path)
        assert half.code == 1
        assert half.out.endswith(": 1 message delivered; 1 dead letter: HTTP 422\n")
        answers["answer_completed"] = 410
        gone = await outbox("send", receiver.url, tmp_path)
        assert gone.code == 1
        assert gone.err == "! the receiver wants nothing more (HTTP 410)\n"
        assert gone.out.endswith(": 0 messages delivered; 1 dead letter: HTTP 410\n")
    dropped = await outbox("drop", receiver.url, tmp_path)
    assert (dropped.code, dropped.err) == (0, "")
    assert dropped.out.endswith(": 1 dead letter dropped\n")
    assert "nothing waits" in (await outbox("list", None, tmp_path)).out


async def test_neither_the_address_nor_a_known_secret_is_in_any_file(tmp_path: Path) -> None:
    key, token = "kEy-0123456789-canary", "t0ken-0123456789-canary"
    url = f"http://127.0.0.1:{free_port()}/{token}?key={token}"
    env = {**ONCE, "RXMCP_WEBHOOK_DRAIN": "0.1", "MCP_API_KEY": key}
    sinks = ("--sink", "console", "--sink", f"webhook={url}")
    ended = await run(*sinks, cwd=tmp_path, stdin=f"echo message={key}\n".encode(), env=env)
    assert ended.code == 0
    path = file_of(tmp_path, url)
    assert path.exists()
    listed = await outbox("list", url, tmp_path, "--verbose")
    assert " messages waiting" in listed.out
    for file in path.parent.iterdir():
        assert key.encode() not in file.read_bytes()
        assert token.encode() not in file.read_bytes()
        assert token not in file.name
    assert b"[redacted:known:" in path.read_bytes()
    assert token not in ended.out + ended.err + listed.out + listed.err


async def test_without_a_place_for_the_outbox_a_chat_and_its_webhook_go_on(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file in the way")
    async with Receiver() as receiver:
        ended = await chat(receiver.url, tmp_path, {"XDG_STATE_HOME": str(tmp_path / "state")})
        assert kinds(receiver) == KINDS
    assert "messages wait in memory, for this run only" in ended.words


async def test_memory_is_a_choice(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/"
    env = {**ONCE, "RXMCP_WEBHOOK_OUTBOX": "memory", "RXMCP_WEBHOOK_DRAIN": "0.2"}
    ended = await chat(url, tmp_path, env)
    assert "messages not delivered: connection refused\n" in ended.words
    assert not file_of(tmp_path, url).exists()


async def test_an_outbox_that_is_damaged_is_told_and_the_others_are_listed(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/"
    await chat(url, tmp_path, {**ONCE, "RXMCP_WEBHOOK_DRAIN": "0.1"})
    bad = file_of(tmp_path, "http://other.test/")
    bad.write_bytes(b"no database" * 100)
    bad.chmod(0o600)
    listed = await outbox("list", None, tmp_path)
    assert listed.code == 1
    assert listed.err.startswith(f"! the outbox {str(bad)!r} cannot be used: ")
    assert listed.out.endswith(" messages waiting\n")
    for action in ("send", "drop"):
        ended = await outbox(action, "http://other.test/", tmp_path)
        assert (ended.code, ended.out) == (1, "")
        assert "file is not a database" in ended.words


async def test_a_secret_of_another_form_is_told_before_anything_is_sent(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/"
    await chat(url, tmp_path, {**ONCE, "RXMCP_WEBHOOK_DRAIN": "0.1"})
    env = {"RXMCP_WEBHOOK_SECRET": "whsec_hidden!"}
    ended = await run("outbox", "send", "--sink", f"webhook={url}", cwd=tmp_path, env=env)
    assert (ended.code, ended.out) == (2, "")
    assert "is not base64" in ended.words
    assert "hidden" not in ended.err


async def test_ctrl_c_ends_a_sending_in_order(tmp_path: Path) -> None:
    async with Receiver([Answer(hangs=True)] * 9) as receiver:
        await chat(receiver.url, tmp_path, {"RXMCP_WEBHOOK_DRAIN": "0.1"})
        words = ("outbox", "send", "--sink", f"webhook={receiver.url}")
        async with running(*words, cwd=tmp_path) as program:
            await receiver.received(2)
            program.signal(signal.SIGINT)
            ended = await program.ended()
    assert (ended.code, ended.err) == (130, "")
    assert ": 4 messages waiting\n" in (await outbox("list", None, tmp_path)).out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["outbox", "send"], "outbox send needs --sink webhook=URL"),
        (["outbox", "drop"], "outbox drop needs --sink webhook=URL"),
        (["outbox", "eat"], "outbox: found 'eat', expected one of list, send, drop"),
        (["outbox", "list", "all"], "outbox: found 'list' 'all', expected one of"),
    ],
)
async def test_what_is_wrong_with_the_command_is_told(
    words: list[str], told: str, tmp_path: Path
) -> None:
    ended = await run(*words, cwd=tmp_path)
    assert (ended.code, ended.out) == (2, "")
    assert told in ended.words

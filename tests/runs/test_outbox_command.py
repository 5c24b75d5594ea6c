"""The command `outbox`, inside the test: what it says of outboxes that are odd, and of none."""

from pathlib import Path

import pytest

from config.command_line import read_command_line
from pipeline.outboxes import outbox
from sinks.outbox import Limits, Outbox
from sinks.outbox_place import Claims, outbox_folder, outbox_path
from sinks.standard_webhooks import Message, message_id
from sinks.webhook_post import tagged
from tests.support.receiver import Answer, Receiver

AT = "2026-11-24T06:28:23+00:00"
URL = "http://hooks.test/x"
LIMITS = Limits(1000, 2**20)


def message(seq: int, body: bytes = b'{"type":"problem"}') -> Message:
    return Message(message_id("s", seq), body, "s", seq)


def box(home: Path, url: str) -> Outbox:
    return Outbox(outbox_path(outbox_folder(str(home)), url), tagged(url), LIMITS)


async def do(home: Path, *words: str, **more: str) -> int:
    env = {"XDG_STATE_HOME": str(home), "RXMCP_WEBHOOK_ATTEMPTS": "1", **more}
    return await outbox(read_command_line(["outbox", *words], env, None))


@pytest.mark.parametrize(
    ("action", "told"),
    [
        ("list", "nothing waits, and there are no dead letters\n"),
        ("send", "http://hooks.test/…#{}: nothing waits, and there are no dead letters\n"),
        ("drop", "http://hooks.test/…#{}: 0 dead letters dropped\n"),
    ],
)
async def test_of_a_webhook_without_an_outbox_there_is_nothing_and_none_is_made(
    action: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await do(tmp_path, action, "--sink", f"webhook={URL}") == 0
    assert capsys.readouterr().out == told.format(tagged(URL)[-4:])
    assert list(tmp_path.iterdir()) == []


async def test_several_are_listed_and_empty_ones_are_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for url, count in ((URL, 2), ("http://other.test/", 0)):
        with box(tmp_path, url) as one:
            one.add([message(seq) for seq in range(count)])
    assert await do(tmp_path, "list") == 0
    assert capsys.readouterr().out == f"{tagged(URL)}: 2 messages waiting\n"


async def test_a_body_that_is_no_event_is_listed_and_cannot_forge_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with box(tmp_path, URL) as one:
        one.add_dead([message(1, b"\x1b[2J\nno json")], "HTTP 400", AT)
    assert await do(tmp_path, "list", "--verbose") == 0
    assert capsys.readouterr().out == (
        f"{tagged(URL)}: 1 dead letter\n  msg_s_1  ?  {AT}  HTTP 400\n    \\x1b[2J\\nno json\n"
    )


async def test_what_another_run_sends_is_left_to_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Receiver() as receiver:
        with box(tmp_path, receiver.url) as one:
            one.add([message(1)])
            claims = Claims(one.path)
            assert claims.take("s")
        assert await do(tmp_path, "send", "--sink", f"webhook={receiver.url}") == 1
        claims.release_all()
        assert receiver.posted == []
    told = capsys.readouterr().out
    assert told.endswith(": 0 messages delivered; 1 message waiting: another run sends them\n")


async def test_sending_tells_the_reason_of_a_refusal_also_if_another_message_came_after_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Receiver([Answer(422)]) as receiver:
        with box(tmp_path, receiver.url) as one:
            one.add([message(1), message(2)])
        assert await do(tmp_path, "send", "--sink", f"webhook={receiver.url}") == 1
    told = capsys.readouterr().out
    assert told.endswith(": 1 message delivered; 1 dead letter: HTTP 422\n")


async def test_dead_letters_that_find_no_place_any_more_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Receiver([Answer(410)]) as receiver:
        with box(tmp_path, receiver.url) as one:
            one.add([message(1), message(2), message(3)])
        words = ("send", "--sink", f"webhook={receiver.url}")
        assert await do(tmp_path, *words, RXMCP_WEBHOOK_OUTBOX_MESSAGES="1") == 1
    told = capsys.readouterr()
    assert "! 2 dead letters dropped: there is room for no more dead letters" in told.err
    assert told.out.endswith(": 0 messages delivered; 1 dead letter: HTTP 410\n")


async def test_an_outage_ends_the_sending(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Receiver([Answer(503)] * 9) as receiver:
        with box(tmp_path, receiver.url) as one:
            one.add([message(1), message(2)])
            one.add_dead([message(0)], "HTTP 400", AT)
        assert await do(tmp_path, "send", "--sink", f"webhook={receiver.url}") == 1
        assert [posted.id for posted in receiver.posted] == ["msg_s_0"]
    told = capsys.readouterr().out
    assert told.endswith(": 0 messages delivered; 3 messages waiting: HTTP 503\n")

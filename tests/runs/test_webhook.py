"""What a webhook gets from a whole run, and what a receiver that is down does to it: nothing."""

from pathlib import Path

from tests.support.ports import free_port
from tests.support.program import run
from tests.support.receiver import Answer, Receiver

PROMPT = b"add a=2 b=3\n"
QUICK = {"RXMCP_WEBHOOK_DRAIN": "1", "RXMCP_WEBHOOK_FIRST_DELAY": "0.01"}


async def test_a_receiver_gets_the_answer_once(tmp_path: Path) -> None:
    async with Receiver() as receiver:
        sinks = ("--sink", "console", "--sink", f"webhook={receiver.url}")
        ended = await run(*sinks, cwd=tmp_path, stdin=PROMPT)
    assert (ended.code, ended.out) == (0, "5\n")
    kinds = [posted.json["type"] for posted in receiver.posted]
    assert kinds == ["session_ready", "tool_ended", "answer_completed", "run_ended"]
    (answer,) = (p.json for p in receiver.posted if p.json["type"] == "answer_completed")
    assert answer["data"]["text"] == "5"
    assert len({posted.id for posted in receiver.posted}) == 4


async def test_an_answer_that_failed_once_is_sent_again_and_taken_once(tmp_path: Path) -> None:
    async with Receiver([Answer(503), Answer(drops=True)]) as receiver:
        sinks = ("--sink", "console", "--sink", f"webhook={receiver.url}")
        ended = await run(*sinks, cwd=tmp_path, stdin=PROMPT, env=QUICK)
    assert (ended.code, ended.out) == (0, "5\n")
    taken = [posted.json["type"] for posted in receiver.accepted]
    assert taken == ["session_ready", "tool_ended", "answer_completed", "run_ended"]


async def test_a_receiver_that_is_down_harms_no_chat_and_is_told(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/hook?token=s3cret-token"
    sinks = ("--sink", "console", "--sink", f"webhook={url}", "--sink", "jsonl=run.jsonl")
    ended = await run(*sinks, cwd=tmp_path, stdin=PROMPT, env={"RXMCP_WEBHOOK_DRAIN": "0.1"})
    assert (ended.code, ended.out) == (0, "5\n")
    assert "4 messages not delivered: connection refused" in ended.words
    assert "s3cret-token" not in ended.err + (tmp_path / "run.jsonl").read_text()

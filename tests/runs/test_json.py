"""What programs read: standard output, and one line of standard error when it went wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.codec import decode_entry
from pipeline.core.events import AnswerCompleted, RunEnded
from tests.support.ports import free_port
from tests.support.program import Ended, run


def error_of(ended: Ended) -> Any:
    """The error, which must be the last line; none of the lines before it is JSON."""
    *_, last = ended.words.splitlines()
    return json.loads(last)["error"]


async def test_stream_json_is_an_event_a_line(tmp_path: Path) -> None:
    ended = await run("--json", cwd=tmp_path, stdin=b"add a=2 b=3\nhelp\n")
    entries = [decode_entry(line.encode()) for line in ended.out.splitlines()]
    assert [entry.seq for entry in entries] == [*range(1, len(entries) + 1)]
    answers = [entry.item for entry in entries if isinstance(entry.item, AnswerCompleted)]
    assert answers[0].text == "5"
    assert len(answers) == 2
    assert entries[-1].item == RunEnded(code=0)
    assert (ended.code, ended.err) == (0, "")


async def test_json_is_one_object(tmp_path: Path) -> None:
    ended = await run("--output-format", "json", "-p", "add a=2 b=3", cwd=tmp_path)
    assert (ended.code, ended.err) == (0, "")
    found = json.loads(ended.out)
    assert (found["result"], found["exit_code"], found["turns"]) == ("5", 0, 2)
    assert [tool["tool"] for tool in found["tools"]] == ["add"]


@pytest.mark.parametrize("output_format", ["json", "stream-json"])
async def test_a_failure_is_one_line_of_json_on_standard_error(
    output_format: str, tmp_path: Path
) -> None:
    url = f"http://127.0.0.1:{free_port()}/sse"
    argv = ("--output-format", output_format, "--server", url, "-p", "hi")
    ended = await run(*argv, cwd=tmp_path, env={"RXMCP_RETRY_FIRST_ATTEMPTS": "0"})
    assert ended.code == 4
    error = error_of(ended)
    assert error["code"] == 4
    assert "connection refused" in error["message"]
    assert ended.err.count("\n") == 1
    last = json.loads(ended.out.splitlines()[-1])
    assert last.get("exit_code", last.get("code")) == 4


async def test_the_result_of_a_call_is_one_object(tmp_path: Path) -> None:
    ended = await run("--json", "call", "add", "a=2", "b=3", cwd=tmp_path)
    assert (ended.code, ended.err) == (0, "")
    assert json.loads(ended.out)["content"] == [{"type": "text", "text": "5"}]
    failed = await run("--json", "call", "fail", "message=no", cwd=tmp_path)
    assert failed.code == 5
    assert json.loads(failed.out)["isError"] is True
    assert error_of(failed)["code"] == 5
    refused = await run("--json", "call", "nope", cwd=tmp_path)
    assert (refused.code, refused.out) == (2, "")
    assert "no tool is named 'nope'" in error_of(refused)["message"]


async def test_a_webhook_that_is_down_is_told_as_json_too(tmp_path: Path) -> None:
    """Standard error is for people; what a program reads of it stays one line of JSON each."""
    hook = f"webhook=http://127.0.0.1:{free_port()}/"
    argv = ("--json", "--sink", hook, "-p", "add a=2 b=3")
    ended = await run(*argv, cwd=tmp_path, env={"RXMCP_WEBHOOK_DRAIN": "0.1"})
    assert ended.code == 0
    assert json.loads(ended.out.splitlines()[-1])["code"] == 0
    assert "Traceback" not in ended.err

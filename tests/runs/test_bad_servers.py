"""Servers that are none, or not what they should be: words, an exit status, and on it goes."""

import asyncio
from pathlib import Path

import pytest

from pipeline.core.events import AnswerCompleted, Problem, RunEnded, ToolEnded, ToolsChanged
from server.options import ServerOptions
from server.run import serve
from tests.support.in_process import QUICK, play
from tests.support.ports import free_port
from tests.support.program import run
from tests.support.wire import EVENT_STREAM, Step, hold, reply, until
from tests.support.wire import serve as serve_raw


async def test_no_connection_is_exit_status_4_and_says_what_was_tried_why_and_what_to_set(
    tmp_path: Path,
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/sse"
    ended = await run("--server", url, cwd=tmp_path, stdin=b"add a=2 b=3\n", seconds=20.0)
    assert (ended.code, ended.out) == (4, "")
    last = ended.words.splitlines()[-1]
    assert f"localhost-{port} at {url}: connection refused" in last
    assert "--server or MCP_SERVER_URL" in last


@pytest.mark.parametrize("command", [[], ["-p", "hi"], ["tools"], ["call", "add"]])
@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (reply("401 Unauthorized"), 3, "MCP_API_KEY"),
        (reply("403 Forbidden"), 3, "MCP_API_KEY"),
        (reply("404 Not Found"), 4, "404"),
        (reply("200 OK", b"<html>", content_type="text/html"), 4, "text/html"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", 4, "no server could be used"),
    ],
)
async def test_a_server_that_is_none_of_ours_ends_every_command(
    command: list[str], answer: bytes, code: int, words: str
) -> None:
    async with serve_raw([answer]) as wire:
        url = f"{wire.url}?key=s3cret-key"
        played = await play("--server", url, *command, prompts=["hi"], env=QUICK)
    assert played.ended.code == code
    assert words in played.ended.reason
    assert "s3cret-key" not in str(played.items)
    assert played.only(AnswerCompleted) == []


async def test_one_server_that_is_down_does_not_stop_the_other() -> None:
    async with serve(ServerOptions()) as server:
        down = f"http://127.0.0.1:{free_port()}/sse"
        argv = ("--server", down, "--server", server.url)
        played = await play(*argv, prompts=["add a=2 b=3"], env=QUICK)
    assert played.one(AnswerCompleted).text == "5"
    assert played.ended == RunEnded(code=0)


# --- what servers send ----------------------------------------------------------------------

ENDPOINT = b"event: endpoint\ndata: /messages/?session_id=s1\n\n"
TOOLS = b'event: tools\ndata: [{"name": "add"}, {"name": "sub"}]\n\n'


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("{", "malformed `tools` event"),
        ("7", "malformed `tools` event: found a int, expected a list of tools"),
        ('[{"name": 5}]', "in the tool list: found the tool name 5, expected some text"),
        ("[null]", "in the tool list: found 'null' as a tool, expected an object"),
        ("[" * 50_000, "malformed `tools` event"),
    ],
)
async def test_malformed_tools_are_told_and_good_ones_are_taken_later(
    data: str, words: str
) -> None:
    bad = f"event: tools\ndata: {data}\n\n".encode()
    async with serve_raw([EVENT_STREAM, ENDPOINT, bad, TOOLS, hold]) as wire:
        played = await play("--server", wire.url, prompts=["help"])
    assert words in played.one(Problem).detail
    assert [tool.name for tool in played.only(ToolsChanged)[-1].tools] == ["add", "sub"]
    assert "add" in played.one(AnswerCompleted).text
    assert played.ended == RunEnded(code=0)


@pytest.mark.parametrize(
    ("event", "answer"),
    [
        (b"event: result\ndata: {broken\n\n", "error: malformed `result` event"),
        (b'event: result\ndata: {"content": 7}\n\n', '{"content":7}'),
        (b'event: result\ndata: {"content": [7]}\n\n', "error: malformed result: found '[7]'"),
        (b"event: error\ndata: it broke\n\n", "error: it broke"),
        (b"event: error\ndata: {}\n\n", "error: {}"),
        (b'event: error\ndata: ""\n\n', "error: the server gave no reason"),
        (b"event: surprise\ndata: 1\n\nevent: result\ndata: fine\n\n", "error: malformed `result`"),
    ],
)
async def test_a_malformed_result_ends_its_call_in_words_and_the_next_call_works(
    event: bytes, answer: str
) -> None:
    posted, again = asyncio.Event(), asyncio.Event()
    good = b'event: result\ndata: {"content": [{"type": "text", "text": "5"}]}\n\n'
    stream = [EVENT_STREAM, ENDPOINT, TOOLS, until(posted), event, until(again), good, hold]
    accepted = reply("202 Accepted", connection="close")
    posts = [[_setting(posted), accepted], [_setting(again), accepted]]
    async with serve_raw(stream, *posts) as wire:
        played = await play("--server", wire.url, prompts=["add", "sub"])
    first, second = played.only(AnswerCompleted)
    assert first.text.startswith(answer)
    assert second.text == "5"
    assert len(played.only(ToolEnded)) == 2
    assert played.ended == RunEnded(code=0)


async def test_a_stream_that_names_another_origin_is_refused() -> None:
    elsewhere = b"event: endpoint\ndata: http://192.0.2.1/messages?session_id=s1\n\n"
    async with serve_raw([EVENT_STREAM, elsewhere, hold]) as wire:
        played = await play("--server", wire.url, prompts=["hi"], env=QUICK)
    assert played.ended.code == 4
    assert "192.0.2.1" in played.ended.reason


def _setting(event: asyncio.Event) -> Step:
    async def step(_peer: object) -> None:
        event.set()

    return step

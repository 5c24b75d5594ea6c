"""Whatever is wrong: words, an exit status, no traceback; and the session goes on where it can."""

import asyncio
import json
import re
from pathlib import Path

import pytest

from pipeline.core.events import (
    AnswerCompleted,
    Problem,
    PromptRejected,
    RunEnded,
    ToolEnded,
    ToolsChanged,
)
from server.options import ServerOptions
from server.run import serve
from tests.support.in_process import QUICK, play
from tests.support.program import Ended, run, running, shell
from tests.support.wire import EVENT_STREAM, Step, closed_port, hold, reply, until
from tests.support.wire import serve as serve_raw

LONGEST = 1_000_000


def lines_of(ended: Ended) -> list[str]:
    return ended.words.splitlines()


# --- flags, values, sinks -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--frobnicate"], "unknown option '--frobnicate'"),
        (["--modle", "direct"], "did you mean '--model'?"),
        (["--max-turns", "zero"], "--max-turns: found 'zero', expected a whole number"),
        (["--call-timeout", "-1"], "--call-timeout: found '-1', expected a number above 0"),
        (["--dialect", "morse"], "--dialect: found 'morse', expected"),
        (["--server", "example.org"], "--server: found 'example.org' as the address of the server"),
        (["--sink", "nowhere"], "--sink: unknown sink 'nowhere'; expected console, jsonl=PATH"),
        (["--sink", "jsonl"], "--sink: sink 'jsonl' needs a path"),
        (["-p", " "], "-p: found an empty prompt"),
        (["-H", "Host: elsewhere"], "'Host'"),
        (["-H", "Content-Length: 5"], "'Content-Length'"),
        (["dance"], "unknown command 'dance'"),
        (["call"], "call needs the name of a tool"),
        (["call", "add", "{a: 2}"], "the arguments are no JSON object"),
        (["serve", "--port", "70000"], "--port: found '70000', expected 65535 or less"),
        (["serve", "--folder", "nowhere"], "'nowhere'"),
    ],
)
async def test_a_wrong_word_is_named_in_one_line_and_is_exit_status_2(
    argv: list[str], words: str, tmp_path: Path
) -> None:
    ended = await run(*argv, cwd=tmp_path)
    assert (ended.code, ended.out) == (2, "")
    (line,) = lines_of(ended)
    assert words in line


async def test_a_wrong_variable_and_a_wrong_line_of_dotenv_are_named(tmp_path: Path) -> None:
    ended = await run(cwd=tmp_path, env={"RXMCP_MAX_TURNS": "many"})
    assert (ended.code, ended.out) == (2, "")
    assert "RXMCP_MAX_TURNS: found 'many'" in ended.words
    (tmp_path / ".env").write_text("RXMCP_SILENCE=soon\n")
    ended = await run(cwd=tmp_path)
    assert (ended.code, ended.out) == (2, "")
    assert "RXMCP_SILENCE in '.env': found 'soon'" in ended.words


async def test_a_port_that_is_taken_is_exit_status_2(reference: str, tmp_path: Path) -> None:
    port = re.findall(r"\d+", reference)[-1]
    ended = await run("serve", "--port", port, cwd=tmp_path)
    assert (ended.code, ended.out) == (2, "")
    assert f"cannot listen on 127.0.0.1:{port}: the port is in use" in ended.words


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("nowhere/run.jsonl", "there is no directory 'nowhere'; create it first"),
        ("folder", "found a directory at 'folder', expected a file"),
        ("letter.txt", "'letter.txt' is no recording"),
        ("/dev/full", "found a device at '/dev/full', expected a file"),
    ],
)
async def test_a_recording_that_cannot_be_written_is_exit_status_2(
    path: str, words: str, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "letter.txt").write_text("Dear all\n")
    for as_json in (False, True):
        argv = ["--sink", f"jsonl={path}", *(["--json"] if as_json else [])]
        ended = await run(*argv, cwd=tmp_path, stdin=b"add a=2 b=3\n")
        assert (ended.code, ended.out) == (2, "")
        (line,) = lines_of(ended)
        text = json.loads(line)["error"]["message"] if as_json else line
        assert words in text
    assert (tmp_path / "letter.txt").read_text() == "Dear all\n"


async def test_a_disk_that_is_full_costs_the_recording_and_not_the_chat(tmp_path: Path) -> None:
    """A limit on the size of files stands for it; the header still fits.

    The limit would hold for a coverage report as well, so none is written.
    """
    limit = "ulimit -f 1; trap '' XFSZ; unset COVERAGE_PROCESS_CONFIG"
    script = f"{limit}; rxmcp --sink console --sink jsonl=run.jsonl"
    prompts = f"echo message={'x' * 3000}\\nadd a=2 b=3\\n"
    ended = await shell(f"printf '{prompts}' | ({script})", tmp_path)
    assert ended.code == 0
    assert ended.out.splitlines()[-1] == "5"
    assert "sink jsonl=run.jsonl: cannot write to 'run.jsonl': File too large" in ended.words


async def test_a_variable_that_means_nothing_is_told_and_the_run_goes_on(tmp_path: Path) -> None:
    ended = await run(cwd=tmp_path, stdin=b"add a=2 b=3\n", env={"RXMCP_MAX_TURN": "3"})
    assert (ended.code, ended.out) == (0, "5\n")
    assert "RXMCP_MAX_TURN" in lines_of(ended)[0]
    assert "did you mean RXMCP_MAX_TURNS?" in lines_of(ended)[0]


async def test_a_folder_that_is_none_is_told_by_the_server_inside(tmp_path: Path) -> None:
    ended = await run(cwd=tmp_path, env={"RXMCP_SERVE_FOLDER": "nowhere"})
    assert (ended.code, ended.out) == (2, "")
    (line,) = lines_of(ended)
    assert "cannot serve the folder 'nowhere': it is not a folder" in line


# --- the context of a `-p` --------------------------------------------------------------------


async def test_a_context_that_is_too_long_is_not_dropped_in_silence(tmp_path: Path) -> None:
    ended = await run("-p", "help", cwd=tmp_path, stdin=b"x" * (LONGEST + 1))
    assert (ended.code, ended.out) == (2, "")
    assert "1,000,001 characters" in ended.words


async def test_a_context_that_is_no_utf8_is_told(tmp_path: Path) -> None:
    ended = await run("-p", "add a=1 b=1", cwd=tmp_path, stdin=b"echo message=\xff")
    assert (ended.code, ended.out) == (0, "2\n\ufffd\n")
    assert "not valid UTF-8" in ended.words


async def test_a_context_that_never_comes_is_not_waited_for(tmp_path: Path) -> None:
    """As in a job of `cron` or CI, whose standard input is a pipe that nobody closes."""
    async with running("-q", "-p", "add a=2 b=3", cwd=tmp_path) as program:
        ended = await program.ended()
    assert (ended.code, ended.out, ended.err) == (0, "5\n", "")


# --- connections ----------------------------------------------------------------------------


async def test_no_connection_is_exit_status_4_and_says_what_was_tried_why_and_what_to_set(
    tmp_path: Path,
) -> None:
    port = closed_port()
    url = f"http://127.0.0.1:{port}/sse"
    ended = await run("--server", url, cwd=tmp_path, stdin=b"add a=2 b=3\n", seconds=20.0)
    assert (ended.code, ended.out) == (4, "")
    last = lines_of(ended)[-1]
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
        down = f"http://127.0.0.1:{closed_port()}/sse"
        argv = ("--server", down, "--server", server.url)
        played = await play(*argv, prompts=["add a=2 b=3"], env=QUICK)
    assert played.one(AnswerCompleted).text == "5"
    assert played.ended == RunEnded(code=0)


# --- prompts --------------------------------------------------------------------------------


async def test_prompts_that_are_none_are_told_and_the_next_one_is_answered(tmp_path: Path) -> None:
    prompts = [
        b"",
        b"   ",
        b"echo message=" + b"x" * LONGEST,
        b"echo message=\xff\xfe",
        b"no_such_tool a=1",
        b"add a=two b=3",
        b"add a=2 b=3",
    ]
    sinks = ("--sink", "console", "--sink", "jsonl=run.jsonl")
    ended = await run(*sinks, cwd=tmp_path, stdin=b"\n".join(prompts))
    assert ended.code == 0
    invalid, unknown, mistyped, usage, five = ended.out.splitlines()
    assert invalid == "\ufffd\ufffd"
    assert unknown.startswith("There is no tool 'no_such_tool'.")
    assert mistyped.startswith("add: 'a': found 'two', expected a number")
    assert usage == "Usage: add a=NUMBER b=NUMBER"
    assert five == "5"
    told = [line for line in lines_of(ended) if line.startswith("! ")]
    assert told == [
        "! prompt: found an empty prompt, expected some text",
        "! prompt: found an empty prompt, expected some text",
        "! prompt: found a prompt of 1,000,013 characters, expected at most 1,000,000; "
        "it was skipped: split it, or let a tool read the file",
        "! prompt: the prompt was not valid UTF-8; U+FFFD stands for what could not be read",
    ]


async def test_a_prompt_of_a_million_characters_is_answered(tmp_path: Path) -> None:
    text = "x" * (LONGEST - len("echo message="))
    ended = await run("-q", cwd=tmp_path, stdin=f"echo message={text}\nadd a=2 b=3\n".encode())
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == f"{text}\n5\n"


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


async def test_a_prompt_that_was_rejected_leaves_the_exit_status_alone() -> None:
    async with serve(ServerOptions()) as server:
        prompts = [PromptRejected(reason="too long"), "add a=2 b=3"]
        played = await play("--server", server.url, prompts=prompts)
    assert played.one(Problem) == Problem(where="prompt", detail="too long")
    assert played.one(AnswerCompleted).text == "5"
    assert played.ended == RunEnded(code=0)


def _setting(event: asyncio.Event) -> Step:
    async def step(_peer: object) -> None:
        event.set()

    return step

"""Whatever is wrong: words, an exit status, no traceback; and the session goes on where it can."""

import json
import re
from pathlib import Path

import pytest

from pipeline.core.events import (
    AnswerCompleted,
    Problem,
    PromptRejected,
    RunEnded,
)
from server.options import ServerOptions
from server.run import serve
from tests.support.in_process import play
from tests.support.program import Ended, run, running, shell

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
        (
            ["--call-timeout", "-1"],
            "--call-timeout: found '-1', expected a number of seconds above 0",
        ),
        (["--dialect", "morse"], "--dialect: found 'morse', expected"),
        (
            ["--server", "example.org"],
            "--server: found 'example.org', expected http://…, https://… or a name",
        ),
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
    limit = "ulimit -f 2; trap '' XFSZ; unset COVERAGE_PROCESS_CONFIG"
    script = f"{limit}; rxmcp --sink console --sink jsonl=run.jsonl"
    prompts = f"echo message={'x' * 5000}\\nadd a=2 b=3\\n"
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
        "! prompt: found a prompt of 1,000,013 characters, expected at most 1,000,000 "
        "(--max-prompt-chars); it was skipped: split it, or let a tool read the file",
        "! prompt: the prompt was not valid UTF-8; U+FFFD stands for what could not be read",
    ]


async def test_a_prompt_of_a_million_characters_is_answered(tmp_path: Path) -> None:
    text = "x" * (LONGEST - len("echo message="))
    ended = await run("-q", cwd=tmp_path, stdin=f"echo message={text}\nadd a=2 b=3\n".encode())
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == f"{text}\n5\n"


async def test_a_prompt_that_was_rejected_leaves_the_exit_status_alone() -> None:
    async with serve(ServerOptions()) as server:
        prompts = [PromptRejected(reason="too long"), "add a=2 b=3"]
        played = await play("--server", server.url, prompts=prompts)
    assert played.one(Problem) == Problem(where="prompt", detail="too long")
    assert played.one(AnswerCompleted).text == "5"
    assert played.ended == RunEnded(code=0)

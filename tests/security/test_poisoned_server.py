"""A server whose every text is poison drives no terminal, and gives the model no orders unseen."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.security.poison import EVERYTHING, HARMFUL, ORDER
from tests.security.poisoned_server import TOOLS
from tests.support.messages_api import MessagesApi, say, turn, use
from tests.support.program import MAIN, run
from tests.support.terminal import CTRL_D, Terminal

CONFIG = json.dumps(
    {
        "mcpServers": {
            "bad": {
                "command": sys.executable,
                "args": ["-m", "tests.security.poisoned_server"],
                "env": {"PYTHONPATH": str(MAIN.parent)},
            }
        }
    }
)
SHOWN = r"\x1b[38;5;213m\x1b]0;pwned\x07"
ENV = {"ANTHROPIC_API_KEY": "no-key", "RXMCP_NO_COLOR": "1"}
ON_LINES = HARMFUL - {"\r", "\x08", "\x1b"}  # what nobody writes to a terminal, not even we
FOREIGN = re.compile(rb"\x1b(?:\[38;5;213m|\]|P|c|\[2J\x1b\[1;1H)|\xc2[\x80-\x9f]")


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    chat = Terminal(
        *("--mcp-config", CONFIG, "--model", "direct", "--elicit", "ask", "--verbose"),
        *("--sink", "console", "--sink", "jsonl=run.jsonl"),
        cwd=tmp_path,
    )
    yield chat
    chat.stop()


def test_no_byte_of_its_texts_drives_a_terminal(terminal: Terminal) -> None:
    """D9: through a real terminal, there is no escape sequence but our own."""
    terminal.shows("you>")
    for typed, tags in (
        ("tell", ("progress", "log", "result", "link")),
        ("fail", ("error",)),
        ("help tell", ("description",)),
        ("/resources", ("uri", "resource-about")),
        ("/templates", ("template",)),
        ("/prompts", ("prompt-name", "prompt-about")),
        ("/read x:y", ("read",)),
        ("help", ("tool-name",)),
    ):
        terminal.type(f"{typed}\r".encode())
        for tag in tags:
            terminal.shows(f"<{tag}>")
    terminal.type(b"ask\r")
    for tag in ("question", "field-about", "field-name", "field-title"):
        terminal.shows(f"<{tag}>")
    terminal.shows("1 to 2")
    terminal.type(b"2\r")
    terminal.shows("send it?")
    terminal.type(b"y\r")
    terminal.shows("<result>")
    terminal.shows("you>")
    terminal.type(CTRL_D)
    assert terminal.ended() == 0
    assert FOREIGN.findall(terminal.raw) == []
    seen = terminal.raw.decode("utf-8", "replace")
    assert ON_LINES & set(seen) == set()
    assert terminal.seen.count(SHOWN) > 20


async def test_the_recording_has_all_of_it_and_what_is_made_of_it_for_people_nothing(
    tmp_path: Path,
) -> None:
    argv = ("--mcp-config", CONFIG, "--model", "direct", "--verbose")
    sinks = ("--sink", "console", "--sink", "jsonl=run.jsonl", "--log-level", "DEBUG")
    ended = await run(*argv, *sinks, cwd=tmp_path, stdin=b"tell\nfail\n/prompts\n/resources\n")
    tools = await run(*argv, "tools", cwd=tmp_path)
    called = await run(*argv, "call", "tell", cwd=tmp_path)
    shown = await run("show", "run.jsonl", "--verbose", cwd=tmp_path)
    linted = await run("lint", "run.jsonl", cwd=tmp_path)
    same = await run("diff", "run.jsonl", "run.jsonl", "--verbose", cwd=tmp_path)
    page = await run("show", "run.jsonl", "--html", "run.html", cwd=tmp_path)
    for each in (ended, tools, called, shown, linted, same, page):
        assert HARMFUL & set(each.out + each.err) == set(), each
    assert HARMFUL & set((tmp_path / "run.html").read_text("utf-8")) == set()
    recorded = (tmp_path / "run.jsonl").read_text("utf-8")
    assert r"\u001b[38;5;213m" in recorded.replace(r"\\", "\\")
    assert SHOWN in ended.err


@pytest.mark.parametrize(
    "words",
    [
        ("tools", "--json"),
        ("call", "tell", "--json"),
        ("call", "fail", "--json"),
        ("prompts", "--json"),
        ("read", "x:y", "--json"),
        ("--output-format", "json", "-p", "tell"),
        ("--output-format", "stream-json", "-p", "tell"),
    ],
    ids=" ".join,
)
async def test_json_on_a_terminal_drives_it_no_more_and_is_the_same_to_a_program(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    ended = await run("--mcp-config", CONFIG, "--model", "direct", *words, cwd=tmp_path)
    assert HARMFUL & set(ended.out + ended.err) == set()
    parsed = [json.loads(line) for line in ended.out.rstrip("\n").split("\n")]
    assert any(EVERYTHING in text for text in texts_in(parsed))


def texts_in(value: Any) -> Iterator[str]:
    """All texts in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for child in value.values() if isinstance(value, dict) else value:
            yield from texts_in(child)


async def test_a_model_gets_no_poison_but_what_stands_in_definitions_and_results(
    tmp_path: Path,
) -> None:
    script = [turn(use("mcp__bad__tell", {}, "toolu_1"), use("mcp__bad__fail", {}, "toolu_2"))]
    async with MessagesApi([*script, turn(say("no"))]) as api:
        ended = await run(
            *("--mcp-config", CONFIG, "--system-prompt", "Be brief.", "-p", "tell me"),
            cwd=tmp_path,
            env={**ENV, "ANTHROPIC_BASE_URL": api.url},
        )
        bodies = [request.body for request in api.requests]
    assert ended.out == "no\n", ended
    first, second = bodies
    assert [each["system"] for each in bodies] == ["Be brief."] * 2
    assert len(first["messages"]) == 1
    assert ORDER not in json.dumps(first["messages"])
    # Of a definition, what a person could read; of results, what the server said.
    tools = json.dumps(first["tools"], ensure_ascii=False)
    assert HARMFUL & set(tools) == set()
    assert r"\u001b" not in tools
    assert ORDER in tools
    assert {tool["name"].removeprefix("mcp__bad__") for tool in first["tools"]} >= set(TOOLS)
    for tag in ("instructions", "server", "version", "stderr", "log", "progress", "title"):
        assert f"<{tag}>" not in json.dumps(bodies)
    said = {block["type"] for message in second["messages"][2:] for block in message["content"]}
    assert said == {"tool_result"}


@pytest.mark.parametrize(
    "entry",
    [
        {"command": EVERYTHING, "args": [EVERYTHING]},
        {"command": "touch", "env": {EVERYTHING: EVERYTHING}},
        {"url": f"http://127.0.0.1:1/{EVERYTHING}"},
        {"url": "http://127.0.0.1:1/", "headers": {EVERYTHING: "a", "a": EVERYTHING}},
        {"url": "http://127.0.0.1:1/", "type": EVERYTHING, EVERYTHING: EVERYTHING},
        {"command": f"${{{EVERYTHING}}}"},
        EVERYTHING,
    ],
)
@pytest.mark.parametrize("name", ["a", EVERYTHING])
async def test_a_configuration_that_came_with_a_folder_is_told_harmless(
    tmp_path: Path, name: str, entry: object
) -> None:
    (tmp_path / ".mcp.json").write_text(json.dumps({"mcpServers": {name: entry}}), "utf-8")
    ended = await run("tools", cwd=tmp_path, env={"RXMCP_RETRY_FIRST_ATTEMPTS": "0"})
    assert ".mcp.json" in ended.err or "connection lost" in ended.err, ended
    assert ended.code != 0
    assert HARMFUL & set(ended.words + ended.out) == set()
    assert not list(tmp_path.glob("touch*"))

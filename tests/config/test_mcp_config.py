"""Servers from `mcpServers`, as other clients write it."""

import json
from pathlib import Path
from typing import Any

import pytest

from config.mcp_config import MOST_SERVERS, read_config, user_file
from config.mcp_entry import McpConfigError, McpEntry

HOME = {"HOME": "/nowhere"}


def read_one(entry: Any, **environ: str) -> McpEntry:
    (found,) = read_config([config(it=entry)], environ, folder=Path("/home/me"))
    return found


def config(**servers: Any) -> str:
    return json.dumps({"mcpServers": servers})


def test_a_program_has_its_arguments_variables_and_folder() -> None:
    entry = read_one({"command": "npx", "args": ["-y", "x"], "env": {"N": 1}, "cwd": "sub"})
    assert (entry.command, entry.args, entry.env) == ("npx", ("-y", "x"), {"N": "1"})
    assert (entry.cwd, entry.transport, entry.source) == ("/home/me/sub", "stdio", "--mcp-config")


@pytest.mark.parametrize(
    ("word", "transport"),
    [
        ("http", "http"),
        ("streamable-http", "http"),
        ("streamableHttp", "http"),
        ("streamable_http", "http"),
        ("sse", "sse"),
        ("SSE", "sse"),
    ],
)
@pytest.mark.parametrize("key", ["type", "transport"])
def test_a_type_has_many_spellings(key: str, word: str, transport: str) -> None:
    assert read_one({"url": "http://h", key: word}).transport == transport


@pytest.mark.parametrize("key", ["url", "serverUrl", "httpUrl"])
def test_an_address_has_many_keys_and_no_type_is_needed(key: str) -> None:
    entry = read_one({key: "http://h/mcp", "headers": {"A": "b"}})
    assert (entry.url, entry.transport, entry.headers) == ("http://h/mcp", "auto", {"A": "b"})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${KEY}", "k1"),
        ("${env:KEY}", "k1"),
        ("Bearer ${KEY}!", "Bearer k1!"),
        ("${NONE:-d}", "d"),
        ("${NONE:-}", ""),
        ("${EMPTY:-d}", "d"),
        ("${EMPTY}", ""),
        ("$KEY and ${}", "$KEY and ${}"),
    ],
)
def test_variables_are_put_in(text: str, value: str) -> None:
    entry = read_one({"url": "http://h", "headers": {"A": text}}, KEY="k1", EMPTY="")
    assert entry.headers == {"A": value}


def test_a_variable_is_put_in_only_once() -> None:
    entry = read_one({"command": "x", "args": ["${A}"]}, A="${B}", B="b")
    assert entry.args == ("${B}",)


def test_a_timeout_is_in_milliseconds_and_one_that_looks_like_seconds_is_told() -> None:
    assert read_one({"command": "x", "timeout": 30_000}).timeout == 30
    short = read_one({"command": "x", "timeout": 30})
    assert short.timeout == 0.03
    assert "timeout is in milliseconds, so 30 is 0.03 s" in short.notices[0]


def test_what_is_not_known_is_told_and_harms_nobody() -> None:
    entry = read_one({"command": "x", "autoApprove": []})
    assert entry.notices == ("--mcp-config: server 'it': autoApprove is not known, so not used",)


@pytest.mark.parametrize("off", [{"disabled": True}, {"enabled": False}])
def test_a_disabled_server_is_not_there(off: dict[str, Any]) -> None:
    text = config(one={"command": "x", **off}, two={"url": "http://h", "required": True})
    (entry,) = read_config([text], {}, folder=Path())
    assert (entry.name, entry.required) == ("two", True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"servers": {}}', "found the key 'servers', which is how VS Code writes it"),
        ('{"mcp": {}}', "found the key 'mcp', expected 'mcpServers'"),
        ("{}", "found nothing, expected the key 'mcpServers'"),
        ('{"a": 1, "b": 2}', "found 'a', 'b', expected the key 'mcpServers'"),
        ('{"mcpServers": []}', "mcpServers: expected an object"),
        ('{"mcpServers": {"a": 1}}', "server 'a': found a number, expected an object"),
        ('{"mcpServers": {"a": {}}}', "found neither a command nor a url"),
        (config(a={"url": "u", "command": "c"}), "found both a command and a url"),
        (config(a={"url": "u", "type": "stdio"}), "found type 'stdio' for a url"),
        (config(a={"command": "c", "type": "sse"}), "found type 'sse' for a command"),
        (config(a={"command": "c", "type": "ws"}), "type: found 'ws', expected stdio, http or sse"),
        (config(a={"command": "c", "args": "x"}), "args: found text, expected a list of texts"),
        (config(a={"command": "c", "args": [None]}), "args: found null in it"),
        (config(a={"command": "c", "env": {"A": True}}), "env.A: found true, expected text"),
        (config(a={"command": "c", "env": []}), ""),
        (config(a={"command": 1}), "command: found a number, expected text"),
        (config(a={"command": "c", "disabled": 1}), "disabled: found a number, expected true"),
        (config(a={"command": "c", "timeout": 0}), "timeout: found 0, expected milliseconds"),
        (config(a={"command": "c", "timeout": True}), "timeout: found True"),
        (config(a={"url": "${NO}"}), "url: ${NO} is not set; set it, or write ${NO:-default}"),
        (config(**{"a b": {"command": "c"}}), "found the name 'a b'"),
        ('{"mcpServers": {"a": {}, "a": {}}}', "found the key 'a' twice"),
        ('{"mcpServers": {},}', "there is a comma too many before it"),
        ('{\n// hi\n"mcpServers": {}}', ":2:1: "),
        ('{// hi\n"mcpServers": {}}', "comments are not part of JSON"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, words: str) -> None:
    if not words:
        assert read_config([text], {}, folder=Path())
        return
    with pytest.raises(McpConfigError) as caught:
        read_config([text], {}, folder=Path())
    assert words in str(caught.value)
    assert str(caught.value).startswith("--mcp-config")


def test_there_is_a_limit_to_their_number() -> None:
    servers = {f"s{n}": {"command": "c"} for n in range(MOST_SERVERS + 1)}
    with pytest.raises(McpConfigError, match=f"expected {MOST_SERVERS} or fewer"):
        read_config([config(**servers)], {}, folder=Path())


def test_the_projects_file_beats_the_users_and_flags_beat_both(tmp_path: Path) -> None:
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "home")}
    mine = user_file(environ)
    mine.parent.mkdir(parents=True)
    mine.write_text(config(a={"command": "user"}, b={"command": "user"}))
    assert [e.command for e in read_config([], environ, folder=tmp_path)] == ["user", "user"]
    (tmp_path / ".mcp.json").write_text(config(b={"command": "project"}))
    found = read_config([], environ, folder=tmp_path)
    assert [(e.name, e.command) for e in found] == [("a", "user"), ("b", "project")]
    assert found[1].source == ".mcp.json"
    given = tmp_path / "given.json"
    given.write_text(config(c={"command": "given", "cwd": "x"}))
    (entry,) = read_config(["given.json"], environ, folder=tmp_path)
    assert (entry.command, entry.cwd) == ("given", str(tmp_path / "x"))


def test_without_a_file_there_is_none(tmp_path: Path) -> None:
    assert read_config([], HOME, folder=tmp_path) == ()
    assert user_file(HOME) == Path("/nowhere/.config/rxmcp/mcp.json")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (None, "No such file"),
        (b"\xff{}", "is no UTF-8 text"),
        (b" " * (1024 * 1024 + 1), "is larger than"),
    ],
)
def test_a_file_that_cannot_be_read_is_told(data: bytes | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(McpConfigError, match=words):
        read_config([str(path)], {}, folder=tmp_path)


def test_no_value_is_shown() -> None:
    entry = read_one({"url": "http://h", "headers": {"Authorization": "Bearer s3cret"}})
    assert "s3cret" not in repr(entry)
    assert entry.secrets() == {"Bearer s3cret", "s3cret"}

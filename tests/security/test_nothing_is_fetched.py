"""What a server names is told, and never fetched: icons, links, images, schemas."""

import json
import sys
from pathlib import Path

import pytest

from pipeline.core.structured import complaint
from tests.support.program import MAIN, run
from tests.support.wire import hear, serve

RECORDED = ("--verbose", "--sink", "console", "--sink", "jsonl=run.jsonl")
COMMANDS: dict[str, tuple[tuple[str, ...], bytes]] = {
    "chat": (RECORDED, b"tell\nother\n/resources\n/prompts\n/read x:y\n"),
    "tools": (("tools",), b""),
    "call": (("call", "tell"), b""),
    "read": (("read", "x:y"), b""),
    "json": (("--json", "-p", "tell"), b""),
}


@pytest.mark.parametrize(("words", "stdin"), COMMANDS.values(), ids=list(COMMANDS))
async def test_no_address_that_a_server_names_is_asked(
    tmp_path: Path, words: tuple[str, ...], stdin: bytes
) -> None:
    async with serve([hear], is_http=False) as canary:
        url = f"http://127.0.0.1:{canary.port}"
        args = ["-m", "tests.security.luring_server", url]
        program = {"command": sys.executable, "args": args, "env": {"PYTHONPATH": str(MAIN.parent)}}
        config = json.dumps({"mcpServers": {"l": program}})
        direct = ("--mcp-config", config, "--model", "direct")
        ended = await run(*direct, *words, cwd=tmp_path, stdin=stdin)
        for reader in (("show", "run.jsonl"), ("show", "run.jsonl", "--html", "run.html")):
            if (tmp_path / "run.jsonl").exists():
                await run(*reader, cwd=tmp_path)
        assert canary.accepted == 0, ended
    assert ended.code == 0, ended


@pytest.mark.parametrize("keyword", ["$ref", "$dynamicRef", "$schema", "$id"])
async def test_a_schema_that_refers_to_elsewhere_is_not_followed(keyword: str) -> None:
    async with serve([hear], is_http=False) as canary:
        url = f"http://127.0.0.1:{canary.port}/schema.json"
        said = complaint({"type": "object", keyword: url, "properties": {"a": {"$ref": url}}}, {})
        inner = complaint({"properties": {"a": {keyword: url}}, "type": "object"}, {"a": 1})
        assert canary.accepted == 0
    assert "unknown dialect" in said if keyword == "$schema" else isinstance(said, str)
    assert "refers to something outside" in inner if keyword == "$ref" else isinstance(inner, str)

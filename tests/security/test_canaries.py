"""Twenty secrets are planted, and told back by whoever gets them: no output has a byte of one.

What OAuth brings on the way is planted in `test_learned_secrets`.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.security.canaries import found_in, written_in
from tests.support.echo_server import EchoServer
from tests.support.messages_api import MessagesApi, Reply, refusal, say, turn, use
from tests.support.program import MAIN, Ended, run
from tests.support.receiver import Receiver

KEYS = {
    "userinfo": "canary+of/userinfo=1",
    "path": "canary4inthepathoftheurl22",
    "query": "canary-of-query-2",
    "header": "canary-of-header-3",
    "cookie": "session=canary-of-cookie-4",
    "file header": "canary-of-file-header-5",
    "file query": "canary-of-file-query-6",
    "file variable": "canary-of-file-variable-7",
    "argument": "canary-of-argument-8",
    "argument after =": "canary-of-argument-9",
    "address in an argument": "canary-of-address-10",
    "environment": "canary-of-environment-11",
    "address in the environment": "canary-of-database-12",
    "environment by name": "canary-of-own-name-13",
    "model": "sk-ant-canary-of-the-model-14",
    "model header": "canary-of-model-header-15",
    "webhook address": "canary-of-webhook-16",
    "webhook secret": "whsec_Y2FuYXJ5LW9mLXRoZS13ZWJob29rcy1zaWduaW5nLTE3",
    "dotenv": "canary-of-dotenv-18",
    "oauth": "canary-of-oauth-client-19",
    "proxy": "canary-of-the-proxy-20",
}
MODEL = {"ANTHROPIC_API_KEY": KEYS["model"]}


def configuration(port: int) -> str:
    """`.mcp.json`: a server at an address, and a program."""
    program = {
        "command": sys.executable,
        "args": [
            *("-m", "tests.security.leaky_program", "--api-key", KEYS["argument"]),
            f"--token={KEYS['argument after =']}",
            f"postgres://user:{KEYS['address in an argument']}@db.example/x",
        ],
        "env": {
            "PYTHONPATH": str(MAIN.parent),
            "CANARY_API_KEY": KEYS["environment"],
            "CANARY_DATABASE_URL": f"postgres://u:{KEYS['address in the environment']}@db/x",
            "CANARY_PASSWORD": KEYS["environment by name"],
        },
    }
    login, query = quote(KEYS["userinfo"], safe=""), KEYS["file query"]
    address = {
        "url": f"http://me:{login}@127.0.0.1:{port}/sse?key={query}",
        "headers": {"X-File": KEYS["file header"], "X-Variable": "Bearer ${FILE_TOKEN}"},
    }
    return json.dumps({"mcpServers": {"near": program, "far": address}})


def variables(api: MessagesApi) -> dict[str, str]:
    return {
        **MODEL,
        "ANTHROPIC_BASE_URL": api.url,
        "ANTHROPIC_CUSTOM_HEADERS": f"X-Custom: {KEYS['model header']}",
        "FILE_TOKEN": KEYS["file variable"],
        "RXMCP_WEBHOOK_SECRET": KEYS["webhook secret"],
        "RXMCP_OAUTH_CLIENT_ID": "me",
        "FTP_PROXY": f"http://me:{KEYS['proxy']}@proxy.example:3128",
        "RXMCP_OAUTH_CLIENT_SECRET": KEYS["oauth"],
        "RXMCP_RETRY_FIRST_DELAY": "0.01",
        "RXMCP_WEBHOOK_DRAIN": "5",
    }


def script(*aliases: str) -> list[Reply]:
    """A model that calls the tools with what it should not know, and says all of it."""
    everything = {"x": " ".join(KEYS.values())}
    calls = [use(alias, everything, f"toolu_{at}") for at, alias in enumerate(aliases)]
    halves = [say(part) for key in KEYS.values() for part in (key[:9], key[9:], " ")]
    error = refusal(400, "invalid_request_error", f"no: {KEYS['model']} {KEYS['model header']}")
    return [turn(say("well"), *calls), turn(*halves), error]


@pytest.mark.parametrize("form", [["--verbose"], ["--json"]], ids=["text", "json"])
async def test_no_planted_secret_is_in_any_byte_of_what_a_run_writes(
    tmp_path: Path, form: list[str]
) -> None:
    cwd = tmp_path / "work"
    cwd.mkdir()
    hidden = (KEYS["cookie"], KEYS["dotenv"])
    async with EchoServer(*KEYS.values()) as one, EchoServer() as other, Receiver() as receiver:
        config = tmp_path / "servers.json"  # not an output
        config.write_text(configuration(other.port))
        (cwd / ".env").write_text(f"MCP_API_KEY={KEYS['dotenv']}\nMCP_API_KEY_HEADER=X-Key\n")
        address = f"http://127.0.0.1:{one.port}/s/{KEYS['path']}/sse?key={KEYS['query']}"
        near = [f"mcp__near__{name}" for name in ("tell",)]
        here = [f"mcp__localhost-{one.port}__{name}" for name in ("tell", "fail", "refuse")]
        far = [f"mcp__far__{name}" for name in ("tell", "refuse")]
        async with MessagesApi(script(*near, *here, *far)) as api:
            ended = await run(
                *("--server", address, "--server", "near", "--server", "far"),
                *("--mcp-config", str(config), "--dialect", "auto", *form),
                *("-H", f"X-Own: {KEYS['header']}", "-H", f"Cookie: {hidden[0]}"),
                *("--sink", "console", "--sink", "jsonl=run.jsonl", "--rotate-size", "64KiB"),
                *("--compress", "zstd", "--log-level", "DEBUG"),
                *("--sink", f"webhook={receiver.url}?token={KEYS['webhook address']}"),
                cwd=cwd,
                stdin=f"tell me {' '.join(KEYS.values())}\nand again\n".encode(),
                env=variables(api),
            )
            asked = b"\n".join(request.raw for request in api.requests)
        hooks = b"\n".join(posted.body for posted in receiver.posted)
    outputs = await everything(cwd, ended, hooks)
    (cwd / ".env").unlink()
    outputs.pop(".env")
    assert any(name.endswith(".zst") for name in outputs), ended
    assert outputs["webhook"].count(b"[redacted:known:") > 20, ended
    assert found_in({**outputs, "model": asked}, KEYS.values()) == {}
    # It worked all the same: each got what is its own, and nothing of the others.
    calls = [
        seen for seen in (*one.seen, *other.seen) if seen.body and "tools/call" in str(seen.body)
    ]
    assert len(calls) == 5, ended.err
    assert (
        found_in({"calls": json.dumps([seen.body for seen in calls]).encode()}, KEYS.values()) == {}
    )
    done = await run("replay", "run.jsonl", "--check", cwd=cwd)
    assert done.code == 0, done.out + done.err


async def everything(cwd: Path, ended: Ended, hooks: bytes) -> dict[str, bytes]:
    """All that a run wrote, and what is made of its recording for people."""
    shown = await run("show", "run.jsonl", "--verbose", cwd=cwd)
    linted = await run("lint", "run.jsonl", cwd=cwd)
    await run("show", "run.jsonl", "--html", "run.html", cwd=cwd)
    screens: Mapping[str, str] = {
        "stdout": ended.out,
        "stderr": ended.err,
        "show": shown.out + shown.err,
        "lint": linted.out + linted.err,
    }
    texts = {name: text.encode() for name, text in screens.items()}
    return {**written_in(cwd), **texts, "webhook": hooks}

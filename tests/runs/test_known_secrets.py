"""What a run knows to be secret comes out of it nowhere, whoever says it."""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support.echo_server import EchoServer
from tests.support.messages_api import MessagesApi, refusal, say, turn, use
from tests.support.program import Ended, run
from tests.support.receiver import Receiver

KEY = "canary/key+1=="
HEADER = "canary-header-2"
QUERY = "canary-query-3"
IN_PATH = "canary4inthepathoftheurl"
CLAUDE = "sk-ant-canary-5-of-claude"
SIGNING = "whsec_Y2FuYXJ5LTYtb2YtdGhlLXdlYmhvb2stc2lnbmluZw=="
HOOK = "canary-hook-7"
CUSTOM = "canary-custom-8"
CANARIES = (KEY, HEADER, QUERY, IN_PATH, CLAUDE, SIGNING, HOOK, CUSTOM)
ENV = {
    "MCP_API_KEY": KEY,
    "ANTHROPIC_API_KEY": CLAUDE,
    "ANTHROPIC_CUSTOM_HEADERS": f"X-Custom: {CUSTOM}",
    "RXMCP_WEBHOOK_SECRET": SIGNING,
    "RXMCP_RETRY_FIRST_DELAY": "0.01",
    "RXMCP_WEBHOOK_DRAIN": "5",
}


def forms(canary: str) -> Sequence[str]:
    return (canary, quote(canary, safe=""), canary.replace("/", r"\/"))


def found_in(text: str) -> list[str]:
    return [canary for canary in CANARIES for form in forms(canary) if form in text]


def outputs(ended: Ended, folder: Path, receiver: Receiver) -> dict[str, str]:
    files = {path.name: path.read_text("utf-8") for path in folder.iterdir() if path.is_file()}
    hooks = b"\n".join(posted.body for posted in receiver.posted).decode()
    return {"stdout": ended.out, "stderr": ended.err, "webhook": hooks, **files}


@pytest.mark.parametrize("form", [["--verbose", "--log-level", "DEBUG"], ["--json"]])
async def test_no_secret_of_a_run_comes_out_of_it(tmp_path: Path, form: list[str]) -> None:
    async with EchoServer(*CANARIES) as server, Receiver() as receiver:
        names = [f"mcp__localhost-{server.port}__{name}" for name in ("tell", "fail", "refuse")]
        calls = [use(name, {"x": CLAUDE}, f"toolu_{name[-4:]}") for name in names]
        script = [
            turn(say(f"my key is {CLAUDE}, I think"), *calls),
            turn(say(f"it said {KEY} and {CUSTOM}"), say(CLAUDE[:9]), say(CLAUDE[9:])),
            refusal(400, "invalid_request_error", f"no, {CLAUDE} is not welcome; {CUSTOM}"),
        ]
        async with MessagesApi(script) as api:
            ended = await run(
                "--server", f"http://127.0.0.1:{server.port}/s/{IN_PATH}/sse?key={QUERY}",
                "-H", f"X-Own: {HEADER}",
                "--sink", "console",
                "--sink", "jsonl=run.jsonl",
                "--sink", f"webhook={receiver.url}?token={HOOK}",
                *form,
                cwd=tmp_path,
                stdin=f"tell me {KEY}\nand again\n".encode(),
                env={**ENV, "ANTHROPIC_BASE_URL": api.url},
            )  # fmt: skip
            asked = b"".join(request.raw for request in api.requests).decode()
    told = outputs(ended, tmp_path, receiver)
    assert "[redacted:known:" in told["run.jsonl"], ended
    assert "my key is [redacted:known:" in told["stdout"].replace('"}\n', ""), ended
    assert {name: found for name, text in told.items() if (found := found_in(text))} == {}
    assert found_in(asked) == []
    # The run worked all the same: what the server needs came to it, and nothing of others.
    posts = [seen for seen in server.seen if seen.method == "POST"]
    assert len([post for post in posts if post.body.get("method") == "tools/call"]) == 3
    assert all(post.target.startswith(f"/s/{IN_PATH}/messages?") for post in posts)
    assert all(f"key={QUERY}" in post.target for post in posts)
    assert all(post.headers["Authorization"] == f"Bearer {KEY}" for post in posts)
    assert all(CLAUDE not in str(post.body) for post in posts)
    replayed = await run("replay", "run.jsonl", "--check", cwd=tmp_path)
    assert replayed.code == 0, replayed.out + replayed.err

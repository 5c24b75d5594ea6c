"""A recording from a stranger is a text to look at: whatever it says, nothing of it is done."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.compressed import zstd_library
from tests.security.poison import EVERYTHING, HARMFUL
from tests.security.test_poisoned_server import CONFIG
from tests.support.program import Ended, run, running
from tests.support.wire import hear, serve

HERE = Path(__file__).parent
READERS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "replay": (("replay", "run.jsonl", "--verbose"), ()),
    "check": (("replay", "run.jsonl", "--check"), ()),
    "fault": (("replay", "run.jsonl", "--fault", "lose=bad"), ()),
    "show": (("show", "run.jsonl", "--verbose"), ()),
    "page": (("show", "run.jsonl", "--html", "out.html"), ("out.html",)),
    "lint": (("lint", "run.jsonl"), ()),
    "diff": (("diff", "run.jsonl", "run.jsonl"), ()),
    "migrate": (("migrate", "run.jsonl", "--out", "new.jsonl"), ("new.jsonl",)),
    "redact": (
        ("redact", "run.jsonl", "--out", "new.jsonl"),
        ("new.jsonl", "new.jsonl.redactions.json"),
    ),
}
"""By name: the words, and the files that they ask for."""


async def recorded(folder: Path) -> list[Any]:
    """A run against a server whose every text is poison, line by line."""
    await run(
        *("--mcp-config", CONFIG, "--model", "direct"),
        *("--sink", "console", "--sink", "jsonl=run.jsonl"),
        cwd=folder,
        stdin=b"tell\nfail\n",
    )
    text = (folder / "run.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.rstrip("\n").split("\n")]


def armed(lines: list[Any], port: int) -> list[Any]:
    """The same with an address, a program or a file of the attacker's wherever one may stand."""
    url = f"http://127.0.0.1:{port}/canary"
    header, *items = lines
    header["session"] = f"../../{EVERYTHING}"
    header["settings"] = {
        "sink": [f"webhook={url}", "jsonl=/tmp/canary.jsonl"],
        "server": [url],
        "mcp_config": ["/tmp/canary.json"],  # noqa: S108
        "browser": "touch canary",
    }
    for server in header["plan"]["servers"]:
        server.update(url=url, program="touch")
    header["plan"]["system_prompt"] = EVERYTHING
    at = items[-1]["at"]
    more: Sequence[Any] = (
        {"kind": "open", "server": "bad"},
        {"kind": "post", "server": "bad", "url": url, "id": "x", "message": {"a": "b"}},
        {"kind": "get", "server": "bad", "url": url, "id": "y"},
        {"kind": "call_model", "call": "model:9", "messages": [{"role": "user", "content": url}]},
        {"kind": "ask", "question": "q:9"},
        {
            "kind": "question_asked",
            "question": "q:9",
            "server": "bad",
            "form": "url",
            "message": EVERYTHING,
            "url": url,
        },
        {"kind": "frame_received", "server": "bad", "event": "message", "data": EVERYTHING},
        {"kind": "sink_failed", "sink": "../../canary", "reason": EVERYTHING},
        {"kind": "run_ended", "code": 0, "reason": url},
    )
    end = [{"seq": len(items) + n, "at": at, **item} for n, item in enumerate(more)]
    return [header, *items[:-1], *end]


def written(path: Path) -> list[list[str]]:
    """What the program would have done to the world, but for writing to the null device."""
    events = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return [event for event in events if event[1:2] != ["/dev/null"]]


async def watched(log: Path, words: Sequence[str], cwd: Path) -> Ended:
    command = (sys.executable, str(HERE / "watched.py"), str(log), *words)
    async with running(cwd=cwd, command=command) as program:
        program.end_input()
        return await program.ended()


@pytest.fixture(params=READERS)
def reader(request: pytest.FixtureRequest) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return READERS[request.param]


async def test_what_reads_a_recording_connects_starts_and_writes_nothing_of_it(
    tmp_path: Path, reader: tuple[tuple[str, ...], tuple[str, ...]]
) -> None:
    words, wanted = reader
    cwd, log = tmp_path / "work", tmp_path / "log"
    cwd.mkdir()
    async with serve([hear], is_http=False) as canary:
        lines = armed(await recorded(cwd), canary.port)
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (cwd / "run.jsonl").write_text(text, "utf-8")
        before = {path.name for path in cwd.iterdir()}
        ended = await watched(log, words, cwd)
        assert canary.accepted == 0
    ended.words  # noqa: B018  no traceback
    assert HARMFUL & set(ended.out + ended.err) == set()
    did = [event for event in written(log) if not any(name in event[1] for name in wanted)]
    assert did == [], ended
    assert {path.name for path in cwd.iterdir()} - before <= set(wanted)
    assert (cwd / "run.jsonl").read_text("utf-8") == text


async def test_the_watch_sees_what_a_live_run_does(tmp_path: Path) -> None:
    """Or the test above would prove nothing."""
    async with serve([hear], is_http=False) as canary:
        url = f"http://127.0.0.1:{canary.port}/sse"
        words = ("--server", url, "--sink", "jsonl=run.jsonl", "-p", "hello", "--model", "direct")
        env_free = (*words, "--connect-timeout", "0.2")
        await watched(tmp_path / "log", env_free, tmp_path)
        assert canary.accepted > 0
    seen = {event[0] for event in written(tmp_path / "log")}
    assert {"open", "socket.connect"} <= seen


def deep(levels: int) -> bytes:
    return b'{"seq":1,"at":"x","kind":"tool_started","arguments":' + b'{"a":' * levels + b"1"


DAMAGED: dict[str, Callable[[], bytes]] = {
    "nested for ever": lambda: deep(200_000) + b"}" * 200_001 + b"\n",
    "nested and cut": lambda: deep(200_000) + b"\n",
    "no JSON": lambda: b"\x00\xff\x1b[2J" * 1000 + b"\n",
    "no UTF-8": lambda: b'{"seq":1,"at":"x","kind":"tool_started","call":"\xff\xfe"}\n',
    "another kind": lambda: b'{"seq":1,"at":"x","kind":"\x1b[2J"}\n'.replace(b"\x1b", b"\\u001b"),
    "a number without end": lambda: b'{"seq":' + b"9" * 100_000 + b',"at":"x","kind":"x"}\n',
}


@pytest.mark.parametrize("command", ["replay", "show", "lint", "diff"])
@pytest.mark.parametrize("line", DAMAGED.values(), ids=list(DAMAGED))
async def test_a_line_that_is_none_is_told_in_words(
    tmp_path: Path, command: str, line: Callable[[], bytes]
) -> None:
    (tmp_path / "run.jsonl").write_bytes(b'{"kind":"recording","format":1}\n' + line())
    files = ("run.jsonl", "run.jsonl") if command == "diff" else ("run.jsonl",)
    ended = await run(command, *files, cwd=tmp_path)
    assert ended.code in (1, 2), ended
    assert len(ended.words + ended.out) < 3_000
    assert HARMFUL & set(ended.out + ended.err) == set()


@pytest.mark.parametrize("command", ["replay", "show", "lint"])
async def test_a_small_file_that_unpacks_to_an_endless_line_is_refused_in_bounded_memory(
    tmp_path: Path, command: str
) -> None:
    zstd = zstd_library()
    block = zstd.compress(b"a" * 64 * 1024 * 1024)
    bomb = zstd.compress(b'{"kind":"recording","format":1}\n') + block * 64  # 4 GiB in 400 kB
    (tmp_path / "run.jsonl.zst").write_bytes(bomb)
    script = f"ulimit -v 2000000; exec {sys.executable} {HERE.parents[1] / 'main.py'} "
    shell = ("bash", "-c", f"{script} {command} run.jsonl.zst")
    async with running(cwd=tmp_path, command=shell) as program:
        program.end_input()
        ended = await program.ended()
    assert ended.code in (1, 2), ended
    assert "a line without an end" in ended.words + ended.out

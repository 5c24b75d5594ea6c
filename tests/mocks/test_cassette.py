"""Recordings for the length of a test: played, made, and added to, against a real server."""

import asyncio
import gc
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import ClientSession, MCPError
from mcp.client.sse import sse_client

from pipeline.background import in_background
from pipeline.cassette import CassetteError, Mode, cassette
from pipeline.core.events import ModelFinished, PromptCancelled, RunEnded
from pipeline.mocks.mcp_script import Refusal, read_scripts
from pipeline.replay import ReplayOptions, replay
from pipeline.shell.recordings import read_runs
from server.options import ServerOptions
from server.run import serve
from server.tool import Tool
from server.tools import default_tools, schema
from sinks.base import SinkError
from sinks.recording_file import RecordingFile
from tests.mocks.tapes import ready, write
from tests.mocks.test_model_mock import HI, asked, say

DEADLINE = 30.0
QUICK = {"RXMCP_RETRY_FIRST_ATTEMPTS": "1", "RXMCP_RETRY_FIRST_DELAY": "0.01"}


class Real:
    """The real server: `calls` are those it got."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.url = ""
        self.hangs = threading.Event()

    def tools(self) -> dict[str, Tool]:
        async def count(arguments: Any, _progress: Any) -> str:
            self.calls.append(dict(arguments))
            return f"answer {len(self.calls)}"

        async def hang(arguments: Any, _progress: Any) -> str:
            self.calls.append(dict(arguments))
            self.hangs.set()
            await asyncio.Event().wait()
            return ""

        loose = {"type": "object"}
        counter = Tool(name="count", description="", input_schema=loose, run=count)
        hanger = Tool(name="hang", description="", input_schema=schema({}), run=hang)
        return {"count": counter, "hang": hanger, "add": default_tools(".")["add"]}


@pytest.fixture(params=["seed", "sse"])
def real(request: pytest.FixtureRequest) -> Iterator[Real]:
    """On a thread of its own: opening a cassette holds up the loop of the test."""
    found = Real()
    with in_background(serve(ServerOptions(api_key="right"), tools=found.tools())) as running:
        found.url = f"{running.url}?dialect={request.param}"
        yield found


def opened(path: Path, mode: Mode, server: str | None = None, key: str = "right") -> Any:
    return cassette(path, mode, server=server, environ=QUICK | {"MCP_API_KEY": key})


@asynccontextmanager
async def official(url: str) -> AsyncIterator[ClientSession]:
    async with (
        asyncio.timeout(DEADLINE),
        sse_client(url) as (read, write),
        ClientSession(read, write) as session,
    ):
        await session.initialize()
        yield session


def ask(url: str, *calls: tuple[str, dict[str, Any]]) -> list[str]:
    """What the official client is answered, of a test that is not async."""

    async def main() -> list[str]:
        found: list[str] = []
        async with official(url) as session:
            for name, arguments in calls:
                try:
                    result = await session.call_tool(name, arguments)
                    found.append(result.content[0].text)
                except MCPError as exc:
                    found.append(f"error: {exc}")
        return found

    return asyncio.run(main())


def test_what_was_recorded_once_is_played_without_the_server(real: Real, tmp_path: Path) -> None:
    path = tmp_path / "recordings" / "tape.jsonl"
    calls = [("count", {"x": 1}), ("count", {"x": 1}), ("add", {"a": 2, "b": 3})]
    with opened(path, "once", real.url) as tape:
        assert not path.exists(), "it appears when it is whole"
        assert ask(tape.url, *calls) == ["answer 1", "answer 2", "5"]
    assert len(real.calls) == 2
    for mode in ("none", "once", "new"):
        with opened(path, mode, real.url) as tape:
            assert ask(tape.url, *calls) == ["answer 1", "answer 2", "5"]
            tape.assert_all_used()
            assert tape.misses == ()
    assert len(real.calls) == 2, "the real server was not asked again"
    assert [file.name for file in path.parent.iterdir()] == ["tape.jsonl"]


async def test_what_a_cassette_records_is_a_run_that_replays(tmp_path: Path) -> None:
    path = tmp_path / "tape.jsonl"
    real = Real()
    async with serve(ServerOptions(), tools=real.tools()) as running:

        def session() -> None:
            with opened(path, "once", running.url) as tape:
                ask(tape.url, ("count", {"x": 1}), ("add", {"a": 2, "b": 3}))

        await asyncio.to_thread(session)
    (run,) = read_runs(path)
    replayed = await replay(run, [], ReplayOptions(check=True))
    assert replayed.difference is None
    assert replayed.ended == RunEnded(code=0)


def test_new_calls_are_recorded_behind_the_others(real: Real, tmp_path: Path) -> None:
    path = tmp_path / "tape.jsonl"
    with opened(path, "once", real.url) as tape:
        ask(tape.url, ("count", {"x": 1}))
    before = path.read_bytes()
    with opened(path, "new", real.url) as tape:
        assert ask(tape.url, ("count", {"x": 1}), ("count", {"x": 2})) == ["answer 1", "answer 2"]
    assert path.read_bytes().startswith(before)
    assert real.calls == [{"x": 1}, {"x": 2}]
    with opened(path, "none") as tape:
        assert ask(tape.url, ("count", {"x": 2}), ("count", {"x": 1})) == ["answer 2", "answer 1"]
        tape.assert_all_used()


def test_all_records_everything_anew(real: Real, tmp_path: Path) -> None:
    path = tmp_path / "tape.jsonl"
    for answer in ("answer 1", "answer 2"):
        with opened(path, "all", real.url) as tape:
            assert ask(tape.url, ("count", {"x": 1})) == [answer]
    with opened(path, "none") as tape:
        assert ask(tape.url, ("count", {"x": 1})) == ["answer 2"]
    assert len(read_runs(path)) == 1


def test_a_call_that_cannot_be_recorded_is_a_miss_that_says_why(real: Real, tmp_path: Path) -> None:
    with opened(tmp_path / "tape.jsonl", "once", real.url) as tape:
        (answer,) = ask(tape.url, ("subtract", {}))
        assert "no tool is named 'subtract'" in answer
        (miss,) = tape.misses
        assert "not recorded: no tool is named 'subtract'" in str(miss)


def test_a_recording_ends_although_a_call_still_runs(real: Real, tmp_path: Path) -> None:
    async def leave(url: str) -> None:
        async with official(url) as session:
            first = asyncio.create_task(session.call_tool("hang", {}))
            assert await asyncio.to_thread(real.hangs.wait, DEADLINE)
            second = asyncio.create_task(session.call_tool("hang", {}))
            await session.send_ping()  # the second call has arrived before it
            for call in (first, second):
                call.cancel()
            await asyncio.wait([first, second])

    path = tmp_path / "tape.jsonl"
    with opened(path, "once", real.url) as tape:
        asyncio.run(leave(tape.url))
    assert len(real.calls) == 1
    items = [entry.item for entry in read_runs(path)[0].entries()]
    assert PromptCancelled() in items, "it does not wait for the deadline of the call"
    with opened(path, "none") as tape:
        assert tape.unused == ("hang {}",)


def test_a_post_that_the_server_refuses_is_recorded_as_refused(tmp_path: Path) -> None:
    path, call = tmp_path / "tape.jsonl", ("count", {"x": "x" * 3000})
    with (
        in_background(serve(ServerOptions(max_body_bytes=2048), tools=Real().tools())) as running,
        opened(path, "once", f"{running.url}?dialect=sse") as tape,
    ):
        (answer,) = ask(tape.url, call)
        assert "the server refused it: HTTP 413" in answer
        assert tape.misses == ()
    (exchange,) = read_scripts(read_runs(path))["server"].exchanges
    assert isinstance(exchange.answer, Refusal)
    assert exchange.answer.status == 413


def test_misses_that_a_test_reads_are_its_own(real: Real, tmp_path: Path) -> None:
    path = tmp_path / "tape.jsonl"
    with opened(path, "once", real.url) as tape:
        ask(tape.url, ("count", {"x": 1}))
    with opened(path, "none") as tape:
        ask(tape.url, ("count", {"x": 2}))
        assert [miss.asked for miss in tape.misses] == ['count {"x":2}']
        assert tape.unread_misses() == ()
        ask(tape.url, ("count", {"x": 3}))
        assert [miss.asked for miss in tape.unread_misses()] == ['count {"x":3}']
        assert tape.unread_misses() == ()
        with pytest.raises(AssertionError, match=r'not asked for:\n  count {"x":1}'):
            tape.assert_all_used()


@pytest.mark.parametrize(
    ("mode", "server", "words"),
    [
        ("none", None, "there is no recording .*--record-mode=once"),
        ("none", "http://127.0.0.1:9/sse", "there is no recording"),
        ("once", None, "--record-mode=once needs to know the real server"),
        ("new", None, "--record-mode=new needs to know the real server"),
        ("all", None, "--record-mode=all needs to know the real server"),
        ("once", "http://127.0.0.1:9/sse", "cannot record from http://127.0.0.1:9/sse: "),
        ("once", "ftp://nowhere", "ftp"),
    ],
)
def test_what_cannot_be_played_or_recorded_is_told(
    tmp_path: Path, mode: Mode, server: str | None, words: str
) -> None:
    with pytest.raises(CassetteError, match=words), opened(tmp_path / "tape.jsonl", mode, server):
        pass


def test_a_server_that_refuses_the_key_cannot_be_recorded(real: Real, tmp_path: Path) -> None:
    path = tmp_path / "tape.jsonl"
    with pytest.raises(CassetteError, match="401"), opened(path, "all", real.url, "wrong-key"):
        pass
    assert not path.exists()


def test_a_new_call_whose_server_is_gone_is_a_miss(tmp_path: Path) -> None:
    path = tmp_path / "tape.jsonl"
    write(path, ready())
    with opened(path, "new", "http://127.0.0.1:9/sse") as tape:
        (answer,) = ask(tape.url, ("add", {}))
        assert "cannot record from http://127.0.0.1:9/sse" in answer
        (again,) = ask(tape.url, ("add", {}))
        assert "cannot record from" in again
        assert len(tape.misses) == 2


@pytest.mark.parametrize("mode", ["once", "new"])
def test_a_recording_that_cannot_be_written_is_told(
    real: Real, tmp_path: Path, mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tape.jsonl"
    if mode == "new":
        write(path, ready())

    def full(*_: object) -> None:
        raise SinkError("no space left")

    stack = ExitStack()
    tape = stack.enter_context(opened(path, mode, real.url))
    monkeypatch.setattr(RecordingFile, "append", full)
    (answer,) = ask(tape.url, ("count", {"x": 1}))
    assert "no space left" in answer
    with pytest.raises(CassetteError, match="no space left"):
        stack.close()


def test_a_recording_of_several_servers_serves_each_of_them(tmp_path: Path) -> None:
    path = tmp_path / "tape.jsonl"
    write(path, ready(), ready(server="two"), servers=("one", "two"))
    with opened(path, "none") as tape:
        assert [*tape.urls] == ["one", "two"]
        with pytest.raises(CassetteError, match="'one', 'two', expected one; see `urls`"):
            _ = tape.url
        with pytest.raises(CassetteError, match="no answer of a model"):
            _ = tape.model_url
    with (
        pytest.raises(CassetteError, match="to one server only"),
        opened(path, "new", "http://127.0.0.1:9/sse"),
    ):
        pass


def test_a_recorded_model_is_served_too(tmp_path: Path) -> None:
    path = tmp_path / "tape.jsonl"
    finished = ModelFinished(call="m1", content=(say("hello"),), stop_reason="end_turn")
    write(path, asked("m1", HI), finished)
    with opened(path, "none") as tape:
        assert tape.unused == (), "the test has nothing to do with the model so far"
        assert tape.model_url.startswith("http://127.0.0.1:")
        assert tape.unused == ('the user says "hi"',)
        with pytest.raises(CassetteError, match="found the servers none"):
            _ = tape.url


def test_a_file_that_is_no_recording_is_told(tmp_path: Path) -> None:
    path = tmp_path / "tape.jsonl"
    path.write_text("words\n")
    with pytest.raises(CassetteError, match="not the first line of a recording"):
        opened(path, "none").__enter__()


def test_a_client_that_comes_at_the_last_moment_leaves_no_socket(tmp_path: Path) -> None:
    path = tmp_path / "tape.jsonl"
    write(path, ready())
    with opened(path, "none") as tape:
        port = int(tape.url.split(":")[2].removesuffix("/sse"))
        client = socket.create_connection(("127.0.0.1", port))
    client.close()
    gc.collect()  # a socket that was left warns now, and a warning is an error


def test_what_fails_in_the_background_is_raised_where_it_was_asked_for() -> None:
    @asynccontextmanager
    async def odd(when: str) -> AsyncIterator[str]:
        if when == "before":
            raise LookupError(when)
        yield when
        if when == "after":
            raise LookupError(when)

    enter: Callable[[str], Any] = lambda when: in_background(odd(when))  # noqa: E731
    with enter("well") as value:
        assert value == "well"
    with pytest.raises(LookupError, match="before"), enter("before"):
        pass
    with pytest.raises(LookupError, match="after"), enter("after"):
        pass

"""At the end of a run, a server hears that its session is not needed any more."""

import asyncio
from collections.abc import Sequence

import pytest

from pipeline.deadline import Deadline
from tests.support.outbox import KEY, Answers, free_post, get, running
from tests.support.wire import EVENT_STREAM, Request, Script, Wire, hold, reply, rst, serve

OK = reply("200 OK", b"{}", content_type="application/json")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


async def farewells(wire: Wire, messages: Sequence[dict[str, str]]) -> list[Request]:
    """The DELETEs after an outbox has had these headers to send."""
    answers = Answers()
    async with running(f"{wire.url}?key=0123456789", answers) as (outbox, _):
        for number, headers in enumerate(messages, 1):
            outbox.send(free_post(wire.url, str(number), **headers))
            await answers.reach(number)
    return [request for request in wire.requests if request.method == "DELETE"]


async def test_the_session_that_was_spoken_in_last_is_deleted_once() -> None:
    async with serve([OK]) as wire:
        (farewell,) = await farewells(
            wire,
            [
                {"Mcp_Method": "initialize"},
                {"Mcp_Session_Id": "old", "MCP_Protocol_Version": "2025-06-18"},
                {
                    "Mcp_Session_Id": "new",
                    "MCP_Protocol_Version": "2025-11-25",
                    "Mcp_Method": "tools/call",
                },
            ],
        )
    assert (farewell.target, farewell.body) == ("/sse?key=0123456789", b"")
    assert farewell.headers["mcp-session-id"] == "new"
    assert farewell.headers["mcp-protocol-version"] == "2025-11-25"
    assert farewell.headers["authorization"] == f"Bearer {KEY}"
    assert "mcp-method" not in farewell.headers
    assert "content-type" not in farewell.headers


async def test_without_a_session_nobody_says_goodbye() -> None:
    async with serve([OK]) as wire:
        assert await farewells(wire, [{"MCP_Protocol_Version": "2026-07-28"}]) == []
        assert await farewells(wire, []) == []


async def test_a_session_that_the_server_does_not_know_is_not_deleted() -> None:
    gone = reply("404 Gone")
    async with serve([OK], [gone]) as wire:
        assert await farewells(wire, [{"Mcp_Session_Id": "a"}, {"Mcp_Session_Id": "a"}]) == []
    async with serve([OK], [gone], [OK]) as wire:
        (farewell,) = await farewells(wire, [{"Mcp_Session_Id": "b"}, {"Mcp_Session_Id": "a"}])
    assert farewell.headers["mcp-session-id"] == "b"


async def test_a_stream_that_was_asked_for_is_closed_before() -> None:
    answers = Answers()
    async with serve([EVENT_STREAM, hold], [OK]) as wire:
        async with running(wire.url, answers) as (outbox, _):
            outbox.get(get(wire.url, Mcp_Session_Id="a"))
            await answers.reach(1)
        await wire.all_gone()
    assert [request.method for request in wire.requests] == ["GET", "DELETE"]


async def test_when_the_time_for_the_end_is_over_the_server_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipeline.shell.http_farewell._PATIENCE", 600.0)
    over = Deadline(0)
    over.begin()
    answers = Answers()
    async with (
        serve([OK], [hold]) as wire,
        running(wire.url, answers, shutdown=over) as (outbox, task),
    ):
        outbox.send(free_post(wire.url, "1", Mcp_Session_Id="a"))
        await answers.reach(1)
        task.cancel()
        async with asyncio.timeout(10):
            await asyncio.wait([task])


@pytest.mark.parametrize(
    "last",
    [[reply("405 No")], [reply("500 No")], [rst], [reply("301 No", location="/x")], [hold]],
    ids=["405", "500", "reset", "redirect", "silence"],
)
async def test_how_the_server_takes_it_is_its_own_matter(
    last: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.shell.http_farewell._PATIENCE", 0.1)
    before = asyncio.all_tasks()
    async with serve([OK], last) as wire:
        assert await farewells(wire, [{"Mcp_Session_Id": "a"}])
        await wire.all_gone()
        assert asyncio.all_tasks() == before

import asyncio
import socket
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from server.app import build_app
from server.gate import DESK
from server.options import ServerOptions
from server.sessions import Session, SessionRegistry
from server.stream import close_streams, notice_dead_peer, pump, serve_stream
from tests.server.helpers import (
    DEADLINE,
    Gate,
    Lines,
    RawStream,
    Stream,
    raw_clients,
    simple_tool,
    soon,
    world,
)


def _session(aborted: asyncio.Event | None = None, **options: Any) -> Session:
    abort = aborted.set if aborted is not None else lambda: None
    registry = SessionRegistry(ServerOptions(**options))
    return registry.open("seed", now=0.0, spawn=asyncio.create_task, abort=abort)


async def test_the_stream_begins_with_endpoint_and_tools_under_headers_against_buffering() -> None:
    async with world() as here, await here.open() as stream:
        headers = stream.response.headers
        assert headers["Content-Type"] == "text/event-stream"
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Accel-Buffering"] == "no"
        tools = await stream.next()
        assert tools.event == "tools"
        assert [tool["name"] for tool in tools.json][:2] == ["add", "echo"]
        assert set(tools.json[0]) == {"name", "description", "inputSchema", "annotations"}


async def test_the_strict_dialect_has_no_tools_event() -> None:
    async with world() as here, await here.open("?dialect=sse") as stream:
        assert await stream.post("ping", id=1) == 202
        assert (await stream.next()).event == "message"


async def test_silence_is_filled_with_comments() -> None:
    async with world(heartbeat=0.01) as here, await here.open() as stream:
        assert [await stream.comment() for _ in range(3)] == ["heartbeat"] * 3


async def test_a_client_that_leaves_frees_its_session_and_cancels_its_calls() -> None:
    gate = Gate()
    async with world(tools={"gate": gate.tool}) as here:
        async with await here.open() as stream:
            assert await stream.call("gate") == 202
            await soon(gate.started)
            assert (here.server.session_count, here.server.call_count) == (1, 1)
        await soon(gate.cancelled)
        await here.log.until("closed: the client left")
        assert (here.server.session_count, here.server.call_count) == (0, 0)
        assert await stream.call("gate") == 404


async def test_fifty_sessions_leave_nothing_behind() -> None:
    async with world() as here:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as http:
            answers = await asyncio.gather(*(http.get(here.server.url) for _ in range(50)))
            streams = [Stream(answer, http) for answer in answers]
            await asyncio.gather(*(stream.__aenter__() for stream in streams))
            assert here.server.session_count == 50
            assert len({stream.session_id for stream in streams}) == 50
            for answer in answers:
                answer.close()
        for number in range(1, 51):
            await here.log.until(f"session {number} closed")
        assert here.server.session_count == 0
    # world() has checked that no task is left.


async def test_an_idle_session_is_ended_and_its_id_is_unknown_from_then_on() -> None:
    async with world(idle_timeout=0.05) as here, await here.open() as stream:
        events = await stream.rest()
        assert [event.event for event in events] == ["tools"]
        await here.log.until("closed: idle")
        assert here.server.session_count == 0
        assert await stream.call("now") == 404


async def test_a_session_with_a_call_running_is_not_idle() -> None:
    gate = Gate()
    async with world(tools={"gate": gate.tool}, idle_timeout=0.02, heartbeat=0.01) as here:
        async with await here.open() as stream:
            assert await stream.call("gate") == 202
            for _ in range(10):  # comments over five times the idle time
                await stream.comment()
            assert here.server.session_count == 1
            gate.open.set()
            assert (await stream.next("result")).json["content"][0]["text"] == "opened"
            await stream.rest()
        await here.log.until("closed: idle")


async def test_a_client_that_never_reads_is_cut_off_at_its_bound_and_others_live_on() -> None:
    async def big(_arguments: Any, _progress: Any) -> str:
        return "x" * 500_000

    tools = {"big": simple_tool("big", big)}
    async with (
        world(tools=tools, max_queue_bytes=1024 * 1024, max_calls=1000) as here,
        raw_clients() as (http, streams),
        await here.open() as other,
    ):
        deaf = await RawStream.open(here.server.port)
        streams.append(deaf)
        deaf.stop_reading()
        sent, status = 0, 202
        while status == 202 and sent < 100:
            status = await deaf.call(http, here.server.url, "big")
            sent += 1
        assert status == 404
        assert sent < 30  # kernel buffers hide some megabytes; the bound is one
        await here.log.until("session 2 closed: the client reads too slowly")
        assert await other.call("big") == 202
        assert len((await other.next("result")).data) > 500_000
        assert here.server.session_count == 1


async def test_a_write_that_takes_too_long_cuts_the_client_off() -> None:
    aborted = asyncio.Event()
    session = _session(aborted, write_timeout=0.01)
    session.send(b"event")

    async def stuck(_: bytes) -> None:
        await asyncio.Event().wait()

    options = ServerOptions(write_timeout=0.01)
    async with asyncio.timeout(DEADLINE):
        await pump(session, stuck, options, clock=lambda: 0.0)
    assert aborted.is_set()
    assert session.ended == "the client reads too slowly"


async def test_what_is_queued_goes_out_before_the_end_in_order() -> None:
    session = _session()
    written: list[bytes] = []

    async def write(event: bytes) -> None:
        written.append(event)
        if event == b"2":
            session.send(b"too late")

    for event in (b"1", b"2", b"3"):
        session.send(event)
    session.end("done")
    async with asyncio.timeout(DEADLINE):
        await pump(session, write, ServerOptions(), clock=lambda: 0.0)
    assert written == [b"1", b"2", b"3"]
    assert session.outbox.size == 0


async def test_the_pump_wakes_for_what_is_sent_while_it_waits() -> None:
    session = _session()
    written: asyncio.Queue[bytes] = asyncio.Queue()

    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as group:
        group.create_task(pump(session, written.put, ServerOptions(), clock=lambda: 0.0))
        for event in (b"1", b"2"):
            await asyncio.sleep(0)
            session.send(event)
            assert await written.get() == event
        session.end("done")


class _Wire(asyncio.Transport):
    """A transport that is nothing but its socket."""

    def __init__(self, wire: socket.socket | None) -> None:
        super().__init__({} if wire is None else {"socket": wire})


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux only")
def test_a_vanished_machine_is_noticed_by_the_system_within_the_write_timeout() -> None:
    with socket.socket() as wire:
        notice_dead_peer(_Wire(wire), 7.5)
        assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 7500


def test_a_transport_without_a_socket_is_left_as_it_is() -> None:
    notice_dead_peer(_Wire(None), 7.5)


async def test_streams_that_do_not_end_in_time_are_cut_off_and_the_others_are_not() -> None:
    registry = SessionRegistry(ServerOptions())
    cut: list[str] = []
    stuck = registry.open(
        "seed", now=0.0, spawn=asyncio.create_task, abort=lambda: cut.append("stuck")
    )
    willing = registry.open(
        "seed", now=0.0, spawn=asyncio.create_task, abort=lambda: cut.append("willing")
    )

    async def end() -> None:
        await willing.wake.wait()
        registry.close(willing)

    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as group:
        group.create_task(end())
        await close_streams(registry, seconds=0.01)
    assert cut == ["stuck"]
    assert (stuck.ended, willing.ended) == ("the server stops", "the server stops")


async def test_a_client_that_left_before_its_stream_began_gets_no_session() -> None:
    desk = build_app(ServerOptions(), log=lambda _: None)[DESK]
    request: Any = SimpleNamespace(transport=None)
    with pytest.raises(ConnectionResetError):
        await serve_stream(request, desk, "seed")
    assert desk.sessions.count == 0


async def test_without_handler_cancellation_a_departure_is_noticed_at_a_heartbeat() -> None:
    log = Lines()
    app = build_app(ServerOptions(heartbeat=0.01), log=log)
    runner = web.AppRunner(app, handler_cancellation=False, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    client = await RawStream.open(runner.addresses[0][1])
    client.writer.transport.abort()
    await log.until("closed: the client left")
    assert app[DESK].sessions.count == 0
    await runner.cleanup()


def test_the_application_can_be_built_without_a_running_loop() -> None:
    app = build_app(ServerOptions(), log=lambda _: None)
    assert {str(route.method) for route in app.router.routes()} == {"GET", "POST"}

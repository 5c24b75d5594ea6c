import asyncio
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from server import run as module
from server.options import ServerOptions
from server.run import RunningServer, ServerStartError, serve, serve_until_cancelled
from tests.server.helpers import (
    DEADLINE,
    Gate,
    Lines,
    RawStream,
    raw_clients,
    simple_tool,
    soon,
    world,
)


async def test_the_url_leads_to_the_stream_on_a_free_port() -> None:
    async with world() as here, await here.open():
        assert here.server.port > 0
        assert here.server.url == f"http://127.0.0.1:{here.server.port}/sse"


async def test_two_servers_live_side_by_side() -> None:
    async with world() as one, world() as two, await one.open():
        assert (one.server.session_count, two.server.session_count) == (1, 0)


async def test_on_ipv6_the_url_has_brackets() -> None:
    try:
        async with serve(ServerOptions(host="::1")) as running:
            assert running.url == f"http://[::1]:{running.port}/sse"
    except ServerStartError as error:  # a machine without IPv6
        assert "::1" in error.what  # noqa: PT017


async def test_on_all_addresses_the_url_is_one_that_can_be_called_and_the_log_warns() -> None:
    log = Lines()
    async with serve(ServerOptions(host="0.0.0.0"), log=log) as running:  # noqa: S104
        assert running.url.startswith("http://127.0.0.1:")
        await log.until("! without an API key, everybody on the network")


async def test_on_all_addresses_with_a_key_nothing_is_warned_of() -> None:
    log = Lines()
    async with serve(ServerOptions(host="0.0.0.0", api_key="k"), log=log):  # noqa: S104
        assert not any(line.startswith("!") for line in log.lines)


async def test_a_port_in_use_is_told_with_what_to_do() -> None:
    async with world() as here:
        with pytest.raises(ServerStartError) as caught:
            async with serve(ServerOptions(port=here.server.port)):
                pytest.fail("two servers on one port")
    error = caught.value
    assert error.what == f"cannot listen on 127.0.0.1:{here.server.port}"
    assert error.why == "the port is in use"
    assert error.what_to_do == "choose another port, or 0 for a free one"
    assert str(error) == f"{error.what}: {error.why}; {error.what_to_do}"


async def test_an_address_of_another_machine_is_told() -> None:
    with pytest.raises(ServerStartError, match="no such address on this machine"):
        async with serve(ServerOptions(host="192.0.2.1")):
            pytest.fail("bound to a documentation address")


async def test_another_reason_is_told_in_the_words_of_the_system(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def broken(_: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(module.web.TCPSite, "start", broken)
    with pytest.raises(ServerStartError, match="Name or service not known; check the host"):
        async with serve(ServerOptions(host="no.such.host.invalid")):
            pytest.fail("bound to no host")


async def test_a_folder_that_is_none_is_told_unless_no_tool_looks_at_it(tmp_path: Path) -> None:
    options = ServerOptions(folder=str(tmp_path / "gone"))
    with pytest.raises(ServerStartError, match=r"gone.*it is not a folder"):
        async with serve(options):
            pytest.fail("served a folder that is not there")
    async with serve(options, tools={}):
        pass


async def test_the_real_search_sees_the_folder_of_the_options(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("the needle\n")
    async with world(folder=str(tmp_path)) as here, await here.open() as stream:
        await stream.call("search_text", {"query": "needle"})
        result = (await stream.next("result")).json
        assert result["content"][0]["text"] == "notes.txt:1: the needle"


async def test_stopping_ends_open_streams_in_order_and_cancels_their_calls_at_once() -> None:
    gate = Gate()
    loop = asyncio.get_running_loop()
    async with raw_clients() as (http, streams):
        async with serve(ServerOptions(shutdown_timeout=4.0), tools={"gate": gate.tool}) as running:
            streams += [await RawStream.open(running.port) for _ in range(20)]
            for stream in streams:
                assert await stream.call(http, running.url, "gate") == 202
            await soon(gate.started)
            assert (running.session_count, running.call_count) == (20, 20)
            began = loop.time()
        assert loop.time() - began < 1.0
        assert gate.cancelled.is_set()
        assert (running.session_count, running.call_count) == (0, 0)
        for stream in streams:
            # The last chunk of the body came: an end in order, not a broken connection.
            rest = await asyncio.wait_for(stream.reader.read(), DEADLINE)
            assert rest.endswith(b"0\r\n\r\n")


async def test_a_deaf_client_cannot_hold_up_the_stop_beyond_the_deadline() -> None:
    async def big(_arguments: Any, _progress: Any) -> str:
        return "x" * 1_000_000

    loop = asyncio.get_running_loop()
    log = Lines()
    options = ServerOptions(shutdown_timeout=0.4, max_queue_bytes=64 * 1024 * 1024)
    async with raw_clients() as (http, streams):
        async with serve(options, tools={"big": simple_tool("big", big)}, log=log) as running:
            deaf = await RawStream.open(running.port)
            streams.append(deaf)
            deaf.stop_reading()
            for _ in range(20):  # far more than the system's own buffers take
                assert await deaf.call(http, running.url, "big") == 202
            began = loop.time()
        assert 0.2 <= loop.time() - began < 0.9
        await log.until("closed: the server stops")


async def test_a_tool_that_clings_to_life_cannot_hold_up_the_stop_beyond_the_deadline() -> None:
    started, release = asyncio.Event(), asyncio.Event()

    async def clinging(_arguments: Any, _progress: Any) -> str:
        started.set()
        while not release.is_set():
            with suppress(asyncio.CancelledError):
                await release.wait()
        return ""

    loop = asyncio.get_running_loop()
    tools = {"cling": simple_tool("cling", clinging)}
    async with raw_clients() as (http, streams):
        async with serve(ServerOptions(shutdown_timeout=0.4), tools=tools) as running:
            streams.append(await RawStream.open(running.port))
            await streams[0].call(http, running.url, "cling")
            await soon(started)
            began = loop.time()
        assert loop.time() - began < 0.9
        release.set()


async def test_serving_until_cancelled_tells_when_it_listens_and_stops_cleanly() -> None:
    running: asyncio.Future[RunningServer] = asyncio.get_running_loop().create_future()
    log = Lines()
    task = asyncio.create_task(
        serve_until_cancelled(ServerOptions(), tools={}, log=log, started=running.set_result)
    )
    async with asyncio.timeout(DEADLINE):
        port = (await running).port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
    assert log.lines[-1] == "= stopped"
    with pytest.raises(OSError, match="Connect call failed"):
        await asyncio.open_connection("127.0.0.1", port)


async def test_by_default_nothing_is_said() -> None:
    async with serve(ServerOptions()) as running:
        assert running.call_count == 0
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await serve_until_cancelled(ServerOptions())

"""The official `mcp` package's client, as one that knows nothing of this server."""

import asyncio

from mcp import ClientSession
from mcp.client.sse import sse_client
from mcp_types import PaginatedRequestParams

from tests.server.helpers import DEADLINE, world


async def _talk(url: str, headers: dict[str, str] | None = None) -> None:
    told: list[tuple[float, float | None]] = []

    async def progress(done: float, total: float | None, _message: str | None) -> None:
        told.append((done, total))

    async with (
        asyncio.timeout(DEADLINE),
        sse_client(url, headers=headers) as (read, write),
        ClientSession(read, write) as session,
    ):
        begun = await session.initialize()
        assert begun.server_info.name == "rxmcp-reference"
        names: list[str] = []
        params: PaginatedRequestParams | None = None
        while True:
            page = await session.list_tools(params=params)
            names += [tool.name for tool in page.tools]
            if page.next_cursor is None:
                break
            params = PaginatedRequestParams(cursor=page.next_cursor)
        assert names == ["add", "echo", "fail", "now", "search_text", "wait"]
        added = await session.call_tool("add", {"a": 2, "b": 3})
        assert (added.content[0].text, added.is_error) == ("5", False)
        failed = await session.call_tool("fail", {"message": "on purpose"})
        assert (failed.content[0].text, failed.is_error) == ("on purpose", True)
        await session.call_tool("wait", {"seconds": 0.02}, progress_callback=progress)
        assert told == [(0.02, 0.02)]


async def test_it_initializes_lists_calls_and_gets_progress_in_the_strict_dialect() -> None:
    async with world(page_size=4) as here:
        await _talk(f"{here.server.url}?dialect=sse")
        await here.log.until("closed: the client left")


async def test_it_skips_the_tools_event_of_the_seed_dialect() -> None:
    async with world() as here:
        await _talk(here.server.url)


async def test_it_comes_in_with_a_key() -> None:
    async with world(api_key="right-key") as here:
        await _talk(f"{here.server.url}?dialect=sse", {"Authorization": "Bearer right-key"})

"""How a server was found out is told once: what it speaks, how many requests, how long."""

from pipeline.core.codec import Entry
from pipeline.core.commands import Get, Item, Open, Post
from pipeline.core.events import Route, SessionReady, ToolsChanged
from sinks.discovery import Discovery
from sinks.notices import Notice

ROUTE = Route(server="s", url="http://h/mcp", dialect="http", protocol="2025-11-25")
READY = SessionReady(server="s", route=ROUTE, protocol="2025-11-25")
TOOLS = ToolsChanged(server="s", tools=())
POST = Post(server="s", url="u", id="1", message={})


def told(*items: Item) -> list[Notice]:
    discovery, found = Discovery(), []
    for number, item in enumerate(items):
        at = f"2026-11-24T06:28:23.{number:03d}000Z"
        found += discovery.read(Entry(number + 1, at, item))
    return found


def test_requests_are_counted_up_to_the_first_list_of_tools() -> None:
    opened = Open(server="s", transport="http")
    get = Get(server="s", url="u", id="2")
    (notice,) = told(opened, POST, get, POST, READY, TOOLS, POST, READY, TOOLS)
    assert notice == Notice("=", "s: speaks http, 2025-11-25; 3 requests, 0.005 s to its tools")


def test_an_event_stream_is_a_request_and_one_that_did_not_do_counts_too() -> None:
    (notice,) = told(Open(server="s", transport="http"), Open(server="s"), READY, TOOLS)
    assert "; 1 request, " in notice.text


def test_each_server_is_counted_by_itself() -> None:
    other = Open(server="other", transport="stdio")
    (notice,) = told(Open(server="s", transport="http"), other, POST, READY, TOOLS)
    assert notice.text.startswith("s: speaks")
    assert "; 1 request, " in notice.text


def test_a_server_that_is_not_ready_says_nothing() -> None:
    assert told(Open(server="s"), TOOLS) == []
    assert told(POST, READY, TOOLS) == []

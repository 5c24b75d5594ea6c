"""Lists that a person asks for, page by page. MCP: server/utilities, "Pagination"."""

from msgspec.structs import replace

from pipeline.core import jsonrpc
from pipeline.core.events import Json, ReplyReceived
from pipeline.core.request_table import (
    LISTS,
    LONGEST_KEPT,
    Move,
    Request,
    Requests,
    fail,
    fresh,
    post,
    succeed,
)
from pipeline.core.shapes import is_list, is_object

_INVALID_PARAMS = -32602


def on_page(table: Requests, request: Request, result: Json) -> Move:
    """A page of a list: the last one ends the request, with all of them in one."""
    key = LISTS[request.method]
    page, cursor = result.get(key), result.get("nextCursor")
    if not is_list(page):
        words = f"found {type(page).__name__} as {key!r}, expected a list"
        return fail(table, request, words)
    items = (*request.items, *(item for item in page if is_object(item)))
    request = replace(request, items=items, fresh=fresh(request, result))
    if not isinstance(cursor, str):
        return succeed(table, request, {**result, key: list(items)})
    plan = table.plan
    is_cut = len(request.cursors) + 1 >= plan.max_pages or len(items) >= plan.max_tools
    if not is_cut and cursor not in request.cursors:
        cursors = (*request.cursors, cursor)
        return post(table, replace(request, cursor=cursor, cursors=cursors))
    cut = f"the list is cut after {len(items)} items (--max-pages, --max-tools)"
    why = cut if is_cut else "the list repeats its cursor"
    return succeed(table, request, {**result, key: list(items[: plan.max_tools])}, why)


def on_list_error(table: Requests, request: Request, reply: ReplyReceived) -> Move:
    """A page was refused: a list that a server does not have is empty."""
    key = LISTS[request.method]
    if reply.code == jsonrpc.METHOD_NOT_FOUND:
        return succeed(table, request, {key: []}, "the server has no such list")
    if reply.code == _INVALID_PARAMS and request.cursor is not None and not request.losses:
        # The cursor has become invalid: once, that is as good as a loss.
        return post(table, from_the_first_page(replace(request, losses=1)))
    return fail(table, request, reply.error)


def from_the_first_page(request: Request) -> Request:
    """A cursor is of one session: the next one begins anew."""
    return replace(request, items=(), cursors=(), cursor=None, fresh=LONGEST_KEPT)

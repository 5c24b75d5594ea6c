"""What a server may do about a request: the words that the scripts of faults are made of.

A script for a call in the order of a server that works is `run, accept, answer, end`; a fault is
another word somewhere in it. Where the dialect has one stream for all answers, `accept` takes the
message, and what follows happens on that stream.
"""

import asyncio
import zlib
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from tests.faults import dialects
from tests.faults.dialects import BY_ANSWER, CALL, OF_ONE_STREAM
from tests.faults.exchange import Exchange, Stream
from tests.support.wire import hold as hold_peer
from tests.support.wire import reply
from tests.support.wire import rst as reset_peer

_BEAT = 0.02  # seconds between two signs of life
RETRY_MS = 10
Verb: TypeAlias = Callable[[Exchange], Awaitable[None]]


# --- as it should be --------------------------------------------------------------------------


async def well(x: Exchange) -> None:
    """What a good server does."""
    match x.request.method:
        case "GET" if x.dialect in OF_ONE_STREAM:
            await open_session(x)
        case "GET" if x.dialect == "http":
            await own_stream(x)
        case "DELETE" if x.dialect == "http":
            x.server.sessions.pop(x.session, None)
            await status("200 OK")(x)
        case "POST" if not _is_known(x):
            await status("404 Not Found")(x)
        case "POST" if x.method == CALL:
            for step in (run, accept, answer, end):
                await step(x)
        case "POST" if "id" in x.message and x.method:
            await _answer_request(x)
        case "POST":
            await status("202 Accepted")(x)
        case _:
            await status("405 Method Not Allowed")(x)


async def run(x: Exchange) -> None:
    """Execute the call, as the ledger shows."""
    x.server.ledger.note(x.call.n)


async def accept(x: Exchange) -> None:
    """Take the message, and say nothing more yet."""
    if x.dialect in OF_ONE_STREAM and x.request.method == "POST":
        x.stream = x.server.sessions[x.session]
        await x.peer.send(reply("202 Accepted", connection="close"))
        x.peer.writer.close()  # what comes next over it would wait for the end of this script
    else:
        await begin(x)


async def begin(x: Exchange, head: str = "") -> None:
    """Answer this very request with an event stream."""
    x.stream = Stream(x.peer, is_framed=x.server.is_framed)
    await x.stream.begin(head)


async def begin_packed(x: Exchange) -> None:
    """The same, and what follows is gzip, which nobody has asked for."""
    await begin(x, "Content-Encoding: gzip\r\n")


async def answer(x: Exchange) -> None:
    """The right answer, whole."""
    await x.out.send(right_answer(x))


async def end(x: Exchange) -> None:
    """The end of an answer that is a stream; the one stream of a session goes on."""
    if x.dialect in BY_ANSWER:
        await finish(x)


async def finish(x: Exchange) -> None:
    """The end of a stream, in good order."""
    await x.out.end()


async def open_session(x: Exchange) -> None:
    """A session's one stream, with all that belongs to its beginning, until the client leaves."""
    await begin(x)
    await name_endpoint(x)
    if x.dialect == "seed":
        await x.out.send(dialects.event(_tools_of_seed(), "tools"))
    await hold(x)


async def name_endpoint(x: Exchange) -> None:
    """Begin a session, and say where its messages go."""
    name = x.server.begin_session(x.stream)
    x.notes["session"] = name
    await x.out.send(dialects.event(f"/messages?session_id={name}", "endpoint"))


async def own_stream(x: Exchange) -> None:
    """The server's own stream, which says nothing; or the rest of one that may be resumed."""
    if not _is_known(x):
        await status("404 Not Found")(x)
        return
    await begin(x)
    name, _, place = x.request.headers.get("last-event-id", "").rpartition("/")
    if not name:
        x.server.sessions[x.session] = x.stream
        await hold(x)
    for event in x.server.logs.get(name, [])[int(place or 0) :]:
        await x.out.send(event)
    await x.out.end()


async def hold(x: Exchange) -> None:
    """Nothing more, until the client has left."""
    await hold_peer(x.peer)
    x.server.sessions.pop(x.notes.get("session", ""), None)


# --- as it should not -------------------------------------------------------------------------


async def half(x: Exchange) -> None:
    """The right answer, up to its middle."""
    whole = right_answer(x)
    await x.out.send(whole[: len(whole) // 2])


async def rst(x: Exchange) -> None:
    """A TCP reset of the connection that the answer was to come over."""
    await reset_peer(x.out.peer)


async def cut(x: Exchange) -> None:
    """The same with a FIN, in mid stream."""
    x.out.peer.writer.close()


async def drop(x: Exchange) -> None:
    """A TCP reset of the connection that the request came over."""
    await reset_peer(x.peer)


async def close(x: Exchange) -> None:
    """The connection that the request came over ends without an answer."""
    x.peer.writer.close()


async def silence(x: Exchange) -> None:
    """Nothing more about this request, while its connection stays."""
    if x.dialect in BY_ANSWER:
        await hold_peer(x.peer)


async def pings(x: Exchange) -> None:
    """Signs of life, and nothing else."""
    while not x.out.peer.writer.is_closing():
        await x.out.send(b": ping\n\n")
        await asyncio.sleep(_BEAT)


async def progress(x: Exchange) -> None:
    """Progress, and nothing else, for ever."""
    step = 0
    while not x.out.peer.writer.is_closing():
        step += 1
        await x.out.send(told("notifications/progress", progressToken=x.call.token, progress=step))
        await asyncio.sleep(_BEAT)


async def drip(x: Exchange) -> None:
    """The right answer, one byte at a time."""
    for byte in right_answer(x):
        await x.out.send(bytes([byte]))
        await asyncio.sleep(0)


async def keep(x: Exchange) -> None:
    """The answer may be had later: an event with an id and a wish for a pause, and no more now."""
    x.log = f"call-{x.call.n}"
    x.server.logs[x.log] = [right_answer(x, f"{x.log}/1")]
    await x.out.send(f"id: {x.log}/0\nretry: {RETRY_MS}\ndata:\n\n".encode())


async def expire(x: Exchange) -> None:
    """The server knows no session any more, and says so."""
    x.server.sessions.clear()
    await status("404 Not Found")(x)


async def restart(x: Exchange) -> None:
    """It crashes and is there again at once, knowing nothing."""
    await x.server.forget()


async def go_down(x: Exchange) -> None:
    """It crashes and stays away, until the test has it `listen`."""
    await x.server.down()


async def wait(x: Exchange) -> None:
    """Go on when the test says so."""
    await x.server.gate.wait()


async def until_given_up(x: Exchange) -> None:
    """Go on when the client has given the call up, in the way that its dialect has for that."""
    if x.dialect == "modern":
        await hold_peer(x.peer)
    else:
        await x.server.got("notifications/cancelled")


async def elsewhere(x: Exchange) -> None:
    """Have the answer come on the server's own stream, where it has one."""
    x.stream = x.server.sessions.get(x.session) or x.stream


def status(line: str, body: bytes = b"", **headers: str) -> Verb:
    """A whole answer by HTTP: `status("503 No", retry_after="1")`."""

    async def step(x: Exchange) -> None:
        await x.peer.send(reply(line, body, **headers))

    return step


def say(data: bytes | Callable[[Exchange], bytes]) -> Verb:
    """These bytes where the answer comes; they may depend on the request."""

    async def step(x: Exchange) -> None:
        await x.out.send(data if isinstance(data, bytes) else data(x))

    return step


def as_json(data: bytes | Callable[[Exchange], bytes], **headers: str) -> Verb:
    """A body that says it is JSON, in place of a stream."""

    async def step(x: Exchange) -> None:
        body = data if isinstance(data, bytes) else data(x)
        await x.peer.send(reply("200 OK", body, content_type="application/json", **headers))

    return step


# --- what is said -----------------------------------------------------------------------------


def right_text(x: Exchange) -> str:
    """The right answer to a call, as JSON."""
    result = dialects.result_of(x.dialect, CALL, x.call.n)
    assert result is not None, "every dialect has calls"
    return dialects.answer_text(x.dialect, x.call.id, result)


def right_answer(x: Exchange, id_: str = "") -> bytes:
    """The same as an event."""
    return dialects.answer_event(x.dialect, right_text(x), id_)


def told(method: str, **params: object) -> bytes:
    """A notification as an event."""
    return dialects.event(dialects.notification(method, **params), "message")


def bomb(prefix: bytes, mib: int) -> bytes:
    """`prefix` and so many MiB of nothing behind it, as gzip: a thousandth of that."""
    packer = zlib.compressobj(wbits=31)  # 31: with the head and tail of gzip
    blank = b" " * 1024 * 1024
    parts = [packer.compress(prefix), *(packer.compress(blank) for _ in range(mib))]
    return b"".join([*parts, packer.flush()])


def _tools_of_seed() -> str:
    return dialects.json.dumps(dialects.TOOLS)


def _is_known(x: Exchange) -> bool:
    if x.dialect == "modern" or x.method in ("initialize", "server/discover"):
        return True
    return x.session in x.server.sessions


async def _answer_request(x: Exchange) -> None:
    """A request that is no call, as JSON or on the session's stream."""
    result = dialects.result_of(x.dialect, x.method)
    id_ = x.message["id"]
    text = (
        dialects.unknown_method(id_)
        if result is None
        else dialects.answer_text(x.dialect, id_, result)
    )
    if x.dialect in OF_ONE_STREAM:
        await accept(x)
        await say(dialects.event(text, "message"))(x)
        return
    line = "200 OK" if result is not None else "400 Bad Request"
    headers = {"content_type": "application/json"}
    if x.dialect == "http" and x.method == "initialize":
        headers["mcp_session_id"] = x.server.begin_session(None)
    await status(line, text.encode(), **headers)(x)

"""What a server does about a request as it should: the words that scripts begin with.

The script for a call is `run, accept, answer, end`. Where the dialect has one stream for all
answers, `accept` takes the message, and what follows happens on that stream.
"""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from tests.faults import dialects
from tests.faults.dialects import BY_ANSWER, CALL, OF_ONE_STREAM
from tests.faults.exchange import Exchange, Stream
from tests.support.wire import hold as hold_peer
from tests.support.wire import reply

Verb: TypeAlias = Callable[[Exchange], Awaitable[None]]


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
        case "POST" if not is_known(x):
            await status("404 Not Found")(x)
        case "POST" if x.method == CALL:
            for step in (run, accept, answer, end):
                await step(x)
        case "POST" if x.is_question:
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
    if not is_known(x):
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


def _tools_of_seed() -> str:
    return dialects.json.dumps(dialects.TOOLS)


def is_known(x: Exchange) -> bool:
    """Is it of a session that the server knows, where it needs one?"""
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

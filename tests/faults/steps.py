"""What a server may do instead: one such word in a script makes a fault of it.

`tests/faults/good.py` has the other words.
"""

import asyncio
import zlib

from tests.faults.dialects import BY_ANSWER
from tests.faults.exchange import Exchange
from tests.faults.good import Verb, begin, right_answer, status, told
from tests.support.wire import hold as hold_peer
from tests.support.wire import rst as reset_peer

_BEAT = 0.02  # seconds between two signs of life
_AWAY = 0.05  # seconds that nobody listens after `go_away`
RETRY_MS = 150


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


def reports(count: int) -> Verb:
    """Progress, so many times."""

    async def step(x: Exchange) -> None:
        for n in range(1, count + 1):
            token = x.call.token
            await x.out.send(told("notifications/progress", progressToken=token, progress=n))

    return step


async def drip(x: Exchange) -> None:
    """The right answer, one byte at a time."""
    await x.out.drip(right_answer(x))


async def drip_for_ever(x: Exchange) -> None:
    """A line that never ends, one byte at a time."""
    await x.out.send(b"data: ")
    while not x.out.peer.writer.is_closing():
        await x.out.send(b"x")
        await asyncio.sleep(_BEAT)


async def keep(x: Exchange) -> None:
    """The answer may be had later: an event with an id and a wish for a pause, and no more now."""
    name = f"call-{x.call.n}"
    x.server.logs[name] = [right_answer(x, f"{name}/1")]
    await x.out.send(f"id: {name}/0\nretry: {RETRY_MS}\ndata:\n\n".encode())


async def expire(x: Exchange) -> None:
    """The server knows no session any more, and says so."""
    x.server.sessions.clear()
    await status("404 Not Found")(x)


def pause(seconds: float) -> Verb:
    """Nothing for so long, then what is next in the script."""

    async def step(_: Exchange) -> None:
        await asyncio.sleep(seconds)

    return step


async def go_away(x: Exchange) -> None:
    """It is restarted, slowly: for a moment nobody is there, and then it knows nothing."""
    if x.server.is_listening:  # else another request has just done the same
        await x.server.down()
        await asyncio.sleep(_AWAY)
        await x.server.listen()


async def restart(x: Exchange) -> None:
    """It crashes and is there again at once, knowing nothing."""
    await x.server.forget()


async def until_given_up(x: Exchange) -> None:
    """Go on when the client has given the call up, in the way that its dialect has for that."""
    if x.dialect == "modern":
        await hold_peer(x.peer)
    else:
        await x.server.got("notifications/cancelled")


async def elsewhere(x: Exchange) -> None:
    """Have the answer come on the server's own stream, where it has one."""
    x.stream = x.server.sessions.get(x.session) or x.stream


def bomb(prefix: bytes, mib: int) -> bytes:
    """`prefix` and so many MiB of nothing behind it, as gzip: a thousandth of that."""
    packer = zlib.compressobj(wbits=31)  # 31: with the head and tail of gzip
    blank = b" " * 1024 * 1024
    parts = [packer.compress(prefix), *(packer.compress(blank) for _ in range(mib))]
    return b"".join([*parts, packer.flush()])


async def begin_packed(x: Exchange) -> None:
    """Answer with an event stream that is packed with gzip, which nobody has asked for."""
    await begin(x, "Content-Encoding: gzip\r\n")

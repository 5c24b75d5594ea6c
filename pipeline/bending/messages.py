"""The messages of a bent run, answered as the recorded ones were: found by what they mean."""

from collections.abc import Iterable, Iterator

import msgspec

from pipeline.bending.bends import Bends
from pipeline.bending.clock import VirtualClock
from pipeline.bending.exchange import Exchange, Put
from pipeline.bending.links import Message, as_answer_to, is_request, meaning
from pipeline.bending.patience import Patience
from pipeline.bending.script import Asked, Reply
from pipeline.bending.servers import Servers
from pipeline.bending.standing import Standing
from pipeline.core import jsonrpc
from pipeline.core.commands import Get, Post
from pipeline.core.events import FrameReceived, Input, Json
from pipeline.mocks import mcp_script
from pipeline.mocks.match import Miss, Shelf
from pipeline.mocks.mcp_session import INVALID_PARAMS

_ACCEPTED, _OK, _NOT_ALLOWED = 202, 200, 405


class Messages:
    """All posts and gets; their answers go to `put`. `misses`: what the recording cannot answer."""

    def __init__(
        self,
        asked: Iterable[Asked],
        servers: Servers,
        *,
        clock: VirtualClock,
        bends: Bends,
        patience: Patience,
        put: Put,
    ) -> None:
        self.misses: list[Miss] = []
        self._servers = servers
        self._clock = clock
        self._bends = bends
        self._patience = patience
        self._put = put
        self._exchanges: dict[tuple[str, str], Exchange] = {}
        self._recorded: dict[tuple[str, str], Exchange] = {}
        self._shelves: dict[tuple[str, bool], Shelf[Asked]] = {}
        self._asked = [each for each in asked if isinstance(each.command, Post | Get)]
        for each in self._asked:
            message = _message(each)
            shelf = self._shelf(message)
            self._shelves[message.server, _is_http(message)] = shelf
            shelf.put(each.meaning, each)

    def take_over(self, standing: Standing, since: int) -> None:
        """Go on with the answers that are under way at event `since`; those before were given."""
        awaited = {
            (_message(each).server, reply.of)
            for each in self._asked
            for reply in each.replies
            if reply.of and reply.seq >= since
        }
        for each in self._asked:
            if each.seq > since:
                break
            message = _message(each)
            key = (message.server, message.id)
            self._shelf(message).take(each.meaning)
            if each.seq < standing.began:
                continue
            later = [reply for reply in each.replies if reply.seq >= since]
            is_waiting = standing.posted.get(key) == each.seq
            if later or is_waiting or key in awaited:
                exchange = self._begin(message)
                exchange.go_on(self._heard(each, since))
                self._play(exchange, each, later, each.at)
                if is_waiting:
                    self._wait(exchange, each.at)

    def _heard(self, asked: Asked, since: int) -> Iterator[Input]:
        """What came of a message before event `since`."""
        message = _message(asked)
        for each in self._asked:
            is_same = _message(each).server == message.server
            for reply in each.replies if is_same else ():
                is_of_it = reply.of == message.id if reply.of else each is asked
                if is_of_it and reply.seq < since:
                    yield reply.item

    def send(self, message: Message) -> None:
        """Send a message, or ask for a stream."""
        exchange = self._begin(message)
        self._wait(exchange, self._clock.us)
        if (broken := self._broken(message)) is not None:
            exchange.take_up(broken)
            return
        asked = self._shelf(message).take(meaning(message))
        if asked is not None:
            self._play(exchange, asked, asked.replies, self._clock.us)
        else:
            self._improvise(exchange, message)

    def cut(self, server: str, id_: str) -> None:
        """Close the answer to a message."""
        if (server, id_) in self._exchanges:
            self._exchanges.pop((server, id_)).cut("cut off by us")

    def drop(self, server: str) -> None:
        """A server's connection is over: the answers to what goes side by side go with it."""
        for (name, _), exchange in tuple(self._exchanges.items()):
            if name == server and _is_http(exchange.message):
                exchange.cut("the connection to the server was given up")

    def _begin(self, message: Message) -> Exchange:
        server = self._servers[message.server]
        exchange = Exchange(message, server, clock=self._clock, bends=self._bends, put=self._put)
        self._exchanges[message.server, message.id] = exchange
        return exchange

    def _play(
        self, exchange: Exchange, asked: Asked, replies: Iterable[Reply], began: int | None
    ) -> None:
        """Answer as `asked` was answered; some of it may be due to a message before this one."""
        server, recorded = exchange.message.server, _message(asked).id
        self._recorded[server, recorded] = exchange
        for reply in replies:
            of = reply.of or recorded
            owner = self._recorded.get((server, of))
            if owner is not None:
                item = as_answer_to(reply.item, owner.message.id, of)
                owner.expect(reply.due(began), item, reply.seq)

    def _wait(self, exchange: Exchange, began: int) -> None:
        message, patience = exchange.message, self._patience
        if isinstance(message, Get):
            exchange.wait(began, patience.connect_timeout, " (--connect-timeout)")
        elif message.seconds is None:
            exchange.wait(began, patience.post.post_timeout, " (--post-timeout)")
        else:
            exchange.wait(began, message.seconds)

    def _shelf(self, message: Message) -> Shelf[Asked]:
        """What a server answered over this transport: each has its own way to answer."""
        key = message.server, _is_http(message)
        return self._shelves.get(key) or Shelf(mcp_script.words, leading=("method", "name"))

    def _broken(self, message: Message) -> Exchange | None:
        """The answer that broke off, if this asks for the rest of one."""
        last = message.headers.get("Last-Event-ID") if isinstance(message, Get) else None
        if last is None:
            return None
        mine = (e for (server, _), e in self._exchanges.items() if server == message.server)
        return next((e for e in mine if e.rest and e.last_event_id == last), None)

    def _improvise(self, exchange: Exchange, message: Message) -> None:
        """What a server answers that does not know better: it takes it, or says that it cannot."""
        spoke_http = (message.server, True) in self._shelves
        if isinstance(message, Get) or (message.side_by_side and not spoke_http):
            exchange.say(status=_NOT_ALLOWED)
        elif not is_request(message):
            exchange.say(status=_ACCEPTED)
        else:
            miss = self._shelf(message).miss(meaning(message))
            self.misses.append(miss)
            error = _error(message, miss.line)
            text = msgspec.json.encode(error).decode()
            if message.side_by_side:
                exchange.say(status=_OK, body=text)
            else:
                event = "message" if "jsonrpc" in error else "error"
                frame = FrameReceived(server=message.server, event=event, data=text)
                exchange.say(status=_ACCEPTED, frame=frame)


def _is_http(message: Message) -> bool:
    """Does it have an answer of its own, as over Streamable HTTP?"""
    return isinstance(message, Get) or message.side_by_side


def _error(post: Post, words: str) -> Json:
    if "tool" in post.message:
        return {"id": post.id, "error": words}
    return jsonrpc.refusal(post.id, INVALID_PARAMS, words)


def _message(asked: Asked) -> Message:
    assert isinstance(asked.command, Post | Get), "looked at when it was put on the shelf"
    return asked.command

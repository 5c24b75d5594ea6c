"""The links of a run to its servers: what each transport's connection and messages go through."""

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import aiohttp
from reactivex import Observable, Subject

from config.settings import Settings
from operators.fail_when import fail_when
from operators.heartbeat import heartbeat
from operators.retry_with_backoff import retry_with_backoff
from pipeline.core.events import Input, StreamLost
from pipeline.deadline import Deadline
from pipeline.mailbox import Mailbox
from pipeline.shell import streams
from pipeline.shell.coroutine import from_coroutine
from pipeline.shell.http_link import http_link, is_alive
from pipeline.shell.http_post import Outbox
from pipeline.shell.http_sse import StreamAlive, StreamItem
from pipeline.shell.process import Program
from pipeline.shell.sender import Sender
from pipeline.shell.sign_in import ToldAuthorizer
from pipeline.shell.stdio import Pipe, PipeSender, read_process
from pipeline.shell.streams import Seams, Transport
from pipeline.shell.targets import Target

Server: TypeAlias = Target | Program


class Links:
    """Makes the link of each server, and what sends to it."""

    def __init__(
        self,
        servers: Sequence[Server],
        settings: Settings,
        inbox: Mailbox[Input],
        *,
        stream_http: aiohttp.ClientSession,
        post_http: aiohttp.ClientSession,
        shutdown: Deadline | None = None,
    ) -> None:
        self._shutdown = Deadline() if shutdown is None else shutdown
        self._settings = settings
        self._inbox = inbox
        self._stream_http = stream_http
        self._post_http = post_http
        targets = [each for each in servers if isinstance(each, Target)]
        self._sign_ins = {
            each.name: ToldAuthorizer(each.authorizer, each.name, inbox.put) for each in targets
        }
        self._targets = {
            each.name: replace(each, authorizer=self._sign_ins[each.name]) for each in targets
        }
        self._pipes = {each.name: Pipe(each) for each in servers if isinstance(each, Program)}
        self._successes: dict[str, Subject[StreamAlive]] = {
            name: Subject() for name in self._targets
        }
        self._outboxes = {name: self._outbox(target) for name, target in self._targets.items()}
        self.senders: Mapping[str, Sender] = {
            **self._outboxes,
            **{name: self._pipe_sender(pipe) for name, pipe in self._pipes.items()},
        }

    def make(
        self, server: str, transport: Transport, seams: Seams
    ) -> Observable[StreamItem | StreamLost]:
        """A server's link: it fails where its connection does, and comes back with patience."""
        settings, is_healthy = self._settings, streams.is_healthy
        wish: Callable[[Exception], float | None] = streams.wish
        match transport:
            case "sse":
                sign_in = self._sign_ins[server]
                source = streams.connection(
                    self._targets[server],
                    http=self._stream_http,
                    options=settings.stream,
                    spawn=seams.spawn,
                    room=seams.room,
                    now=time.time,
                ).pipe(
                    fail_when(seams.kicks),
                    heartbeat(
                        settings.heartbeat,
                        suspended=lambda: seams.suspended() or sign_in.is_under_way,
                        clock=asyncio.get_running_loop().time,
                    ),
                )
            case "stdio":
                source = self._process(self._pipes[server], seams).pipe(fail_when(seams.kicks))
            case "http":
                outbox = self._outboxes[server]
                link = http_link(server, self._successes[server], drop=outbox.drop)
                source = link.pipe(fail_when(seams.kicks))
                is_healthy = is_alive
                # What a message was asked for: the link's own failures know nothing of it.
                wish = _always(outbox.wish)
        return source.pipe(
            retry_with_backoff(
                settings.retry,
                is_fatal=streams.is_fatal,
                wish=wish,
                announce=streams.announce(server),
                is_healthy=is_healthy,
                jitter=random.random,
            )
        )

    def _process(self, pipe: Pipe, seams: Seams) -> Observable[StreamItem]:
        def run(push: Callable[[StreamItem], None]) -> Coroutine[Any, Any, None]:
            return read_process(
                pipe,
                options=self._settings.stream,
                push=push,
                room=seams.room,
                shutdown=self._shutdown,
            )

        return from_coroutine(run, seams.spawn)

    def _outbox(self, target: Target) -> Outbox:
        settings, inbox, successes = self._settings, self._inbox, self._successes[target.name]
        return Outbox(
            target,
            self._post_http,
            settings.post,
            settings.stream,
            put=inbox.put,
            room=inbox.room,
            on_success=lambda: successes.on_next(StreamAlive(target.name)),
            now=time.time,
            shutdown=self._shutdown,
        )

    def _pipe_sender(self, pipe: Pipe) -> Sender:
        patience = self._settings.post.post_timeout
        return PipeSender(pipe, put=self._inbox.put, patience=patience)


def _always(wish: Callable[[], float | None]) -> Callable[[Exception], float | None]:
    """The same wish whatever failed."""
    return lambda _: wish()

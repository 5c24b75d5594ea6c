"""Each way to a server, cancelled at every place at which it waits."""

import asyncio
from contextlib import suppress

import pytest

from config.options import StreamOptions
from pipeline.core.events import AnswerEnded, PostAnswered, StreamOpened
from pipeline.shell.http import make_post_session, make_stream_session
from pipeline.shell.http_sse import StreamEndedError, StreamItem, StreamMemory, read_stream
from pipeline.shell.process import Program
from pipeline.shell.stdio import Pipe, PipeSender, read_process
from pipeline.shell.targets import make_target
from tests.support.outbox import Answers, Said, free_post, get, make_outbox, post
from tests.support.sweep import Interrupt, sweep
from tests.support.wire import EVENT_STREAM, close, serve

EVENTS = (EVENT_STREAM, b"data: 1\n\n", b"data: 2\n\n", close)
OPTIONS = StreamOptions()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


async def room() -> None:
    """Others have their turn, and one that waits can be cancelled."""
    await asyncio.sleep(0)


async def test_an_event_stream_is_let_go() -> None:
    async def scene(interrupt: Interrupt) -> None:
        memory, items = StreamMemory(), list[StreamItem]()
        async with serve(EVENTS) as wire, make_stream_session() as http:
            target = make_target("fs", wire.url)

            async def body() -> None:
                with suppress(StreamEndedError):
                    await read_stream(
                        http, target, options=OPTIONS, memory=memory, push=items.append, room=room,
                        now=lambda: 0.0,
                    )  # fmt: skip

            await interrupt(body())
            await wire.all_gone()
        assert items[:1] in ([], [StreamOpened(server="fs")])

    assert await sweep(scene) >= 4


async def test_each_message_is_answered_once_and_no_answer_stays_open() -> None:
    async def scene(interrupt: Interrupt) -> None:
        answers = _Ends(count=4)
        async with serve(EVENTS) as wire, make_post_session() as http:
            outbox = make_outbox(wire.url, http, answers, room=room)
            answers.at_the_end = outbox.close
            outbox.send(post(wire.url, "1"))
            outbox.send(post(wire.url, "2"))
            outbox.send(free_post(wire.url, "3", Mcp_Session_Id="s-1"))  # so it takes leave, too
            outbox.get(get(wire.url, "4", Mcp_Session_Id="s-1"))
            await interrupt(outbox.run())
            await wire.all_gone()
        assert sorted(answer.id for answer in answers.answered) == ["1", "2", "3", "4"]

    assert await sweep(scene) >= 10


class _Ends(Answers):
    """Answers that end the outbox when all messages have theirs."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.at_the_end = lambda: None
        self._count = count

    def put(self, item: Said) -> None:
        super().put(item)
        is_open = [each for each in self.answered if each.is_open]
        ends = [each for each in self.items if isinstance(each, AnswerEnded)]
        if len(self.answered) == self._count and len(ends) == len(is_open):
            self.at_the_end()


ECHO = 'read -r line; echo "$line"; echo "it is done" >&2'


async def test_a_process_has_ended_and_each_message_to_it_is_answered_once() -> None:
    async def scene(interrupt: Interrupt) -> None:
        said = list[object]()
        pipe = Pipe(Program("it", "sh", ("-c", ECHO)))
        sender = PipeSender(pipe, put=said.append, patience=10.0)

        def push(item: object) -> None:
            said.append(item)
            if isinstance(item, StreamOpened):
                sender.send(post("", "1"))

        async def body() -> None:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(sender.run())
                with suppress(StreamEndedError):
                    await read_process(pipe, options=OPTIONS, push=push, room=room)
                sender.close()

        await interrupt(body())
        answers = [item for item in said if isinstance(item, PostAnswered)]
        assert len(answers) == sum(isinstance(item, StreamOpened) for item in said)
        assert pipe.process is None

    assert await sweep(scene) >= 8

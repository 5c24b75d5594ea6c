"""A whole run inside the test: what is told, written down first, and when it ends."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline import assembly
from pipeline.core.codec import Entry, Header
from pipeline.core.commands import Open, Post
from pipeline.core.events import (
    AnswerCompleted,
    CallRejected,
    InputEnded,
    Problem,
    PromptCancelled,
    PromptSubmitted,
    RunEnded,
    RunStarted,
    SinkFailed,
    StreamOpened,
    ToolEnded,
    ToolProgress,
    ToolsChanged,
    ToolStarted,
)
from pipeline.core.plan import Plan
from server.arguments import Arguments
from server.options import ServerOptions
from server.run import RunningServer, serve
from server.tool import Progress, Tool
from server.tools import schema
from sinks.base import SinkError
from sinks.jsonl import JsonlSink
from sinks.memory import MemorySink
from tests.support.in_process import Lines, play, playing, settings_of


class Held(JsonlSink):
    """A recording on a disk that is slow: from the first item of `kind` on, until it is let go."""

    def __init__(self, path: Path, kind: type[object]) -> None:
        super().__init__(path, Header(), on_notice=lambda _: None)
        self.is_holding = asyncio.Event()
        self.may_go_on = asyncio.Event()
        self._kind = kind

    async def emit(self, entries: Sequence[Entry]) -> None:
        if any(isinstance(entry.item, self._kind) for entry in entries):
            self.is_holding.set()
            await self.may_go_on.wait()
        await super().emit(entries)


class Broken(MemorySink):
    """Takes nothing, not even the first item."""

    name = "broken"

    async def emit(self, entries: Sequence[Entry]) -> None:  # noqa: ARG002  the protocol's
        raise SinkError("the disk is full")


def counting(calls: list[Arguments]) -> dict[str, Tool]:
    async def run(arguments: Arguments, _progress: Progress) -> str:
        calls.append(arguments)
        return "done"

    return {"act": Tool(name="act", description="", input_schema=schema({}), run=run)}


async def settle() -> None:
    """Long enough for loopback: nothing that may happen waits for anything else."""
    for _ in range(300):
        await asyncio.sleep(0)


async def test_no_tool_is_called_before_the_recording_has_it(tmp_path: Path) -> None:
    calls: list[Arguments] = []
    held = Held(tmp_path / "run.jsonl", ToolStarted)
    async with (
        serve(ServerOptions(), tools=counting(calls)) as server,
        playing("--server", server.url, lines=Lines(["act"]), sinks=[held]) as run,
    ):
        await held.is_holding.wait()
        await run.saw(Post)
        await settle()
        assert calls == []
        assert server.call_count == 0
        held.may_go_on.set()
        played = await run.ended()
    assert len(calls) == 1
    assert played.one(AnswerCompleted).text == "done"


async def test_no_server_is_met_before_the_recording_has_it(tmp_path: Path) -> None:
    held = Held(tmp_path / "run.jsonl", Open)
    async with (
        serve(ServerOptions()) as server,
        playing("--server", server.url, sinks=[held]) as run,
    ):
        await held.is_holding.wait()
        await settle()
        assert server.session_count == 0
        held.may_go_on.set()
        await run.saw(StreamOpened)
        await run.ended()


async def test_a_recording_that_fails_holds_up_nothing(tmp_path: Path) -> None:
    class Failing(Held):
        async def emit(self, entries: Sequence[Entry]) -> None:  # noqa: ARG002  the protocol's
            raise SinkError("the disk is full")

    failing = Failing(tmp_path / "run.jsonl", Open)
    async with serve(ServerOptions()) as server:
        played = await play("--server", server.url, prompts=["add a=2 b=3"], sinks=[failing])
    assert played.one(AnswerCompleted).text == "5"
    (failed,) = played.only(SinkFailed)
    assert failed.reason == "the disk is full"
    assert failed.is_final
    assert played.one(Problem).detail == "the disk is full"
    assert played.ended == RunEnded(code=0)


async def test_a_run_that_nobody_hears_any_more_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every sink has failed: going on would be for nobody."""
    async with serve(ServerOptions()) as server:
        lines = Lines(is_open=True)  # no end of input will come
        async with playing("--server", server.url, lines=lines) as run:
            await run.saw(ToolsChanged)

            async def emit(_entries: Sequence[Entry]) -> None:
                raise SinkError("whoever read it has gone")

            monkeypatch.setattr(run.memory, "emit", emit)
            lines.say("help")
            played = await run.ended()
    assert played.ended.code == 141


async def test_progress_of_a_call_is_told() -> None:
    async with serve(ServerOptions()) as server:
        argv = ("--server", server.url, "--dialect", "sse")
        played = await play(*argv, "call", "wait", "seconds=0.02")
    assert played.one(ToolProgress).progress == 0.02
    assert played.one(ToolEnded).outcome == "answered"
    assert played.ended == RunEnded(code=0)


async def test_a_list_on_many_pages_is_read_to_its_end() -> None:
    async with serve(ServerOptions(page_size=2)) as server:
        played = await play("--server", server.url, "--dialect", "sse", "tools")
    names = [tool.name for tool in played.one(ToolsChanged).tools]
    assert names == ["add", "echo", "fail", "now", "search_text", "wait"]
    lists = [post for post in played.only(Post) if post.message["method"] == "tools/list"]
    assert len(lists) == 3


@pytest.mark.parametrize("dialect", ["seed", "sse"])
async def test_a_tool_that_comes_later_can_be_called(dialect: str) -> None:
    lines = Lines(["add a=1 b=1"], is_open=True)

    async def late(_arguments: Arguments, _progress: Progress) -> str:
        return "better late"

    tool = Tool(name="late", description="", input_schema=schema({}), run=late)
    async with serve(ServerOptions()) as server:
        argv = ("--server", server.url, "--dialect", dialect)
        async with playing(*argv, lines=lines) as run:
            await run.saw(AnswerCompleted)
            server.add_tool(tool)
            await run.saw(ToolsChanged, added=("late",))
            lines.say("late")
            lines.end()
            played = await run.ended()
    assert played.only(AnswerCompleted)[-1].text == "better late"


async def test_a_seed_server_that_echoes_no_ids_is_called_in_turn() -> None:
    """As the dialect's origin: the answer belongs to the oldest call, so there is only one."""
    most = 0
    running = 0

    async def run(_arguments: Arguments, _progress: Progress) -> str:
        nonlocal most, running
        running += 1
        most = max(most, running)
        await settle()
        running -= 1
        return "done"

    tool = Tool(name="act", description="", input_schema=schema({}), run=run)
    async with serve(ServerOptions(echo_ids=False), tools={"act": tool}) as server:
        played = await play("--server", server.url, prompts=["act ; act ; act", "act ; act"])
    assert [answer.text for answer in played.only(AnswerCompleted)] == [
        "done\ndone\ndone",
        "done\ndone",
    ]
    assert most == 1


async def test_an_interrupt_ends_the_turn_and_in_a_chat_with_a_person_not_the_run() -> None:
    lines = Lines(["wait seconds=50"], is_open=True)
    async with (
        serve(ServerOptions()) as server,
        playing("--server", server.url, lines=lines, is_interactive=True) as run,
    ):
        await run.saw(ToolStarted)
        run.client.interrupt("SIGINT")
        assert run.client.is_interrupted
        await run.saw(AnswerCompleted, stop="cancelled")
        lines.say("add a=2 b=3")
        await run.saw(AnswerCompleted, text="5")
        assert not run.client.is_interrupted
        lines.say(PromptCancelled())
        played = await run.ended()
    assert played.ended.code == 130


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], [RunStarted()]),
        (["tools"], [RunStarted(), InputEnded()]),
        (["-p", "hi"], [RunStarted(), PromptSubmitted(text="hi\n\nthere"), InputEnded()]),
    ],
)
def test_what_a_run_begins_with(argv: list[str], expected: list[object]) -> None:
    settings = settings_of(*argv)
    goals = {(): "chat", ("tools",): "tools"}
    plan = Plan(goal=goals.get(tuple(argv), "prompt"))  # type: ignore[arg-type]  # data
    assert (
        list(assembly.first_inputs(settings, plan, context=PromptSubmitted(text="there")))
        == expected
    )


async def test_a_call_of_the_command_line_takes_words_or_json() -> None:
    async with serve(ServerOptions()) as server:
        for words in (["message=two words"], [json.dumps({"message": "two words"})]):
            played = await play("--server", server.url, "call", "echo", *words)
            assert played.one(ToolStarted).arguments == {"message": "two words"}
        played = await play("--server", server.url, "call", "nope")
    assert played.one(CallRejected).tool == "nope"
    assert played.ended.code == 2


async def test_a_sink_that_cannot_be_opened_is_told_to_the_caller(tmp_path: Path) -> None:
    sink = JsonlSink(tmp_path / "no" / "run.jsonl", Header(), on_notice=lambda _: None)
    async with serve(ServerOptions()) as server:
        with pytest.raises(SinkError, match="there is no directory"):
            await play("--server", server.url, prompts=["hi"], sinks=[sink])
        assert no_session(server)


def no_session(server: RunningServer) -> bool:
    return server.session_count == 0

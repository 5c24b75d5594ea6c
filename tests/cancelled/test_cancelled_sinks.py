"""Each sink, cancelled at every place at which it waits: nothing is left, nothing told is lost."""

import asyncio
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import pytest

from config.options import RecordingOptions
from pipeline.core.codec import Entry, Header
from pipeline.core.events import (
    AnswerCompleted,
    AnswerDelta,
    PromptSubmitted,
    RunEnded,
    RunStarted,
    Tool,
    ToolEnded,
    ToolsChanged,
)
from pipeline.shell.recordings import last_run
from sinks.base import Sink
from sinks.console import ConsoleSink
from sinks.json_output import JsonSink, StreamJsonSink
from sinks.jsonl import JsonlSink
from sinks.results import CallSink, ToolsSink
from sinks.webhook import WebhookSink
from tests.support.receiver import Answer, Receiver
from tests.support.sweep import Interrupt, sweep
from tests.support.webhooks import QUICK, opened

AT = "2026-11-24T06:28:23.000001Z"
HEADER = Header(rxmcp="0.1.0", session="s1", at=AT)
LARGE = "x" * 300_000  # a write of this takes a thread
ITEMS = (
    RunStarted(),
    PromptSubmitted(text="hello"),
    ToolsChanged(server="s", tools=(Tool(server="s", name="t", alias="mcp__s__t"),)),
    ToolEnded(call="c", server="s", tool="t", outcome="answered"),
    AnswerDelta(text=LARGE),
    AnswerCompleted(text=LARGE, turns=1),
    RunEnded(code=0),
)
ENTRIES = [Entry(seq, AT, item) for seq, item in enumerate(ITEMS, 1)]


async def use(sink: Sink, emitted: list[Entry]) -> None:
    """As a `SinkActor` uses it; `emitted` gets what the sink said it has."""
    try:
        await sink.open()
        for entry in ENTRIES:
            if sink.wants(entry.item):
                await sink.emit([entry])
                emitted.append(entry)
    finally:
        await sink.close()


RECORDINGS = {
    "interval": RecordingOptions(),
    "always": RecordingOptions(fsync="always"),
    "none": RecordingOptions(fsync="none"),
    "parts": RecordingOptions(fsync="always", rotate_size=64 * 1024, compress="gzip"),
}


@pytest.mark.parametrize("kind", RECORDINGS)
async def test_a_recording_has_all_that_it_said_to_have(kind: str, tmp_path: Path) -> None:
    runs = itertools.count()

    async def scene(interrupt: Interrupt) -> None:
        path = tmp_path / str(next(runs)) / "run.jsonl"
        path.parent.mkdir()
        notices, emitted = list[str](), list[Entry]()

        def recording(header: Header | None) -> JsonlSink:
            return JsonlSink(path, header, on_notice=notices.append, options=RECORDINGS[kind])

        await interrupt(use(recording(HEADER), emitted))
        found = entries_of(path)
        assert found[: len(emitted)] == emitted
        assert found == ENTRIES[: len(found)]
        again = recording(HEADER)  # no lock is left
        await again.open()
        await again.close()
        assert all("run ended before" in notice for notice in notices)
        assert entries_of(path) == []

    assert await sweep(scene) >= 4


def entries_of(path: Path) -> list[Entry]:
    """The last run of a recording; its last line, too, is whole."""
    if not path.exists():
        return []
    assert path.read_bytes().endswith(b"\n")
    return list(last_run(path).entries())


WEBHOOK = QUICK.model_copy(update={"first_delay": 0.001, "max_delay": 0.002, "drain": 0.05})
SCRIPTS = {
    "accepts": [],
    "fails": [Answer(status=500), Answer(drops=True), Answer(status=500)],
    "hangs": [Answer(hangs=True)],
}


@pytest.mark.parametrize("script", SCRIPTS)
async def test_a_webhook_is_let_go_and_what_it_was_not_sent_is_told(script: str) -> None:
    async def scene(interrupt: Interrupt) -> None:
        problems, emitted = list[str](), list[Entry]()
        async with Receiver(SCRIPTS[script]) as receiver:
            sink = WebhookSink(receiver.url, WEBHOOK, session="s1", on_problem=problems.append)
            await interrupt(use(sink, emitted))
            accepted = [posted.id for posted in receiver.accepted]
        sent = [f"msg_s1_{entry.seq}" for entry in emitted]
        assert accepted == [each for each in sent if each in accepted], "in order, and once"
        assert problems or accepted == sent, "some were not delivered, and nobody was told"

    assert await sweep(scene) >= 4


@pytest.mark.parametrize("script", SCRIPTS)
async def test_what_a_webhook_has_kept_is_sent_by_the_next_run(script: str, tmp_path: Path) -> None:
    runs = itertools.count()

    async def scene(interrupt: Interrupt) -> None:
        problems, emitted = list[str](), list[Entry]()
        folder = {"outbox": "disk", "state_home": str(tmp_path / str(next(runs)))}
        options = WEBHOOK.model_copy(update=folder)
        async with Receiver(SCRIPTS[script]) as receiver:
            sink = WebhookSink(receiver.url, options, session="s1", on_problem=problems.append)
            await interrupt(use(sink, emitted))
            patient = options.model_copy(update={"drain": 10.0, "attempts": 10})
            async with opened(receiver.url, patient, session="s2"):
                pass
            accepted = [posted.id for posted in receiver.accepted]
        assert {f"msg_s1_{entry.seq}" for entry in emitted} <= set(accepted)

    assert await sweep(scene) >= 4


def console(file: TextIO) -> Sink:
    return ConsoleSink(file, file, colour=False, is_terminal=False)


SCREENS: dict[str, Callable[[TextIO], Sink]] = {
    "console": console,
    "stream-json": StreamJsonSink,
    "json": JsonSink,
    "tools": lambda file: ToolsSink(file, as_json=True),
    "call": lambda file: CallSink(file, as_json=True),
}


@pytest.mark.parametrize("kind", SCREENS)
async def test_a_stream_gets_whole_pieces_and_no_writer_stays(kind: str) -> None:
    """The reader is slow: what is written does not fit into the pipe."""

    async def scene(interrupt: Interrupt) -> None:
        reading, writing = os.pipe()
        with os.fdopen(reading, "rb") as reader, os.fdopen(writing, "w") as file:
            text = asyncio.create_task(asyncio.to_thread(reader.read))
            await interrupt(use(SCREENS[kind](file), []))
            file.close()
            await text

    assert await sweep(scene) >= 1

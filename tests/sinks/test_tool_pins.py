"""What the core wants remembered of tools is handed on, in order, and trouble is told."""

import threading

from pipeline.core.codec import Entry
from pipeline.core.commands import Item, PinTools
from pipeline.core.events import AnswerDelta
from pipeline.core.plan import ToolPin
from sinks.tool_pins import PinsSink

PIN = PinTools(server="s", pins={"add": ToolPin(digest="sha256:1")})


def entries(*items: Item) -> list[Entry]:
    return [Entry(number, "2026-11-24T13:00:00Z", item) for number, item in enumerate(items, 1)]


async def test_each_pin_is_kept_in_order_and_off_the_loop() -> None:
    kept: list[tuple[PinTools, bool]] = []

    def keep(command: PinTools) -> str:
        kept.append((command, threading.current_thread() is threading.main_thread()))
        return ""

    sink = PinsSink(keep, on_trouble=list[str]().append)
    other = PinTools(server="t", pins={}, is_approval=True)
    await sink.open()
    await sink.emit(entries(PIN, AnswerDelta(text="x"), other))
    await sink.close()
    assert kept == [(PIN, False), (other, False)]


async def test_trouble_is_told_and_the_next_one_is_tried() -> None:
    answers, told = iter(["the disk is full", ""]), list[str]()
    sink = PinsSink(lambda _: next(answers), on_trouble=told.append)
    await sink.emit(entries(PIN, PIN))
    assert told == ["the disk is full"]


def test_it_wants_nothing_else() -> None:
    sink = PinsSink(lambda _: "", on_trouble=list[str]().append)
    assert sink.wants(PIN)
    assert not sink.wants(AnswerDelta(text="x"))

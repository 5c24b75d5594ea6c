"""Which event a fault is for."""

from pathlib import Path

import pytest

from config.recording_values import FaultWish
from pipeline.bending.bends import Bend, Bends, choose
from pipeline.bending.reader import read_script
from pipeline.core.events import (
    FrameReceived,
    Input,
    InputEnded,
    ModelFinished,
    ModelSpoke,
    PostAnswered,
    PromptSubmitted,
    RunStarted,
    StreamOpened,
)
from pipeline.shell.recordings import RecordedRun, RecordingError
from tests.support.bending import record, seq_of
from tests.support.bent_sessions import chat, sse_plan


@pytest.fixture
def run(tmp_path: Path) -> RecordedRun:
    return record(tmp_path / "run.jsonl", sse_plan(), *chat())


def place(run: RecordedRun, kind: str, at: int) -> int:
    """The event that is chosen."""
    fault = FaultWish.model_validate({"kind": kind, "at": at})
    return choose(run.entries(), read_script(run.entries()), [fault]).first


@pytest.mark.parametrize(
    ("kind", "start", "chosen"),
    [
        ("drop", (RunStarted, 1), (StreamOpened, 1)),
        ("silence", (RunStarted, 1), (StreamOpened, 1)),
        ("duplicate", (RunStarted, 1), (FrameReceived, 1)),
        ("500", (PromptSubmitted, 1), (ModelFinished, 1)),
        ("404", (ModelFinished, 1), (ModelFinished, 1)),
        ("500", (ModelSpoke, 1), (ModelSpoke, 1)),
        ("500", (ModelFinished, 2), (ModelFinished, 3)),
        ("500", (FrameReceived, 1), (PostAnswered, 1)),
        ("404", (FrameReceived, 2), (PostAnswered, 1)),
        ("500", (FrameReceived, 4), (PostAnswered, 4)),
        ("delay", (PromptSubmitted, 2), (PromptSubmitted, 2)),
        ("delay", (InputEnded, 1), (InputEnded, 1)),
        ("drop", (PromptSubmitted, 2), (ModelFinished, 3)),
    ],
)
def test_a_fault_is_for_the_event_of_its_number_or_the_next_that_it_fits(
    run: RecordedRun, kind: str, start: tuple[type[Input], int], chosen: tuple[type[Input], int]
) -> None:
    assert place(run, kind, seq_of(run, *start)) == seq_of(run, *chosen)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("drop", "expected something that came over a connection"),
        ("duplicate", "expected a frame of a server"),
        ("500", "expected the answer to a POST, or the beginning of a stream"),
        ("silence", "expected something that a server or the model said"),
    ],
)
def test_a_fault_that_fits_nothing_is_refused_in_words(
    run: RecordedRun, kind: str, words: str
) -> None:
    last = seq_of(run, InputEnded)
    with pytest.raises(RecordingError, match=words) as caught:
        place(run, kind, last)
    assert f"--fault {kind}@{last}: found nothing to bend from event {last} on" in str(caught.value)
    assert f"the last event from outside is {last}" in str(caught.value)


def test_each_bend_comes_about_once() -> None:
    fault = FaultWish(kind="drop", at=3)
    bend = Bend(fault, 3, StreamOpened(server="s"))
    bends = Bends([bend])
    assert bends.take(2, "early") is None
    assert bends.missed == (bend,)
    assert bends.take(3, "then") is bend
    assert bends.take(3, "again") is None
    assert [happened.at for happened in bends.happened] == ["then"]
    assert (bends.missed, bends.first) == ((), 3)

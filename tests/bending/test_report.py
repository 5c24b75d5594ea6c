"""What a person is told about a bent run."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from pipeline.bending.report import report
from pipeline.core.events import (
    FrameReceived,
    InputEnded,
    PostAnswered,
    PromptSubmitted,
    StreamOpened,
)
from pipeline.shell.recordings import last_run
from tests.support.bending import bent, record, seq_of, seq_with, write
from tests.support.bent_sessions import FIVE, chat, sse_plan, sse_start
from tests.support.play import ADD, a_plan, answered, finished, frame, lost, opened, seed_start, use

SEED = Path(__file__).parents[1] / "recordings" / "seed.jsonl"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.jsonl"


async def test_it_says_what_was_bent_what_that_changed_and_how_all_ended(path: Path) -> None:
    run = record(path, sse_plan(), *chat())
    frame_of_c1 = seq_with(run, "call:c1")
    lines = report(run, await bent(run, f"drop@{frame_of_c1}")).split("\n")
    assert lines == [
        f"bent: drop@{frame_of_c1}: event {frame_of_c1}, frame_received ('s', 'message'), "
        "at 2026-11-24T06:28:26.000000Z",
        f"differs: first in server s, event {frame_of_c1} of the bent run (B)",
        "  in A: nothing",
        '  in B: {"kind":"stream_lost","server":"s","reason":"the connection was dropped '
        f'(--fault drop@{frame_of_c1})","retry_in":0.0,"attempt":1}}',
        "calls: 1 unknown",
        "  c1 add: unknown (recorded: answered): the connection to 's' was lost before the answer: "
        f"the connection was dropped (--fault drop@{frame_of_c1})",
        "note: the model was asked 1 thing that the recording does not hold, and said what it said "
        "next there; what it would have said, nobody knows",
        "ended: exit status 0, after 7.00 s; recorded: exit status 0, after 7.00 s",
    ]


async def test_it_names_the_event_that_was_taken_in_the_place_of_another(path: Path) -> None:
    run = record(path, sse_plan(), *chat())
    frame_of_c1, post_of_c1 = seq_with(run, "call:c1"), seq_of(run, PostAnswered, id="call:c1")
    told = report(run, await bent(run, f"500@{frame_of_c1}"))
    words = f"bent: 500@{frame_of_c1}: event {post_of_c1} in the place of {frame_of_c1}, "
    assert told.startswith(f"{words}post_answered ('s', 'call:c1'), at ")


async def test_it_says_that_nothing_came_of_it(path: Path) -> None:
    run = record(path, sse_plan(), *chat())
    told = report(run, await bent(run, "delay:0@1"))
    assert "\ndiffers: in nothing that counts\ncalls: 1 answered\nended: " in told


async def test_it_says_which_fault_did_not_come_about(path: Path) -> None:
    run = record(path, sse_plan(), *chat())
    first, second = seq_of(run, PostAnswered, id="call:c1"), seq_with(run, "call:c1")
    told = report(run, await bent(run, f"404@{first}", f"drop@{second}"))
    words = f"not bent: drop@{second}: event {second}, frame_received ('s', 'message'), never came"
    assert words in told


async def test_it_names_the_requests_that_the_recording_cannot_answer(path: Path) -> None:
    start = [(0.01 * n, item) for n, item in enumerate(seed_start(ADD), 1)]
    run = record(path, a_plan("s", model="claude-x"), *start, (1.0, InputEnded()))
    told = report(run, await bent(run, f"delay:5@{seq_of(run, FrameReceived, 2)}"))
    assert "\nnote: answered with an error, for want of an answer: the recording holds" in told


async def test_a_run_that_did_not_end_in_the_recording_is_told_as_such(path: Path) -> None:
    run = record(path, sse_plan(), *chat()[:-1])
    assert report(run, await bent(run, "delay:0@1")).endswith("; recorded: not at all")


async def test_a_time_that_nobody_can_read_is_unknown(path: Path) -> None:
    run = record(path, sse_plan(), *chat())
    entries = [replace(entry, at="") for entry in run.entries()]
    timeless = write(path.with_name("timeless.jsonl"), entries, run.header)
    told = report(timeless, await bent(timeless, "delay:0@1"))
    assert told.endswith("recorded: exit status 0, after an unknown time")


async def test_of_many_requests_without_an_answer_the_first_are_told(path: Path) -> None:
    start = [(0.01 * n, item) for n, item in enumerate(seed_start(ADD), 1)]
    run = record(path, a_plan("s", model="claude-x"), *start, (400.0, InputEnded()))
    done = await bent(run, f"delay:15@{seq_of(run, FrameReceived, 2)}")
    told = report(run, replace(done, misses=[*done.misses] * 12))
    assert told.count("\nnote: answered with an error") == 10
    assert "\nnote: and 2 more\n" in told


async def test_calls_that_are_made_in_one_of_the_two_only_are_told(path: Path) -> None:
    run = last_run(SEED)
    told = report(run, await bent(run, "silence@8"))
    assert "\ncalls: none\n" in told
    assert "\n  c1 add: not made (recorded: answered)\n" in told
    assert "\n  c4 fail: not made (recorded: answered with an error)\n" in told


async def test_of_many_calls_the_first_are_told(path: Path) -> None:
    uses = [use(f"u{n}", "mcp__s__add", a=n) for n in range(1, 15)]
    run = record(
        path,
        sse_plan(),
        *sse_start(ADD),
        (1.0, PromptSubmitted(text="sums?")),
        (2.0, finished(1, *uses)),
        *[(3.0, answered(f"call:c{n}", FIVE)) for n in range(1, 15)],
        (4.0, finished(2, "done")),
        (5.0, InputEnded()),
    )
    told = report(run, await bent(run, f"drop@{seq_with(run, 'call:c1')}"))
    assert "\ncalls: 14 unknown\n" in told
    assert "\n  c10 add: unknown" in told
    assert "c11 add" not in told
    assert "\n  and 4 more that ended otherwise\n" in told


async def test_foreign_text_cannot_drive_a_terminal(path: Path) -> None:
    start = [(0.01 * n, item) for n, item in enumerate(seed_start(ADD), 1)]
    run = record(
        path,
        a_plan("s", model="claude-x"),
        *start,
        (1.0, PromptSubmitted(text="sum?")),
        (2.0, finished(1, use("u1", "mcp__s__add"))),
        (3.0, frame("error", "\x1b[31mred\x1b[0m")),
        (4.0, finished(2, "no")),
        (5.0, InputEnded()),
    )
    told = report(run, await bent(run, f"duplicate@{seq_of(run, FrameReceived, 3)}"))
    assert "\x1b" not in told
    assert r"\u001b[31mred" in told


async def test_the_reason_of_a_server_cannot_either(path: Path) -> None:
    gone = (0.5, lost(None, reason="\x1b[31mgone"))
    run = record(path, sse_plan(), (0.01, opened()), gone)
    told = report(run, await bent(run, f"delay:0.1@{seq_of(run, StreamOpened)}"))
    assert told.count(r": \x1b[31mgone") == 2

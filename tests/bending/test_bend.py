"""What comes of a fault: decided by the real operators and the real core, in virtual time."""

from pathlib import Path

import pytest

from config.options import HeartbeatOptions, RetryOptions
from operators.retry_with_backoff import delay_before
from pipeline.bending.bend import Bent
from pipeline.bending.reader import read_script
from pipeline.core.codec import encode_entry
from pipeline.core.commands import Reconnect
from pipeline.core.divergence import Divergence, Recorded, compare
from pipeline.core.events import (
    AnswerCompleted,
    FrameReceived,
    InputEnded,
    PostAnswered,
    Problem,
    PromptCancelled,
    PromptSubmitted,
    RunEnded,
    RunResumed,
    SessionReady,
    StreamLost,
    StreamOpened,
    TimerFired,
    ToolEnded,
    ToolRepeated,
    is_input,
)
from pipeline.shell.recordings import RecordedRun, RecordingError, last_run
from tests.support.bending import Timed, after, bent, only, record, seq_of, seq_with
from tests.support.bent_sessions import FIVE, READ, chat, sse_plan, sse_start
from tests.support.play import (
    ADD,
    a_plan,
    answered,
    finished,
    fired,
    lost,
    opened,
    posted,
    told,
    use,
)

KEPT = Path(__file__).parents[1] / "recordings"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.jsonl"


def divergence(run: RecordedRun, other: Bent) -> Divergence | None:
    """The first event that differs in meaning."""
    one, two = Recorded(run.header, run.entries), Recorded(other.header, lambda: other.entries)
    return compare(one, two).divergence


# --- nothing is bent --------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(KEPT.glob("*.jsonl")), ids=lambda path: path.stem)
async def test_a_delay_of_nothing_gives_the_recorded_run_again_from_any_event_on(
    path: Path,
) -> None:
    """The world that a recording makes is the one that was recorded, in order and in meaning."""
    run = last_run(path)
    recorded = list(run.entries())
    places = [entry.seq for entry in recorded if is_input(entry.item)]
    for place in places[:: max(1, len(places) // 12)]:
        again = await bent(run, f"delay:0@{place}")
        assert divergence(run, again) is None, place
        assert len(again.entries) == len(recorded)


async def test_a_world_that_nothing_disturbs_is_the_recorded_one_to_the_microsecond(
    path: Path,
) -> None:
    run = record(path, sse_plan(), *chat())
    again = await bent(run, "delay:0@4")
    recorded = [(e.seq, e.at, e.item) for e in run.entries() if is_input(e.item)]
    assert [(e.seq, e.at, e.item) for e in again.entries if is_input(e.item)] == recorded


@pytest.mark.parametrize("place", [4, 6])
async def test_a_timer_is_as_late_as_it_was(path: Path, place: int) -> None:
    """Started before the bend or after it: what it leads to keeps its place among all else."""
    grace: Timed = (0.29, fired("grace:s"))
    later: list[Timed] = [(when + 0.3, item) for when, item in chat()[2:]]
    run = record(path, a_plan("s", model="claude-x"), *chat()[:2], grace, *later)
    done = await bent(run, f"delay:0@{place}")
    assert after(done, TimerFired) == 0.29
    assert after(await bent(run, f"delay:1@{place}"), TimerFired) == pytest.approx(1.29)


# --- drop -------------------------------------------------------------------------------------


async def test_a_dropped_answer_leaves_the_call_with_an_unknown_outcome(path: Path) -> None:
    run = record(path, sse_plan(), *chat(ADD))
    done = await bent(run, f"drop@{seq_with(run, 'call:c1')}")
    (gone,) = only(StreamLost, done)
    assert gone.reason == f"the connection was dropped (--fault drop@{seq_with(run, 'call:c1')})"
    assert gone.retry_in == delay_before(RetryOptions(), 1, 0.5)
    assert after(done, StreamLost) == 3.0
    assert after(done, StreamOpened, 2) == 3.0 + 0.25 + 0.01
    assert len(only(SessionReady, done)) == 2
    assert [end.outcome for end in only(ToolEnded, done)] == ["unknown"]
    assert done.ended == RunEnded(code=0)


async def test_a_call_that_does_no_harm_is_sent_again_and_answered_under_its_new_id(
    path: Path,
) -> None:
    run = record(path, sse_plan(), *chat(READ))
    done = await bent(run, f"drop@{seq_with(run, 'call:c1')}")
    assert len(only(ToolRepeated, done)) == 1
    assert [end.outcome for end in only(ToolEnded, done)] == ["answered"]
    assert '"call:c1~2"' in only(FrameReceived, done)[-1].data
    answers = [answer.text for answer in only(AnswerCompleted, done)]
    assert answers == [answer.text for answer in only(AnswerCompleted, run)]
    assert (done.guesses, list(done.misses)) == (0, [])


async def test_what_came_over_a_dropped_connection_comes_no_more(path: Path) -> None:
    late: Timed = (3.2, told("notifications/message", level="info", data="late"))
    run = record(path, sse_plan(), *sorted([*chat(), late], key=lambda timed: timed[0]))
    done = await bent(run, f"drop@{seq_with(run, 'call:c1')}")
    assert not [frame for frame in only(FrameReceived, done) if "late" in frame.data]


async def test_what_was_lost_with_its_connection_cannot_be_bent_any_more(path: Path) -> None:
    late: Timed = (3.2, told("notifications/message", level="info", data="late"))
    run = record(path, sse_plan(), *sorted([*chat(), late], key=lambda timed: timed[0]))
    first, second = seq_with(run, "call:c1"), seq_with(run, "late")
    done = await bent(run, f"drop@{first}", f"duplicate@{second}")
    assert [each.seq for each in done.missed] == [second]


async def test_what_comes_over_a_connection_that_we_drop_cannot_be_bent_either(path: Path) -> None:
    two = finished(1, use("u1", "mcp__s__add", a=1), use("u2", "mcp__s__add", a=2))
    calls: list[Timed] = [
        (1.0, PromptSubmitted(text="sums?")),
        (2.0, two),
        (2.1, posted("call:c1")),
        (3.0, answered("call:c2", FIVE)),
        (5.0, PromptSubmitted(text="more")),
    ]
    run = record(path, sse_plan(), *sse_start(ADD), *calls)
    place = seq_with(run, "call:c2")
    done = await bent(run, f"404@{seq_of(run, PostAnswered, id='call:c1')}", f"duplicate@{place}")
    assert len(only(Reconnect, done)) == 1
    assert [each.seq for each in done.missed] == [place]


async def test_a_server_that_was_lost_in_the_recording_is_lost_again_after_the_bend(
    path: Path,
) -> None:
    """The outage was recorded; a prompt that comes later changes nothing of it."""
    outage: list[Timed] = [
        (4.1, lost(0.5, reason="reset by peer")),
        (4.7, lost(1.0, reason="refused", attempt=2)),
        (5.9, opened()),
    ]
    run = record(path, sse_plan(), *sorted([*chat(), *outage], key=lambda timed: timed[0]))
    done = await bent(run, f"duplicate@{seq_with(run, 'call:c1')}")
    assert [each.reason for each in only(StreamLost, done)] == ["reset by peer", "refused"]
    assert after(done, StreamLost) == 4.1
    assert len(only(StreamOpened, done)) == 2


async def test_a_connection_that_breaks_early_meets_the_outage_early(path: Path) -> None:
    """Each attempt takes as long as it took; how long is waited before it is the client's."""
    outage: list[Timed] = [
        (4.1, lost(0.5, reason="reset by peer")),
        (4.7, lost(1.0, reason="refused", attempt=2)),
        (5.9, opened()),
    ]
    run = record(path, sse_plan(), *sorted([*chat(), *outage], key=lambda timed: timed[0]))
    done = await bent(run, f"drop@{seq_with(run, 'call:c1')}")
    assert [each.reason for each in only(StreamLost, done)][1:] == ["refused"]
    assert after(done, StreamLost, 2) == pytest.approx(3.0 + 0.25 + 0.1)
    assert after(done, StreamOpened, 2) == pytest.approx(3.35 + 0.5 + 0.2)


async def test_a_connection_that_the_client_gave_up_is_not_given_up_without_its_reason(
    path: Path,
) -> None:
    """In the recording a 404 had the client start over; with a 500 it has no cause to."""
    gone = "the server does not know the session any more (HTTP 404)"
    refused: list[Timed] = [(2.1, posted("call:c1", 404)), (2.2, lost(0.5, reason=gone))]
    kept = [timed for timed in chat() if not 2.0 < timed[0] < 3.5]
    run = record(path, sse_plan(), *sorted([*kept, *refused], key=lambda timed: timed[0]))
    assert len(only(Reconnect, run)) == 1
    done = await bent(run, f"500@{seq_of(run, PostAnswered, id='call:c1')}")
    assert (only(Reconnect, done), only(StreamLost, done)) == ([], [])
    script = read_script(run.entries())
    came = [reply.item for asked in script.asked for reply in asked.replies]
    assert not [item for item in came if isinstance(item, StreamLost)]


async def test_the_last_recorded_connection_comes_again_as_often_as_it_is_needed(
    path: Path,
) -> None:
    run = record(path, sse_plan(), *chat(READ))
    seq = seq_of(run, StreamOpened)
    done = await bent(run, f"drop@{seq}", f"drop@{seq_with(run, 'call:c1')}")
    assert [each.attempt for each in only(StreamLost, done)] == [1, 2]
    assert len(only(StreamOpened, done)) == 2
    assert [end.outcome for end in only(ToolEnded, done)] == ["answered"]


async def test_a_bend_in_an_outage_waits_for_the_attempt_that_is_under_way(path: Path) -> None:
    start: list[Timed] = [(0.01, opened()), (0.1, lost(0.5)), (0.7, opened())]
    rest: list[Timed] = [(when + 1, item) for when, item in chat()[1:] if when > 0.07]
    again: list[Timed] = [(when + 1, item) for when, item in sse_start(ADD)[1:]]
    run = record(path, sse_plan(), *start, *again, *rest)
    done = await bent(run, f"drop@{seq_of(run, StreamOpened, 2)}")
    assert [each.retry_in for each in only(StreamLost, done)] == [0.5, 0.25]
    assert after(done, StreamLost, 2) == 0.7
    assert done.ended == RunEnded(code=0)


# --- a status ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "outcome"), [(500, "unknown"), (404, "not_sent")])
async def test_a_post_that_is_refused_is_not_answered_on_the_stream_either(
    path: Path, status: int, outcome: str
) -> None:
    run = record(path, sse_plan(), *chat())
    place = seq_of(run, PostAnswered, id="call:c1")
    done = await bent(run, f"{status}@{place}")
    refused = [each for each in only(PostAnswered, done) if each.status == status]
    assert [(each.id, each.reason) for each in refused] == [
        ("call:c1", f"--fault {status}@{place}")
    ]
    assert [end.outcome for end in only(ToolEnded, done)] == [outcome]
    assert after(done, ToolEnded) == 2.1
    assert not [frame for frame in only(FrameReceived, done) if "call:c1" in frame.data]


async def test_the_number_of_an_answer_on_the_stream_means_its_post(path: Path) -> None:
    run = record(path, sse_plan(), *chat())
    done = await bent(run, f"500@{seq_with(run, 'call:c1')}")
    (happened,) = done.happened
    assert happened.bend.seq == seq_of(run, PostAnswered, id="call:c1")


@pytest.mark.parametrize(("status", "retry_in"), [(500, 0.25), (404, None)])
async def test_a_refused_stream_comes_back_if_a_live_one_would(
    path: Path, status: int, retry_in: float | None
) -> None:
    run = record(path, sse_plan(), *chat())
    done = await bent(run, f"{status}@{seq_of(run, StreamOpened)}")
    (gone,) = only(StreamLost, done)
    assert (gone.status, gone.retry_in) == (status, retry_in)


# --- delay and duplicate ----------------------------------------------------------------------


async def test_a_late_answer_comes_late_and_all_that_follows_from_it(path: Path) -> None:
    run = record(path, sse_plan(), *chat())
    done = await bent(run, f"delay:20@{seq_with(run, 'call:c1')}")
    assert after(done, ToolEnded) == 23.0
    assert after(done, AnswerCompleted) == 24.0
    assert after(done, RunEnded) == 27.0
    assert [end.outcome for end in only(ToolEnded, done)] == ["answered"]


async def test_a_deadline_fires_before_an_answer_that_is_too_late(path: Path) -> None:
    run = record(path, sse_plan(call_timeout=10.0), *chat())
    done = await bent(run, f"delay:60@{seq_with(run, 'call:c1')}")
    assert after(done, TimerFired) == 12.0
    (end,) = only(ToolEnded, done)
    assert (end.outcome, end.reason) == (
        "unknown", "no answer and no progress for 10 s (--call-timeout)",
    )  # fmt: skip


async def test_nothing_overtakes_what_is_late_on_its_connection(path: Path) -> None:
    two = finished(1, use("u1", "mcp__s__add", a=1), use("u2", "mcp__s__add", a=2))
    run = record(
        path,
        sse_plan(),
        *sse_start(ADD),
        (1.0, PromptSubmitted(text="sums?")),
        (2.0, two),
        (3.0, answered("call:c1", FIVE)),
        (3.1, answered("call:c2", FIVE)),
        (3.9, posted("call:c1")),
        (4.0, finished(2, "done")),
        (5.0, InputEnded()),
    )
    done = await bent(run, f"delay:0.5@{seq_with(run, 'call:c1')}")
    ends = [(end.call, after(done, ToolEnded, n)) for n, end in enumerate(only(ToolEnded, done), 1)]
    assert ends == [("c1", 3.5), ("c2", 3.5)]
    assert after(done, PostAnswered, 4) == 3.9


async def test_a_frame_that_comes_twice_is_told_once_as_a_problem(path: Path) -> None:
    run = record(path, sse_plan(), *chat())
    done = await bent(run, f"duplicate@{seq_with(run, 'call:c1')}")
    frames = [frame for frame in only(FrameReceived, done) if "call:c1" in frame.data]
    assert len(frames) == 2
    assert [problem.detail for problem in only(Problem, done)] == [
        "an answer for unknown id 'call:c1'"
    ]
    assert len(only(ToolEnded, done)) == 1


async def test_an_input_can_be_bent_more_than_once(path: Path) -> None:
    run = record(path, sse_plan(), *chat())
    place = seq_with(run, "call:c1")
    done = await bent(run, f"delay:2@{place}", f"duplicate@{place}")
    assert after(done, ToolEnded) == 5.0
    assert len([frame for frame in only(FrameReceived, done) if "call:c1" in frame.data]) == 2


# --- silence ----------------------------------------------------------------------------------


async def test_a_silent_server_is_found_dead_tried_again_and_given_up(path: Path) -> None:
    """All of it in virtual time, by the operators of a live run with their own patience."""
    run = record(path, sse_plan(call_timeout=900.0, call_timeout_max=900.0), *chat(READ))
    done = await bent(run, f"silence@{seq_with(run, 'call:c1')}")
    silence, retry = HeartbeatOptions().silence, RetryOptions()
    first, *others = only(StreamLost, done)
    assert first.reason.startswith("nothing arrived for 45 s, not even a comment")
    assert silence < after(done, StreamLost) - 3.0 <= 1.25 * silence
    delays = [delay_before(retry, attempt, 0.5) for attempt in range(1, retry.attempts + 1)]
    assert [each.retry_in for each in (first, *others)] == [*delays, None]
    for each in others:
        assert each.reason == "no answer came from 127.0.0.1:8000 within 10 s (--connect-timeout)"
    (end,) = only(ToolEnded, done)
    assert (end.outcome, end.call) == ("unknown", "c1")
    assert done.ended is not None
    assert done.ended.code == 4


async def test_the_patience_is_that_of_the_recorded_run(path: Path) -> None:
    settings = {"silence": 4.0, "retry_attempts": 1, "retry_first_delay": 2.0}
    run = record(path, sse_plan(), *chat(READ), settings=settings)
    done = await bent(run, f"silence@{seq_with(run, 'call:c1')}")
    assert [each.retry_in for each in only(StreamLost, done)] == [1.0, None]
    assert 4.0 < after(done, StreamLost) - 3.0 <= 5.0


async def test_a_setting_that_this_version_does_not_take_is_named(path: Path) -> None:
    run = record(path, sse_plan(), *chat(), settings={"silence": "long"})
    with pytest.raises(RecordingError, match="found 'long' as 'silence' in the settings"):
        await bent(run, "drop@4")


async def test_a_silent_server_answers_no_post_either(path: Path) -> None:
    run = record(path, sse_plan(call_timeout=900.0, call_timeout_max=900.0), *chat())
    done = await bent(run, f"silence@{seq_of(run, PostAnswered, id='call:c1')}")
    (end,) = only(ToolEnded, done)
    assert end.reason == "no answer came from 127.0.0.1:8000 within 30 s (--post-timeout)"
    assert after(done, ToolEnded) == 32.0


async def test_silence_before_a_stream_is_accepted_is_a_time_out(path: Path) -> None:
    run = record(path, sse_plan(), *chat())
    done = await bent(run, f"silence@{seq_of(run, StreamOpened)}")
    assert after(done, StreamLost) == 10.0
    assert done.ended is not None
    assert done.ended.code == 4


# --- the person -------------------------------------------------------------------------------


async def test_a_ctrl_c_is_not_pressed_once_the_answer_is_there(path: Path) -> None:
    """In the recording the call took too long; in the bent run it fails before that."""
    run = record(
        path,
        sse_plan(interactive=True),
        *sse_start(ADD),
        (1.0, PromptSubmitted(text="sum?")),
        (2.0, finished(1, use("u1", "mcp__s__add", a=1))),
        (2.1, posted("call:c1")),
        (9.0, PromptCancelled()),
        (10.0, PromptSubmitted(text="next")),
        (11.0, finished(2, "here")),
        (12.0, InputEnded()),
    )
    pressed = await bent(run, "delay:0@3")
    assert len(only(PromptCancelled, pressed)) == 1
    done = await bent(run, f"500@{seq_of(run, PostAnswered, id='call:c1')}")
    assert only(PromptCancelled, done) == []
    assert [prompt.text for prompt in only(PromptSubmitted, done)] == ["sum?", "next"]


async def test_a_person_who_waits_for_what_never_comes_leaves_in_the_end(path: Path) -> None:
    """The recording was cut off at a prompt: nothing more is said, and nothing is waited for."""
    run = record(path, sse_plan(), *sse_start(ADD), (1.0, PromptSubmitted(text="sum?")))
    done = await bent(run, "delay:1@2")
    assert len(only(InputEnded, done)) == 1
    assert done.ended is not None
    assert done.ended.code == 7


# --- what the recording does not hold -----------------------------------------------------------


async def test_a_recording_that_does_not_replay_to_the_fault_is_refused(path: Path) -> None:
    run = record(path, sse_plan(), *chat())
    text = path.read_text("utf-8")
    path.write_text(text.replace('"seconds":10.0', '"seconds":11.0', 1), "utf-8")
    with pytest.raises(RecordingError, match=r"does not replay up to event \d+, .* --check"):
        await bent(last_run(path), f"drop@{seq_with(run, 'call:c1')}")


async def test_a_fault_whose_event_never_comes_is_told(path: Path) -> None:
    run = record(path, sse_plan(), *chat())
    first, second = seq_of(run, PostAnswered, id="call:c1"), seq_with(run, "call:c1")
    done = await bent(run, f"404@{first}", f"drop@{second}")
    assert [each.bend.seq for each in done.happened] == [first]
    assert [each.seq for each in done.missed] == [second]


async def test_nothing_comes_after_the_end(path: Path) -> None:
    late: Timed = (8.0, told("notifications/message", level="info", data="late"))
    run = record(path, sse_plan(), *chat(), late)
    done = await bent(run, "delay:0@4")
    assert done.entries[-1].item == RunEnded(code=0)


async def test_nothing_happens_to_a_run_that_had_ended(path: Path) -> None:
    run = record(path, sse_plan(), *chat(), (8.0, posted("late")))
    done = await bent(run, f"drop@{seq_of(run, PostAnswered, 5)}")
    assert (len(done.missed), done.ended) == (1, RunEnded(code=0))


async def test_a_run_that_goes_on_in_another_process_is_bent_there(path: Path) -> None:
    plan = sse_plan()
    start: list[Timed] = [(when + 3, item) for when, item in sse_start(READ)[1:]]
    run = record(
        path,
        plan,
        *sse_start(READ),
        (1.0, PromptSubmitted(text="sum?")),
        (2.0, finished(1, use("u1", "mcp__s__add", a=1))),
        (3.0, RunResumed(goal="chat", servers=plan.servers)),
        (3.01, opened()),
        *start,
        (4.0, answered("call:c1~2", FIVE)),
        (5.0, finished(2, "five")),
        (7.0, InputEnded()),
    )
    done = await bent(run, f"drop@{seq_with(run, 'call:c1~2')}")
    assert [each.retry_in for each in only(StreamLost, done)] == [0.25]
    assert [end.outcome for end in only(ToolEnded, done)] == ["answered"]
    assert done.ended == RunEnded(code=0)


# --- determinism ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["drop", "delay:9", "500", "404", "duplicate", "silence"])
async def test_the_same_fault_gives_the_same_events(kind: str) -> None:
    run = last_run(KEPT / "server-everything-sse.jsonl")
    one, other = await bent(run, f"{kind}@40"), await bent(run, f"{kind}@40")
    assert list(map(encode_entry, one.entries)) == list(map(encode_entry, other.entries))
    assert one.header == other.header
    assert one.header.session != run.header.session

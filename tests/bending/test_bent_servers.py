"""Bent servers of every transport: what is lost, taken up again, or never answered."""

from pathlib import Path

import pytest

from pipeline.core.commands import Cut, Get, Post
from pipeline.core.events import (
    AnswerEnded,
    FrameReceived,
    InputEnded,
    Json,
    PostAnswered,
    PromptSubmitted,
    QuestionAnswered,
    QuestionAsked,
    QuestionClosed,
    RunEnded,
    SessionReady,
    SignInEnded,
    SignInStarted,
    StreamLost,
    StreamOpened,
    ToolEnded,
)
from tests.support.bending import Timed, after, bent, only, record, seq_of, seq_with, to
from tests.support.bent_sessions import (
    FIVE,
    MODEL,
    READ,
    chat,
    http_plan,
    http_start,
    posted_ok,
    sse_plan,
    sse_start,
    with_body,
)
from tests.support.play import (
    ADD,
    a_plan,
    answered,
    finished,
    fired,
    frame,
    kinds,
    opened,
    posted,
    refused,
    seed_start,
    use,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.jsonl"


def event(stream: str, data: str = "", id_: str = "") -> FrameReceived:
    """An event of an answer over HTTP."""
    return FrameReceived(server="s", event="message", data=data, id=id_, stream=stream)


def http_chat(*answer: Timed, tool: Json = ADD) -> list[Timed]:
    """A call at 2 s, answered as said; the model's answer at 8 s."""
    return [
        *http_start(tool),
        (1.0, PromptSubmitted(text="sum?")),
        (2.0, finished(1, use("u1", "mcp__s__add", a=1))),
        *answer,
        (8.0, finished(2, "five")),
        (9.0, InputEnded()),
    ]


LEFT: Timed = (9.0, InputEnded())
RESULT = '{"jsonrpc":"2.0","id":"call:c1","result":{"content":[{"type":"text","text":"5"}]}}'


def in_events(*ids: str) -> list[Timed]:
    """An answer in three events: an empty one, a message, the result."""
    one, two, three = ids
    note = '{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"half"}}'
    return [
        (2.1, posted_ok("call:c1", is_open=True)),
        (2.2, event("call:c1", "", one)),
        (3.0, event("call:c1", note, two)),
        (4.0, event("call:c1", RESULT, three)),
        (4.1, AnswerEnded(server="s", id="call:c1", last_event_id=three)),
    ]


# --- Streamable HTTP ----------------------------------------------------------------------------


async def test_an_answer_that_breaks_off_is_taken_up_where_the_server_numbers_its_events(
    path: Path,
) -> None:
    run = record(path, http_plan(), *http_chat(*in_events("e1", "e2", "e3")))
    place = seq_with(run, "half")
    done = await bent(run, f"drop@{place}")
    broken = only(AnswerEnded, done)[0]
    assert (broken.reason, broken.last_event_id) == (
        f"the connection was dropped (--fault drop@{place})", "e1",
    )  # fmt: skip
    get = only(Get, done)[-1]
    assert get.headers["Last-Event-ID"] == "e1"
    of_it = [each for each in only((PostAnswered, FrameReceived), done) if get.id in repr(each)]
    assert kinds(of_it) == ["PostAnswered", "FrameReceived", "FrameReceived"]
    rest = [each for each in only(FrameReceived, done) if each.stream == get.id]
    assert [each.id for each in rest] == ["e2", "e3"]
    assert '"id":"call:c1"' in rest[-1].data
    assert [end.outcome for end in only(ToolEnded, done)] == ["answered"]
    assert after(done, ToolEnded) == 3.0 + 1.0 + 1.0  # the pause of the core, then as recorded


async def test_an_answer_that_was_taken_up_in_the_recording_is_taken_up_again(path: Path) -> None:
    broken: list[Timed] = [
        (2.1, posted_ok("call:c1", is_open=True)),
        (2.2, event("call:c1", "", "e1")),
        (3.0, AnswerEnded(server="s", id="call:c1", reason="reset", last_event_id="e1")),
        (4.0, fired("resume:call:c1")),
        (4.1, to("GET", lambda id_: posted_ok(id_, is_open=True))),
        (4.2, to("GET", lambda id_: event(id_, RESULT, "e2"))),
    ]
    run = record(path, http_plan(), *http_chat(*broken))
    done = await bent(run, f"delay:0@{seq_of(run, PromptSubmitted)}")
    assert [end.outcome for end in only(ToolEnded, done)] == ["answered"]
    assert after(done, ToolEnded) == 4.2
    late = await bent(run, f"delay:1@{seq_of(run, AnswerEnded)}")
    assert after(late, ToolEnded) == 5.2


async def test_an_answer_without_numbers_is_lost_with_its_connection(path: Path) -> None:
    run = record(path, http_plan(), *http_chat(*in_events("", "", "")))
    place = seq_with(run, "half")
    done = await bent(run, f"drop@{place}")
    assert [end.outcome for end in only(ToolEnded, done)] == ["unknown"]


@pytest.mark.parametrize(("tool", "outcome"), [(ADD, "unknown"), (READ, "answered")])
async def test_a_response_that_is_dropped_says_nothing_of_the_call(
    path: Path, tool: Json, outcome: str
) -> None:
    run = record(path, http_plan(), *http_chat((3.0, with_body("call:c1", FIVE)), tool=tool))
    done = await bent(run, f"drop@{seq_of(run, PostAnswered, id='call:c1')}")
    (dropped,) = [each for each in only(PostAnswered, done) if each.status is None]
    assert dropped.is_sent
    assert [end.outcome for end in only(ToolEnded, done)] == [outcome]
    assert done.ended == RunEnded(code=0)


async def test_an_answer_that_goes_silent_is_given_up_and_cut(path: Path) -> None:
    run = record(path, http_plan(), *http_chat(*in_events("e1", "e2", "e3")))
    place = seq_with(run, "half")
    done = await bent(run, f"silence@{place}")
    assert after(done, ToolEnded) == 62.0
    assert [cut.id for cut in only(Cut, done)] == ["call:c1"]
    assert only(StreamLost, done) == []
    assert done.ended == RunEnded(code=0)


async def test_an_unanswered_post_is_answered_as_it_is_cut(path: Path) -> None:
    run = record(path, http_plan(), *http_chat((3.0, with_body("call:c1", FIVE))))
    done = await bent(run, f"silence@{seq_of(run, PostAnswered, id='call:c1')}")
    assert only(Cut, done)[0].id == "call:c1"
    cut = next(each for each in only(PostAnswered, done) if each.reason == "cut off by us")
    assert (cut.id, cut.status) == ("call:c1", None)


async def test_a_link_that_is_given_up_takes_its_open_answers_with_it(path: Path) -> None:
    run = record(path, http_plan(), *http_chat((3.0, with_body("call:c1", FIVE))))
    done = await bent(run, f"500@{seq_of(run, PostAnswered, 2)}")
    (lost,) = only(StreamLost, done)
    assert "'init' could not be delivered" in lost.reason
    assert lost.retry_in == 0.25
    assert len(only(StreamOpened, done)) == 2
    assert [end.outcome for end in only(ToolEnded, done)] == ["answered"]


async def test_a_link_that_is_lost_answers_for_what_is_still_open_over_it(path: Path) -> None:
    """The second call could not be sent: the client takes another link, and the first is lost."""
    two = finished(1, use("u1", "mcp__s__add", a=1), use("u2", "mcp__s__add", a=2))
    unsent = PostAnswered(server="s", id="call:c2", reason="refused", is_sent=False)
    start = [*http_start(ADD), (1.0, PromptSubmitted(text="sums?")), (2.0, two)]
    run = record(path, http_plan(), *start, (2.1, unsent))
    done = await bent(run, f"delay:0.1@{seq_of(run, PostAnswered, id='call:c2')}")
    given_up = next(each for each in only(PostAnswered, done) if "given up" in each.reason)
    assert (given_up.id, given_up.status) == ("call:c1", None)
    assert after(done, StreamLost) == 2.2


async def test_a_server_that_spoke_no_http_refuses_it(path: Path) -> None:
    """404 on the stream has the client try the other transport at that address."""
    plan = a_plan("s", dialect="auto", model=MODEL)
    grace: Timed = (0.025, fired("grace:s"))
    run = record(path, plan, *sorted([*chat(), grace], key=lambda timed: timed[0]))
    done = await bent(run, f"404@{seq_of(run, StreamOpened)}")
    assert "server/discover" in str(only(Post, done)[0].message)
    assert 405 in [each.status for each in only(PostAnswered, done)]
    assert done.ended is not None
    assert done.ended.code == 4


# --- a process ----------------------------------------------------------------------------------


def stdio_chat() -> list[Timed]:
    """As `chat`, over the pipes of a process."""
    return [
        (0.01, opened()),
        (0.02, to("server/discover", posted)),
        (0.03, to("server/discover", lambda id_: refused(id_, code=-32601))),
        *sse_start(ADD)[2:],
        (1.0, PromptSubmitted(text="sum?")),
        (2.0, finished(1, use("u1", "mcp__s__add", a=1))),
        (2.1, posted("call:c1")),
        (3.0, answered("call:c1", FIVE)),
        (4.0, finished(2, "five")),
        (5.0, InputEnded()),
    ]


async def test_a_process_that_falls_silent_goes_on_taking_messages(path: Path) -> None:
    """Its pipe does, and silence is no sign that a process is dead: the call's deadline ends it."""
    run = record(path, a_plan("s", dialect="stdio", model=MODEL), *stdio_chat())
    done = await bent(run, f"silence@{seq_of(run, PostAnswered, id='call:c1')}")
    assert only(StreamLost, done) == []
    assert after(done, ToolEnded) == 62.0
    cancelled = next(p for p in only(PostAnswered, done) if p.id.startswith("cancel:"))
    assert cancelled.status == 202


async def test_a_process_that_dies_is_started_again(path: Path) -> None:
    run = record(path, a_plan("s", dialect="stdio", model=MODEL), *stdio_chat())
    done = await bent(run, f"drop@{seq_with(run, 'call:c1')}")
    assert [end.outcome for end in only(ToolEnded, done)] == ["unknown"]
    assert len(only(SessionReady, done)) == 2


async def test_a_process_starts_where_the_recording_ends_before_that(path: Path) -> None:
    run = record(path, a_plan("a", "s", dialect="stdio", model=MODEL), (0.01, opened("a")))
    done = await bent(run, "delay:0@4")
    assert {each.server for each in only(StreamOpened, done)} == {"a", "s"}
    assert done.ended is not None


async def test_a_server_that_the_recording_never_heard_of_is_tried_in_vain(path: Path) -> None:
    run = record(path, a_plan("a", "s", dialect="sse", model=MODEL), (0.01, opened("a")))
    done = await bent(run, "delay:0@4")
    assert {each.server for each in only(StreamLost, done)} == {"a", "s"}
    assert done.ended is not None
    assert done.ended.code == 4


# --- what the recording has no answer to ----------------------------------------------------------


async def test_a_request_that_was_never_made_is_an_error_that_says_so(path: Path) -> None:
    """The tools come too late, so the client takes the server for one of the other dialect."""
    start = [(0.01 * n, item) for n, item in enumerate(seed_start(ADD), 1)]
    rest: list[Timed] = [(1.0, PromptSubmitted(text="hm")), (2.0, finished(1, "so")), LEFT]
    run = record(path, a_plan("s", model=MODEL), *start, *rest)
    done = await bent(run, f"delay:5@{seq_of(run, FrameReceived, 2)}")
    assert [miss.asked.partition(" ")[0] for miss in done.misses] == ["initialize"]
    refusal = next(
        each for each in only(FrameReceived, done) if "nothing like initialize" in each.data
    )
    assert refusal.event == "message"
    assert done.ended == RunEnded(code=0)


async def test_an_unknown_call_of_the_seed_dialect_is_an_error_of_that_dialect(path: Path) -> None:
    """The model asks twice; of the recording only the first call is left to be found."""
    start = [(0.01 * n, item) for n, item in enumerate(seed_start(ADD), 1)]
    run = record(
        path,
        a_plan("s", model=MODEL),
        *start,
        (1.0, PromptSubmitted(text="one")),
        (2.0, finished(1, use("u1", "mcp__s__add", a=1))),
        (3.0, frame("result", {"id": "call:c1", **FIVE})),
        (4.0, finished(2, use("u2", "mcp__s__add", a=2))),
        (4.1, posted("call:c2")),
    )
    done = await bent(run, f"duplicate@{seq_of(run, FrameReceived, 3)}")
    assert [end.outcome for end in only(ToolEnded, done)] == ["answered", "unknown"]
    assert after(done, ToolEnded, 2) == 64.0  # it was sent in the recording, and never answered


async def test_an_unknown_request_over_http_is_answered_in_its_response(path: Path) -> None:
    """A modern server that does not know itself any more: the client tries the handshake."""
    versions: Json = {"supportedVersions": ["2026-07-28"]}
    discovered = to("server/discover", lambda id_: with_body(id_, versions))
    run = record(path, http_plan(), (0.01, opened()), (0.02, discovered), LEFT)
    done = await bent(run, f"404@{seq_of(run, PostAnswered)}")
    assert done.misses[0].asked.startswith("initialize ")
    asked = next(p for p in only(Post, done) if p.message.get("method") == "initialize")
    answer = next(each for each in only(PostAnswered, done) if each.id == asked.id)
    assert (answer.status, '"error"' in answer.body) == (200, True)


# --- credentials ----------------------------------------------------------------------------------


def signed_in() -> list[Timed]:
    """As `chat`, but a minute passes before the stream opens: a person is at a browser."""
    sign_in: list[Timed] = [(0.005, SignInStarted(server="s")), (60.005, SignInEnded(server="s"))]
    later: list[Timed] = [(60.0 + when, item) for when, item in chat(READ)]
    return [*sign_in, *later]


async def test_who_has_signed_in_connects_again_without_that(path: Path) -> None:
    """The minute was the person's: a connection that is lost is back in a moment."""
    run = record(path, sse_plan(), *signed_in())
    done = await bent(run, f"drop@{seq_with(run, 'call:c1')}")
    assert after(done, StreamOpened, 2) == 63.0 + 0.25 + 0.01
    assert len(only(SignInStarted, done)) == 1
    assert [end.outcome for end in only(ToolEnded, done)] == ["answered"]


async def test_who_signs_in_at_the_bend_is_waited_for(path: Path) -> None:
    other: Timed = (0.5, opened("t"))
    plan = a_plan("s", "t", dialect="sse", model=MODEL)
    run = record(path, plan, *sorted([*signed_in(), other], key=lambda timed: timed[0]))
    done = await bent(run, f"drop@{seq_of(run, StreamOpened, server='t')}")
    assert after(done, SignInEnded) == 60.005
    assert [each.server for each in only(SessionReady, done)] == ["s"]
    assert done.ended is not None


# --- questions ------------------------------------------------------------------------------------


QUESTION: Json = {
    "jsonrpc": "2.0",
    "id": 7,
    "method": "elicitation/create",
    "params": {
        "message": "name?",
        "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}},
    },
}


def asking() -> list[Timed]:
    """In the middle of the call the server asks the person, who answers after a second."""
    return [
        *sse_start(READ),
        (1.0, PromptSubmitted(text="who?")),
        (2.0, finished(1, use("u1", "mcp__s__add", a=1))),
        (2.1, posted("call:c1")),
        (2.5, frame("message", QUESTION)),
        (3.5, QuestionAnswered(question="q1", action="accept", content={"name": "me"})),
        (3.6, posted("answer:s:7")),
        (4.0, answered("call:c1", FIVE)),
        (5.0, finished(2, "five")),
        (6.0, InputEnded()),
    ]


async def test_a_question_gets_the_recorded_answer_after_as_long_as_it_took(path: Path) -> None:
    run = record(path, sse_plan(elicitation="ask"), *asking())
    done = await bent(run, f"delay:2@{seq_of(run, FrameReceived, 4)}")
    assert after(done, QuestionAsked) == 4.5
    assert after(done, QuestionAnswered) == 5.5
    assert [closed.action for closed in only(QuestionClosed, done)] == ["accept"]
    assert after(done, ToolEnded) == 6.0
    assert done.ended == RunEnded(code=0)


async def test_a_call_waits_for_the_answer_to_the_servers_question(path: Path) -> None:
    """The person takes a minute: the server answers the call after that, as it did."""
    run = record(path, sse_plan(elicitation="ask"), *asking())
    done = await bent(run, f"delay:60@{seq_of(run, QuestionAnswered)}")
    assert after(done, QuestionAnswered) == 63.5
    assert after(done, ToolEnded) == 64.0
    assert [end.outcome for end in only(ToolEnded, done)] == ["answered"]


async def test_a_call_that_is_sent_again_asks_again_and_nobody_answers_twice(path: Path) -> None:
    """The connection drops in mid question; the recording has one answer, and it was not given."""
    run = record(path, sse_plan(elicitation="ask", call_timeout=40.0), *asking())
    done = await bent(run, f"drop@{seq_with(run, 'call:c1')}")
    assert [asked.question for asked in only(QuestionAsked, done)] == ["q1", "q2"]
    assert len(only(QuestionAnswered, done)) == 1
    assert only(QuestionClosed, done)[0].action == "accept"
    assert done.ended is not None


async def test_a_call_that_is_sent_again_before_its_question_is_answered_after_it(
    path: Path,
) -> None:
    run = record(path, sse_plan(elicitation="ask"), *asking())
    done = await bent(run, f"drop@{seq_with(run, 'elicitation')}")
    assert [end.outcome for end in only(ToolEnded, done)] == ["answered"]
    assert '"call:c1~2"' in only(FrameReceived, done)[-1].data
    assert after(done, ToolEnded) == after(done, QuestionAnswered) + 0.5


async def test_a_question_that_is_taken_back_is_not_answered(path: Path) -> None:
    run = record(path, sse_plan(elicitation="ask"), *asking())
    done = await bent(run, f"delay:0.9@{seq_of(run, FrameReceived, 4)}", "silence@1")
    assert done.ended is not None
    cancelled = frame("message", CANCELLED)
    items = sorted([*asking(), (3.0, cancelled)], key=lambda timed: timed[0])
    taken_back = record(path.with_name("b.jsonl"), sse_plan(elicitation="ask"), *items)
    done = await bent(taken_back, f"delay:0@{seq_of(taken_back, FrameReceived, 4)}")
    assert only(QuestionAnswered, done) == []


CANCELLED: Json = {
    "jsonrpc": "2.0",
    "method": "notifications/cancelled",
    "params": {"requestId": 7},
}

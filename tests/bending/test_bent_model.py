"""The model of a bent run: what it says to what it was asked, and to what it never was."""

from pathlib import Path

import pytest

from pipeline.core.commands import CallModel, CancelModel, Post
from pipeline.core.events import (
    AnswerCompleted,
    InputEnded,
    ModelFailed,
    ModelFinished,
    ModelSpoke,
    PromptCancelled,
    PromptSubmitted,
    StreamOpened,
    ToolEnded,
)
from pipeline.shell.recordings import last_run
from tests.support.bending import Timed, after, bent, only, record, seq_of, seq_with
from tests.support.bent_sessions import FIVE, chat, sse_plan, sse_start
from tests.support.play import ADD, a_plan, answered, finished, frame, seed_start, use

SEED = Path(__file__).parents[1] / "recordings" / "seed.jsonl"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.jsonl"


async def test_a_model_that_is_cut_off_is_asked_again_and_says_the_same(path: Path) -> None:
    run = record(path, sse_plan(), *chat())
    done = await bent(run, f"drop@{seq_of(run, ModelFinished, 2)}")
    (failed,) = only(ModelFailed, done)
    assert "was lost in mid answer (--fault drop@" in failed.reason
    assert [answer.text for answer in only(AnswerCompleted, done)] == ["five", "welcome"]
    assert after(done, AnswerCompleted) == 4.0 + 1.0
    assert done.guesses == 0


async def test_a_server_error_is_retried_and_a_missing_model_is_not(path: Path) -> None:
    run = record(path, sse_plan(), *chat())
    spoke = seq_of(run, ModelSpoke)
    again = await bent(run, f"500@{spoke}")
    assert [answer.stop for answer in only(AnswerCompleted, again)] == ["end_turn", "end_turn"]
    gone = await bent(run, f"404@{spoke}")
    (failed,) = only(ModelFailed, gone)
    assert (failed.status, failed.may_retry) == (404, False)
    assert [answer.stop for answer in only(AnswerCompleted, gone)] == ["model_failed", "end_turn"]
    assert gone.ended is not None
    assert gone.ended.code == 7


async def test_a_status_comes_before_the_first_word_or_not_at_all(path: Path) -> None:
    run = record(path, sse_plan(), *chat())
    done = await bent(run, f"500@{seq_of(run, ModelFinished, 2)}")
    (happened,) = done.happened
    assert happened.bend.seq == seq_of(run, ModelFinished, 3)


async def test_a_silent_model_is_given_up_with_its_own_patience(path: Path) -> None:
    settings = {"model_silence": 7.0, "model_first_token": 20.0}
    run = record(path, sse_plan(), *chat(), settings=settings)
    done = await bent(run, f"silence@{seq_of(run, ModelFinished, 2)}")
    reasons = [failed.reason for failed in only(ModelFailed, done)]
    assert reasons == [
        "the model fell silent for 7 s in mid answer (--model-silence)",
        *["the model did not begin within 20 s (--model-first-token)"] * 3,
    ]
    assert after(done, ModelFailed) == 11.0
    assert after(done, ModelFailed, 2) == 31.0
    assert done.ended is not None
    assert done.ended.code == 7


async def test_what_it_was_never_asked_it_answers_with_what_it_said_next(path: Path) -> None:
    run = record(path, sse_plan(), *chat())
    place = seq_with(run, "call:c1")
    done = await bent(run, f"drop@{place}")
    assert done.guesses == 1
    assert [answer.text for answer in only(AnswerCompleted, done)] == ["five", "welcome"]


async def test_it_does_not_borrow_the_answer_to_another_wish(path: Path) -> None:
    """The recording was cut off before the model had its say on the result."""
    recorded = [timed for timed in chat() if timed[0] < 3.5]
    run = record(path, sse_plan(), *recorded)
    done = await bent(run, f"drop@{seq_with(run, 'call:c1')}")
    assert [failed.reason for failed in only(ModelFailed, done)] == [
        "the recording holds no answer of the model to this, nor any other for it here"
    ]


async def test_an_answer_that_never_ended_in_the_recording_is_given_up_here_too(
    path: Path,
) -> None:
    recorded = [timed for timed in chat() if timed[0] < 4.0]
    run = record(path, sse_plan(model_attempts=1), *recorded)
    done = await bent(run, f"delay:1@{seq_of(run, ModelSpoke)}")
    (failed,) = only(ModelFailed, done)
    assert failed.reason == "the model fell silent for 60 s in mid answer (--model-silence)"
    assert after(done, ModelFailed) == 63.5


async def test_a_turn_that_is_given_twice_has_ids_of_its_own_each_time(path: Path) -> None:
    same: list[Timed] = [
        (1.0, PromptSubmitted(text="sum?")),
        (2.0, finished(1, use("u1", "mcp__s__add", a=1))),
        (3.0, answered("call:c1", FIVE)),
        (4.0, finished(2, "five")),
        (5.0, PromptSubmitted(text="sum?")),
    ]
    run = record(path, sse_plan(), *sse_start(ADD), *same)
    done = await bent(run, "delay:0@4")
    uses = [
        block["id"] for turn in only(ModelFinished, done) for block in turn.content if "id" in block
    ]
    assert uses == ["u1", "u1_2"]
    assert [end.outcome for end in only(ToolEnded, done)] == ["answered", "answered"]
    assert [post.id for post in only(Post, done)][-1] == "call:c2"


async def test_a_turn_that_is_cancelled_says_no_more(path: Path) -> None:
    run = record(
        path,
        sse_plan(interactive=True),
        *sse_start(ADD),
        (1.0, PromptSubmitted(text="sum?")),
        (2.0, PromptCancelled()),
        (3.0, PromptSubmitted(text="next")),
        (4.0, finished(2, "here")),
        (9.0, InputEnded()),
    )
    done = await bent(run, f"delay:1@{seq_of(run, PromptCancelled)}")
    assert len(only(CancelModel, done)) == 1
    assert [answer.stop for answer in only(AnswerCompleted, done)][-1] == "end_turn"
    early = await bent(run, "delay:0@4")
    assert [answer.stop for answer in only(AnswerCompleted, early)] == ["cancelled", "end_turn"]
    assert after(early, CancelModel) == 2.0


async def test_direct_thinks_for_itself_where_the_recording_has_nothing() -> None:
    run = last_run(SEED)
    done = await bent(run, "500@30")
    first = only(AnswerCompleted, done)[0].text
    assert first.startswith("error: The outcome is unknown: the server answered HTTP 500.")
    assert done.guesses == 0


async def test_direct_does_not_ask_for_a_tool_that_is_not_there(path: Path) -> None:
    """The recorded answer to the prompt was a call; without the server, `direct` says so."""
    call = use("direct_1", "mcp__a__add", a=1)
    asking = ModelFinished(call="model:1", content=(call,), stop_reason="tool_use", model="direct")
    start = (*seed_start(ADD, server="a"), *seed_start(server="b"))
    run = record(
        path,
        a_plan("a", "b", dialect="seed"),
        *[(0.1, item) for item in start],
        (1.0, PromptSubmitted(text="add a=1")),
        (1.1, asking),
        (9.0, InputEnded()),
    )
    done = await bent(run, f"silence@{seq_of(run, StreamOpened)}")
    assert only(AnswerCompleted, done)[0].text.startswith("There is no tool 'add'.")


async def test_a_sample_for_a_server_does_not_disturb_the_conversation(path: Path) -> None:
    params = {"messages": [{"role": "user", "content": {"type": "text", "text": "hm"}}]}
    params |= {"maxTokens": 5}
    ask = {"jsonrpc": "2.0", "id": 9, "method": "sampling/createMessage", "params": params}
    run = record(
        path,
        sse_plan(sampling="always"),
        *sse_start(ADD),
        (1.0, PromptSubmitted(text="sum?")),
        (2.0, finished(1, use("u1", "mcp__s__add", a=1))),
        (2.5, frame("message", ask)),
        (2.6, ModelFinished(call="sample:q1", content=({"type": "text", "text": "hm!"},),
                            stop_reason="end_turn", model="claude-x")),
        (3.0, answered("call:c1", FIVE)),
        (4.0, finished(2, "five")),
        (5.0, InputEnded()),
    )  # fmt: skip
    assert [call.call for call in only(CallModel, run)] == ["model:1", "sample:q1", "model:2"]
    done = await bent(run, "delay:0@4")
    assert [answer.text for answer in only(AnswerCompleted, done)] == ["five"]
    assert done.guesses == 0

"""What a story tells of a recording."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pipeline.core.codec import Entry, Header
from pipeline.core.commands import CallModel, CancelModel, Item, Open, Post, ReadPrompt
from pipeline.core.events import (
    AnswerCompleted,
    CallRejected,
    CallSubmitted,
    ModelFinished,
    ModelSpoke,
    ModelThought,
    Problem,
    PromptCancelled,
    PromptSubmitted,
    QuestionAsked,
    RequestEnded,
    RequestStarted,
    RequestSubmitted,
    RunEnded,
    RunResumed,
    SessionReady,
    StreamLost,
    Tokens,
    ToolProgress,
    ToolRepeated,
    Usage,
)
from pipeline.core.instants import NotATimeError
from pipeline.core.plan import Plan, ServerPlan
from pipeline.core.story import Call, ModelTurn, Note, Story, Turn
from pipeline.core.telling import tell
from tests.support.sample_session import (
    GIT,
    HEADER,
    LOGS,
    SCRIPT,
    Script,
    asked,
    called,
    ended,
    entries,
    ready,
    text,
    thought,
)

ANSWERED = AnswerCompleted(text="done", turns=1)


def story(*script: tuple[float, list[Item]], header: Header = HEADER) -> Story:
    return tell(header, entries(list(script)))


def prompts(*texts: str) -> list[Item]:
    return [PromptSubmitted(text=each) for each in texts]


@pytest.fixture
def sample() -> Story:
    return tell(HEADER, entries())


def test_times_are_seconds_since_the_first_entry(sample: Story) -> None:
    assert sample.duration == 311.0
    assert [(turn.asked, turn.began, turn.ended) for turn in sample.turns] == [
        (2.0, 2.0, 12.4),
        (305.0, 305.0, 309.0),
    ]


def test_each_call_has_its_begin_and_its_end(sample: Story) -> None:
    calls = {call.started.call: call for call in sample.calls}
    assert {id_: (call.began, call.sent, call.ended) for id_, call in calls.items()} == {
        "c1": (3.9, 3.9, 6.9),
        "c2": (3.9, 3.9, 4.6),
        "c3": (3.9, 3.9, 6.3),
        "c4": (9.2, 9.2, 10.4),
        "c5": (9.2, 9.2, 9.5),
        "c6": (307.5, 307.5, 309.0),
    }
    assert [call.started.call for call in sample.calls if call.is_ok] == ["c1", "c2", "c4"]
    assert calls["c1"].progress == 2


def test_a_model_turn_has_its_words_its_tokens_and_its_first_word(sample: Story) -> None:
    first, second, third, failed, last = sample.model_turns
    assert (first.text, first.uses, first.thought) == (
        "I look at the logs and at the history.",
        3,
        34,
    )
    assert (first.began, first.first_word, first.ended) == (2.0, 3.2, 3.9)
    assert second.first_word is None
    assert third.usage is not None
    assert third.usage.tokens.output == 188
    assert (failed.text, failed.failed is not None) == ("I would ", True)
    assert last.finished is not None


def test_an_outage_lasts_until_the_session_is_ready_again(sample: Story) -> None:
    servers = {server.name: server for server in sample.servers}
    assert servers[LOGS].outages == ()
    (outage,) = servers[GIT].outages
    assert (outage.began, outage.ended, outage.losses) == (6.3, 8.5, 2)
    assert outage.reason == "connection refused"
    assert servers[GIT].ready_at == 0.31
    assert [tool.name for tool in servers[GIT].tools] == ["log", "show"]


def test_tokens_add_up_over_time(sample: Story) -> None:
    assert [(each.at, each.total.input, each.total.output) for each in sample.spent] == [
        (3.9, 1840, 131),
        (9.2, 2260, 195),
        (12.4, 2570, 383),
        (307.5, 2830, 453),
    ]


def test_notes_stand_in_their_place(sample: Story) -> None:
    outside = [type(each.item).__name__ for each in sample.chapters if isinstance(each, Note)]
    assert outside == [
        *("StreamOpened", "SessionReady", "ToolsChanged", "StreamOpened", "SessionReady"),
        *("ToolsChanged", "ServersSettled", "ServerLogged"),
    ]
    last = sample.turns[1]
    notes = [type(each.item).__name__ for each in last.steps if isinstance(each, Note)]
    assert notes == ["Problem", "PromptCancelled"]


def test_prompts_that_wait_are_taken_up_in_their_order() -> None:
    told = story(
        (0.0, prompts("one", "two")),
        (1.0, [asked(1)]),
        (2.0, [*thought(1, text("1")), ANSWERED, asked(2)]),
        (3.0, [ANSWERED]),
    )
    assert [(t.number, t.wish, t.asked, t.began, t.ended) for t in told.turns] == [
        (1, PromptSubmitted(text="one"), 0.0, 1.0, 2.0),
        (2, PromptSubmitted(text="two"), 0.0, 2.0, 3.0),
    ]


def test_what_happens_before_a_prompt_is_taken_up_stands_before_its_turn() -> None:
    told = story((0.0, prompts("one")), (1.0, [ready(LOGS, "sse", "x", "1")]), (2.0, [asked(1)]))
    assert [type(each) for each in told.chapters] == [Note, Turn]


def test_prompts_that_were_dropped_come_last_and_never_began() -> None:
    told = story(
        (0.0, prompts("one", "two")),
        (1.0, [asked(1)]),
        (2.0, [PromptCancelled(), CancelModel(call="model:1"), ANSWERED]),
        (3.0, [*prompts("three"), asked(2)]),
    )
    assert [(t.number, t.began) for t in told.turns] == [(1, 1.0), (3, 3.0), (2, None)]
    assert told.model_turns[0].ended == 2.0


def test_a_prompt_that_the_agent_refuses_shifts_no_other() -> None:
    full = replace(HEADER, plan=Plan(max_queued_prompts=1))
    told = story(
        (0.0, prompts("  ", "one", "too many")),
        (1.0, [asked(1), ANSWERED, *prompts("two"), asked(2)]),
        header=full,
    )
    wishes = {turn.wish: turn.began for turn in told.turns}
    assert wishes == {
        PromptSubmitted(text="one"): 1.0,
        PromptSubmitted(text="too many"): None,
        PromptSubmitted(text="two"): 1.0,
    }


def test_a_persons_own_call_is_a_turn_without_an_answer() -> None:
    told = story(
        (0.0, [CallSubmitted(tool="tail"), *called("c1", LOGS, "tail")]),
        (1.0, [ended("c1", LOGS, "tail", "x")]),
        (2.0, [CallSubmitted(tool="nope"), CallRejected(tool="nope", reason="no such tool")]),
    )
    first, second = told.turns
    assert (first.ended, first.answer) == (1.0, None)
    assert (second.began, second.ended) == (2.0, 2.0)
    assert isinstance(second.steps[0], Note)


def requested(id_: str, server: str = LOGS, method: str = "resources/read") -> Item:
    return RequestStarted(request=id_, server=server, method=method)


def answered(id_: str, server: str = LOGS, method: str = "resources/read") -> Item:
    return RequestEnded(request=id_, server=server, method=method, outcome="answered", result={})


READ = RequestSubmitted(method="resources/read")


def test_a_persons_request_is_a_turn_that_ends_with_its_last_answer() -> None:
    wish = RequestSubmitted(method="resources/list")
    told = story(
        (0.0, [wish, requested("r1", LOGS, wish.method), answered("r1", LOGS, wish.method)]),
        (1.0, [requested("r2", GIT, wish.method)]),
        (2.0, [answered("r2", GIT, wish.method), ReadPrompt()]),
    )
    (turn,) = told.turns
    assert (turn.wish, turn.began, turn.ended, turn.answer) == (wish, 0.0, 2.0, None)
    assert [type(step) for step in turn.steps] == [Note] * 4


def test_what_is_asked_next_is_another_turn() -> None:
    told = story(
        (0.0, [READ, *prompts("why?"), requested("r1")]),
        (1.0, [answered("r1"), asked(1)]),
        (2.0, [*thought(1, text("so")), ANSWERED]),
    )
    first, second = told.turns
    assert (first.wish, first.ended, len(first.steps)) == (READ, 1.0, 2)
    assert (second.began, second.answer) == (1.0, ANSWERED)


def test_a_servers_prompt_that_the_model_answers_is_one_turn() -> None:
    wish = RequestSubmitted(method="prompts/get", into_chat=True)
    told = story(
        (0.0, [wish, requested("r1", method=wish.method), answered("r1", method=wish.method)]),
        (1.0, [asked(1)]),
        (2.0, [*thought(1, text("so")), ANSWERED]),
    )
    (turn,) = told.turns
    assert (turn.wish, turn.ended, turn.answer) == (wish, 2.0, ANSWERED)
    assert len(turn.steps) == 3


def test_what_the_model_says_to_a_server_begins_no_turn_and_is_nobody_elses_cost() -> None:
    sample = replace(asked(1), call="sample:q1")
    said = ModelFinished(call="sample:q1", content=(), stop_reason="end_turn")
    used = Usage(model="m", tokens=Tokens(input=7))
    question = QuestionAsked(question="q1", server=LOGS, form="sample", message="x")
    told = story(
        (0.0, [*prompts("one"), asked(1)]),
        (1.0, [sample, said, used]),
        (2.0, [*thought(1, text("so")), ANSWERED]),
        (3.0, [question, sample, said, used]),
    )
    (turn,) = told.turns
    first, second = told.model_turns
    assert (first.call, first.usage is None) == ("model:1", False)
    assert (second.call, second.usage) == ("sample:q1", used)
    assert [note.item for note in told.chapters if isinstance(note, Note)] == [question]
    assert told.spent[-1].total.input == 14 + first.usage.tokens.input if first.usage else False
    assert turn.ended == 2.0


def test_a_recording_that_stops_has_no_end() -> None:
    told = story(*SCRIPT[:10])
    assert told.end is None
    (turn,) = told.turns
    assert (turn.began, turn.ended) == (2.0, None)
    (model,) = told.model_turns
    assert (model.ended, model.text) == (None, "I look at the logs and at ")


def test_a_run_that_goes_on_has_lost_what_was_under_way() -> None:
    plan = Plan(servers=(ServerPlan(name=LOGS, url="http://h/sse"),))
    told = story(
        (0.0, [Open(server=LOGS), ready(LOGS, "sse", "x", "1"), *prompts("one"), asked(1)]),
        (1.0, [ModelSpoke(call="model:1", text="I "), RunEnded(code=130)]),
        (900.0, [RunResumed(goal="chat", servers=(ServerPlan(name=LOGS, url="http://i/sse"),))]),
        (900.1, [Open(server=LOGS), asked(2), ready(LOGS, "sse", "x", "1")]),
        (901.0, [*thought(2, text("again")), ANSWERED]),
        header=Header(plan=plan),
    )
    (turn,) = told.turns
    assert [(s.began, s.ended) for s in turn.steps if isinstance(s, ModelTurn)] == [
        (0.0, 1.0),
        (900.1, 901.0),
    ]
    (server,) = told.servers
    assert [(each.began, each.ended) for each in server.outages] == [(1.0, 900.1)]
    assert (server.url, server.opened, told.end) == ("http://i/sse", 0.0, None)


def test_a_call_that_is_sent_again_is_one_call() -> None:
    again = Post(server=LOGS, url="u", id="call:c1~2", message={})
    repeated = ToolRepeated(call="c1", server=LOGS, tool="tail", reason="lost")
    told = story(
        (0.0, [*prompts("go"), asked(1), *called("c1", LOGS, "tail")]),
        (1.0, [repeated]),
        (2.0, [again]),
        (3.0, [ended("c1", LOGS, "tail", "x")]),
    )
    (call,) = told.calls
    assert (call.sent, call.sends, call.ended) == (0.0, 2, 3.0)


def test_where_the_clock_was_set_back_time_stands_still() -> None:
    told = story((5.0, prompts("one")), (1.0, [asked(1)]), (6.0, [ANSWERED]))
    (turn,) = told.turns
    assert (turn.began, turn.ended) == (0.0, 1.0)


def test_what_has_no_beginning_is_passed_over() -> None:
    told = story(
        (0.0, [
            ended("c9", LOGS, "tail"), ToolProgress(call="c9", progress=1), *thought(9, text("x")),
            ModelSpoke(call="model:9", text="x"), ModelThought(call="model:9", text="x"),
            CancelModel(call="model:9"), *called("", LOGS, "x")[1:],
            SessionReady(server="new", route=ready(LOGS, "sse", "", "").route),
            StreamLost(server="other", reason="gone"),
        ]),
        (1.0, [ANSWERED]),
    )  # fmt: skip
    (turn,) = told.turns
    assert (turn.wish, turn.steps, turn.answer) == (None, (), ANSWERED)
    assert [server.name for server in told.servers] == [LOGS, GIT, "new", "other"]


def test_ids_of_calls_and_of_model_calls_are_not_mixed_up() -> None:
    told = story(
        (0.0, [*prompts("go"), asked(1), *called("c1", LOGS, "tail")]),
        (1.0, [ended("model:1", LOGS, "tail"), CancelModel(call="c1")]),
    )
    assert (told.calls[0].ended, told.model_turns[0].ended) == (None, None)


def test_a_time_that_is_none_is_an_error_in_words() -> None:
    with pytest.raises(NotATimeError, match="'soon'"):
        tell(HEADER, [Entry(1, "soon", Problem(where="x", detail="y"))])


ITEMS = [item for _, together in SCRIPT for item in together]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(range(len(ITEMS))), max_size=60))
def test_entries_in_any_order_make_a_story_in_which_nothing_is_lost(numbers: list[int]) -> None:
    script: Script = [(at / 10, [ITEMS[number]]) for at, number in enumerate(numbers)]
    told = story(*script)
    seqs = [step.seq for step in told.steps]
    began = sum(isinstance(ITEMS[n], CallModel) for n in numbers)
    assert len(told.model_turns) == began
    assert len(seqs) == len(set(seqs))
    assert all(isinstance(each, Call | ModelTurn | Note) for each in told.steps)
    for turn in told.turns:
        assert turn.ended is None or (turn.began is not None and turn.began <= turn.ended)


def test_events_are_counted() -> None:
    usage = Usage(model="m", tokens=ModelFinished(call="", content=(), stop_reason="").tokens)
    assert story((0.0, [usage, usage])).events == 2
    assert story().events == 0

"""The agent with questions, requests and rounds: who hears what, and what breaks into it."""

from typing import Any

import pytest

from pipeline.core.agent.machine import step
from pipeline.core.agent.state import AgentState, initial
from pipeline.core.commands import (
    Ask,
    CallModel,
    CancelModel,
    Cut,
    Passing,
    Post,
    ReadPrompt,
    StartTimer,
    StopAsking,
)
from pipeline.core.events import (
    AnswerCompleted,
    CallRejected,
    CallSubmitted,
    Json,
    ModelFailed,
    ModelFinished,
    ModelSpoke,
    OffersChanged,
    Problem,
    PromptCancelled,
    PromptSubmitted,
    QuestionAnswered,
    QuestionAsked,
    QuestionClosed,
    ReplyReceived,
    RequestEnded,
    RequestLost,
    RequestStarted,
    RequestSubmitted,
    ResourceUpdated,
    Route,
    RunResumed,
    ServerAsked,
    ServerCancelled,
    ServersSettled,
    SessionOffers,
    SessionReady,
    Tokens,
    ToolEnded,
    ToolsChanged,
    Usage,
)
from pipeline.core.plan import Plan, Price, ServerPlan
from tests.support.play import (
    MESSAGES,
    URL,
    a_tool,
    finished,
    fired,
    kinds,
    last_messages,
    lost,
    one,
    only,
    play,
    posted,
    text_block,
    use,
)

ROUTE = Route(server="s", url=MESSAGES, dialect="http", protocol="2025-11-25")
PRICE = Price(input=1_000_000, output=0, cache_read=0, cache_write=0)
PLAN = Plan(
    servers=(ServerPlan(name="s", url=URL),),
    elicitation="ask",
    sampling="ask",
    model="claude-x",
    price=PRICE,
)
READY: list[Passing] = [
    SessionOffers(server="s", capabilities={"resources": {}, "prompts": {}, "tools": {}}),
    SessionReady(server="s", route=ROUTE),
    ToolsChanged(server="s", tools=(a_tool("add"),)),
    ServersSettled(ready=("s",)),
]
FORM: Json = {"message": "who?", "requestedSchema": {"properties": {"name": {"type": "string"}}}}
SAMPLE: Json = {"messages": [{"role": "user", "content": text_block("Hello")}]}
OK: Json = {"content": [text_block("5")]}
CANCEL = PromptCancelled()
CALL = CallSubmitted(tool="add")
READ = RequestSubmitted(method="resources/read", params={"uri": "demo://a"})
PROMPT = RequestSubmitted(method="prompts/get", params={"name": "greet"}, into_chat=True)


def after(*items: Passing, plan: Plan = PLAN) -> tuple[AgentState, list[Passing]]:
    return play(step, initial(plan), *READY, *items)


def out_of(*items: Passing, plan: Plan = PLAN) -> list[Passing]:
    """What the last of these items makes come out, without itself."""
    state, _ = after(*items[:-1], plan=plan)
    return [each for each in step(state, items[-1])[1] if each is not items[-1]]


def asks(method: str = "elicitation/create", id_: Any = 1, **params: Any) -> ServerAsked:
    return ServerAsked(server="s", id=id_, method=method, params=params or FORM, route=ROUTE)


def wants(id_: str, *keys: str, method: str = "elicitation/create", params: Json = FORM) -> Passing:
    requests = {key: {"method": method, "params": params} for key in keys}
    result: Json = {"resultType": "input_required", "inputRequests": requests}
    return ReplyReceived(server="s", id=id_, result=result)


def says(question: str = "q1", action: Any = "accept", **content: Any) -> QuestionAnswered:
    return QuestionAnswered(question=question, action=action, content=content)


def replies(id_: str, result: Json | None = None, error: str = "") -> ReplyReceived:
    return ReplyReceived(server="s", id=id_, result=None if error else result or OK, error=error)


def sampled(question: str = "q1", cost: int = 1) -> ModelFinished:
    tokens = Tokens(input=cost)
    content = (text_block("Hi"),)
    call = f"sample:{question}"
    return ModelFinished(
        call=call, content=content, stop_reason="end_turn", model="claude-x", tokens=tokens
    )


# --- what stays inside ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "item",
    [
        asks("roots/list"),
        ServerCancelled(server="s", id=1),
        SessionOffers(server="s"),
        RequestLost(server="s", id="call:c1", reason="why"),
        RequestLost(server="s", id="request:r1~1", reason="why"),
    ],
)
def test_what_is_only_for_the_agent_goes_no_further(item: Passing) -> None:
    state, _ = after()
    assert item not in step(state, item)[1]


def test_a_server_that_asks_for_what_is_not_offered_is_told_so() -> None:
    post = one(Post, out_of(asks("roots/list")))
    assert post.message["error"]["code"] == -32601


# --- a server's own questions -------------------------------------------------------------------


def test_a_server_may_ask_while_nothing_is_under_way() -> None:
    out = out_of(asks(), says(name="Ada"))
    assert one(Post, out).message["result"]["content"] == {"name": "Ada"}
    assert kinds(out) == ["QuestionClosed", "StopTimer", "Post"]


def test_while_a_server_waits_for_us_its_silence_is_our_own() -> None:
    assert out_of(CALL, asks(), fired("call:c1")) == [StartTimer(id="call:c1", seconds=60)]
    assert out_of(READ, asks(), fired("request:r1")) == [StartTimer(id="request:r1", seconds=60)]
    assert one(ToolEnded, out_of(CALL, asks(), says(), fired("call:c1"))).outcome == "unknown"
    assert one(RequestEnded, out_of(READ, asks(), says(), fired("request:r1"))).outcome == "unknown"


def test_a_server_that_takes_it_back_or_is_lost_needs_no_answer() -> None:
    for end in (ServerCancelled(server="s", id=1), lost()):
        out = out_of(asks(), end)
        assert kinds(out)[0] == "QuestionClosed"
        assert only(Post, out) == []


def test_a_question_nobody_answers_has_its_time() -> None:
    out = out_of(asks(), fired("question:q1"))
    assert one(Post, out).message["result"] == {"action": "cancel"}


# --- the model, for a server --------------------------------------------------------------------

SAMPLING = [asks("sampling/createMessage", **SAMPLE), says()]


def test_what_the_model_is_asked_for_a_server_costs_the_run() -> None:
    out = out_of(*SAMPLING, sampled(cost=2))
    assert kinds(out)[:2] == ["Usage", "QuestionClosed"]
    assert one(Usage, out).cost_usd == 2
    assert one(Post, out).message["result"]["content"] == text_block("Hi")
    _, all_ = after(*SAMPLING, sampled(cost=2), PromptSubmitted(text="hi"), finished(1, "A"))
    assert only(Usage, all_)[-1].total_usd == 12


def test_a_budget_that_a_server_has_spent_is_spent() -> None:
    plan = Plan(**{**{f: getattr(PLAN, f) for f in PLAN.__struct_fields__}, "max_budget_usd": 1.0})
    out = out_of(*SAMPLING, sampled(cost=2), PromptSubmitted(text="hi"), plan=plan)
    assert one(AnswerCompleted, out).stop == "max_budget"
    more = asks("sampling/createMessage", 2, **SAMPLE)
    out = out_of(*SAMPLING, sampled(cost=2), more, plan=plan)
    assert one(Post, out).message["error"]["message"] == "this client's budget is used up"


def test_what_the_model_says_to_a_server_is_no_answer_of_the_chat() -> None:
    assert out_of(*SAMPLING, ModelSpoke(call="sample:q1", text="Hi")) == []
    failed = ModelFailed(call="sample:q1", reason="HTTP 529", may_retry=True)
    out = out_of(PromptSubmitted(text="hi"), *SAMPLING, failed)
    assert kinds(out) == ["QuestionClosed", "StopTimer", "Post"], "the turn goes on"


def test_what_comes_after_the_question_is_closed_costs_and_says_nothing() -> None:
    out = out_of(*SAMPLING, ServerCancelled(server="s", id=1), sampled())
    assert kinds(out) == ["Usage"]


# --- calls that need something first ------------------------------------------------------------


def test_a_call_that_needs_an_answer_gets_it_and_goes_on() -> None:
    out = out_of(CALL, wants("call:c1", "a"), says(name="Ada"))
    assert kinds(out) == ["QuestionClosed", "StopTimer", "StartTimer", "Post"]
    accepted: Json = {"action": "accept", "content": {"name": "Ada"}}
    assert one(Post, out).message["params"]["inputResponses"] == {"a": accepted}
    out = out_of(CALL, wants("call:c1", "a"), says(name="Ada"), replies("call:c1~2"))
    assert kinds(out) == ["ToolEnded", "StopTimer", "StopTimer", "ReadPrompt"]


def test_a_call_that_needs_what_is_not_offered_ends_and_asks_for_nothing_more() -> None:
    out = out_of(CALL, wants("call:c1", "a", "b", method="roots/list"))
    assert one(ToolEnded, out).is_error
    assert only(QuestionAsked, out) == []
    both: Json = {
        "resultType": "input_required",
        "inputRequests": {
            "a": {"method": "roots/list"},
            "b": {"method": "elicitation/create", "params": FORM},
        },
    }
    out = out_of(CALL, replies("call:c1", both))
    assert "no 'roots/list'" in one(ToolEnded, out).reason
    assert only(QuestionAsked, out) == [], "nobody is asked for a call that has ended"


def test_what_ends_a_call_takes_back_its_other_questions() -> None:
    out = out_of(
        CALL,
        wants("call:c1", "a", "b", method="sampling/createMessage", params=SAMPLE),
        says("q1", "decline"),
    )
    assert [closed.question for closed in only(QuestionClosed, out)] == ["q1", "q2"]
    assert "the user rejected the sampling request" in one(ToolEnded, out).reason
    assert ReadPrompt() in out


def test_the_models_turn_goes_on_with_the_result_of_a_call_that_had_rounds() -> None:
    items = [
        PromptSubmitted(text="hi"),
        finished(1, use("u1", "mcp__s__add"), use("u2", "mcp__s__add")),
        wants("call:c1", "a"),
        replies("call:c2"),
        says(name="Ada"),
        replies("call:c1~2"),
    ]
    out = out_of(*items)
    assert one(CallModel, out).call == "model:2"
    ids = [block["tool_use_id"] for block in last_messages(out)[-1]["content"]]
    assert ids == ["u1", "u2"]


def test_a_call_whose_time_is_up_takes_its_question_back() -> None:
    out = out_of(CALL, wants("call:c1", "a"), fired("call:c1:max"))
    assert StopAsking(question="q1") in out
    assert one(QuestionClosed, out).reason == "what needed it has ended"
    assert one(ToolEnded, out).outcome == "unknown"


# --- a person's requests ------------------------------------------------------------------------


def test_a_request_is_made_between_prompts_and_then_the_next_may_come() -> None:
    assert kinds(out_of(READ)) == ["RequestStarted", "StartTimer", "Post"]
    assert kinds(out_of(READ, replies("request:r1~1"))) == [
        "RequestEnded",
        "StopTimer",
        "ReadPrompt",
    ]


def test_a_request_waits_for_the_answer_under_way() -> None:
    assert out_of(PromptSubmitted(text="hi"), READ) == []
    out = out_of(PromptSubmitted(text="hi"), READ, finished(1, "A"))
    assert kinds(out)[-3:] == ["RequestStarted", "StartTimer", "Post"]


def test_a_request_that_no_server_takes_is_rejected() -> None:
    wish = RequestSubmitted(method="completion/complete")
    assert kinds(out_of(wish)) == ["CallRejected", "ReadPrompt"]
    assert one(CallRejected, out_of(wish)).tool == "completion/complete"


def test_a_request_may_need_an_answer_first() -> None:
    out = out_of(READ, wants("request:r1~1", "a"), says(name="Ada"))
    assert one(Post, out).id == "request:r1~2"
    out = out_of(READ, wants("request:r1~1", "a", "b", method="roots/list"))
    assert "no 'roots/list'" in one(RequestEnded, out).error
    assert ReadPrompt() in out
    out = out_of(READ, wants("request:r1~1", "a"), says(), replies("request:r1~2"))
    assert kinds(out) == ["RequestEnded", "StopTimer", "ReadPrompt"]


def test_a_message_of_a_request_that_was_lost_is_sent_again() -> None:
    out = out_of(READ, RequestLost(server="s", id="request:r1~1", reason="cut"))
    assert one(Post, out).id == "request:r1~2"
    assert out_of(READ, posted("request:r1~1", None, reason="x")) == [], "the session tells"


def test_news_of_a_server_make_what_was_kept_stale() -> None:
    kept = replies("request:r1~1", {"contents": [], "ttlMs": 5000})
    assert only(Post, out_of(READ, kept, READ)) == []
    for news in (
        OffersChanged(server="s", what="resources"),
        ResourceUpdated(server="s", uri="demo://a"),
        fired("cache:r1"),
    ):
        assert len(only(Post, out_of(READ, kept, news, READ))) == 1


# --- prompts of servers -------------------------------------------------------------------------


def prompt(*messages: tuple[str, Any]) -> ReplyReceived:
    said = [{"role": role, "content": content} for role, content in messages]
    return replies("request:r1~1", {"messages": said})


def test_a_servers_prompt_is_put_to_the_model() -> None:
    out = out_of(PROMPT, prompt(("user", text_block("Hello")), ("assistant", text_block("Hi")), ("user", text_block("Bye"))))  # fmt: skip  # noqa: E501
    assert kinds(out) == ["RequestEnded", "StopTimer", "CallModel"]
    assert [message["role"] for message in last_messages(out)] == ["user", "assistant", "user"]
    _, all_ = after(PROMPT, prompt(("user", text_block("Hello"))), finished(1, "A"))
    assert one(AnswerCompleted, all_).text == "A"


@pytest.mark.parametrize(
    "answer",
    [
        prompt(),
        prompt(("user", text_block("a")), ("assistant", text_block("b"))),
        prompt(("system", text_block("a"))),
        prompt(("user", [])),
        prompt(("user", "text alone")),
        replies("request:r1~1", {"messages": 5}),
        replies("request:r1~1", error="no such prompt"),
    ],
)
def test_a_prompt_that_asks_nothing_is_only_shown(answer: Passing) -> None:
    out = out_of(PromptSubmitted(text="x"), CANCEL, PROMPT, answer)
    assert kinds(out) == ["RequestEnded", "StopTimer", "ReadPrompt"]


def test_a_prompt_that_is_not_for_the_chat_is_only_shown() -> None:
    shown = RequestSubmitted(method="prompts/get", params={"name": "greet"})
    out = out_of(shown, prompt(("user", text_block("Hello"))))
    assert only(CallModel, out) == []


# --- Ctrl-C -------------------------------------------------------------------------------------


def test_ctrl_c_cancels_the_question_of_a_server_and_lets_the_turn_end() -> None:
    out = out_of(PromptSubmitted(text="hi"), asks(), CANCEL)
    assert one(Post, out).message["result"] == {"action": "cancel"}
    assert one(AnswerCompleted, out).stop == "cancelled"
    assert CancelModel(call="model:1") in out


def test_ctrl_c_ends_a_call_that_needs_an_answer_without_sending_it_again() -> None:
    out = out_of(CALL, wants("call:c1", "a"), CANCEL)
    assert kinds(out) == [
        "ToolEnded", "StopTimer", "StopTimer", "QuestionClosed", "StopTimer", "StopAsking",
        "ReadPrompt",
    ]  # fmt: skip
    assert one(ToolEnded, out).outcome == "unknown"


def test_ctrl_c_stops_the_model_that_answers_for_a_call() -> None:
    sampling = wants("call:c1", "a", method="sampling/createMessage", params=SAMPLE)
    out = out_of(CALL, sampling, says(), CANCEL)
    assert CancelModel(call="sample:q1") in out
    assert only(Post, out) == []


def test_ctrl_c_ends_a_request_in_each_of_its_states() -> None:
    out = out_of(READ, CANCEL)
    assert one(RequestEnded, out).reason == "cancelled by the user"
    assert one(Cut, out).id == "request:r1~1"
    assert out[-1] == ReadPrompt()
    out = out_of(READ, wants("request:r1~1", "a"), CANCEL)
    assert kinds(out) == [
        "RequestEnded", "StopTimer", "QuestionClosed", "StopTimer", "StopAsking", "ReadPrompt",
    ]  # fmt: skip


def test_ctrl_c_keeps_a_servers_prompt_out_of_the_chat() -> None:
    assert only(CallModel, out_of(PROMPT, CANCEL)) == []


def test_ctrl_c_drops_requests_that_wait() -> None:
    out = out_of(PromptSubmitted(text="hi"), READ, CANCEL)
    assert one(Problem, out).detail == "1 waiting prompt(s) dropped"
    assert only(RequestStarted, out) == []


@pytest.mark.parametrize("late", [says(), sampled(), replies("request:r1~1"), fired("question:q1")])
def test_what_comes_too_late_starts_nothing(late: Passing) -> None:
    for items in ([CALL, wants("call:c1", "a")], [READ, wants("request:r1~1", "a")], [READ]):
        assert only(Post, out_of(*items, CANCEL, late)) == []


# --- another process ----------------------------------------------------------------------------


def resumed(*names: str) -> RunResumed:
    return RunResumed(goal="chat", servers=tuple(ServerPlan(name=n, url=URL) for n in names))


def test_a_process_that_goes_on_asks_the_person_again_and_the_call_goes_on() -> None:
    out = out_of(CALL, wants("call:c1", "a"), resumed("s"))
    assert one(QuestionAsked, out).question == one(Ask, out).question == "q2"
    assert StartTimer(id="call:c1:max", seconds=600) in out
    out = out_of(CALL, wants("call:c1", "a"), resumed("s"), *READY, says("q2", name="Ada"))
    assert one(Post, out).id == "call:c1~2"


def test_a_process_that_goes_on_does_not_answer_servers_that_wait_no_more() -> None:
    out = out_of(asks(), resumed("s"))
    assert one(QuestionClosed, out).reason == "the run was cut off"
    assert only(Post, out) == []
    assert only(Post, out_of(asks(), resumed("s"), says())) == []


def test_a_process_that_goes_on_without_the_server_ends_what_it_was_asked() -> None:
    out = out_of(CALL, wants("call:c1", "a"), resumed())
    assert one(ToolEnded, out).outcome == "unknown"
    assert out[-1] == ReadPrompt()
    out = out_of(READ, resumed())
    assert "not part of the resumed run" in one(RequestEnded, out).reason
    assert out[-1] == ReadPrompt()


def test_a_process_that_goes_on_makes_a_request_again() -> None:
    out = out_of(READ, resumed("s"))
    assert out == [StartTimer(id="request:r1", seconds=60)]
    out = out_of(READ, resumed("s"), READY[0], READY[1])
    assert one(Post, out).id == "request:r1~2"


def test_a_process_that_goes_on_while_the_model_answers_a_server_goes_on_with_the_chat() -> None:
    items = [PromptSubmitted(text="hi"), *SAMPLING, resumed("s")]
    out = out_of(*items)
    assert [call.call for call in only(CallModel, out)] == ["model:2"]
    sampling = wants("call:c1", "a", method="sampling/createMessage", params=SAMPLE)
    out = out_of(CALL, sampling, says(), resumed("s"))
    assert [call.call for call in only(CallModel, out)] == ["sample:q1"]

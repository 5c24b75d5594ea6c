"""What servers want of us: each question is answered once, where it came from."""

from typing import Any

import mcp_types
import pytest

from pipeline.core import questions
from pipeline.core.commands import (
    Ask,
    CallModel,
    CancelModel,
    Passing,
    Post,
    StartTimer,
    StopAsking,
    StopTimer,
)
from pipeline.core.events import (
    Json,
    ModelFailed,
    ModelFinished,
    QuestionAnswered,
    QuestionAsked,
    QuestionClosed,
)
from pipeline.core.plan import Plan
from pipeline.core.question_table import Answer, Move, Origin, Questions
from tests.support.play import a_route, kinds, one, only, text_block

NAME: Json = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
DEFAULTS: Json = {"properties": {"name": {"type": "string", "default": "Ada"}}}
FORM: Json = {"message": "who?", "requestedSchema": NAME}
URL: Json = {
    "mode": "url",
    "url": "https://a.example/x?y=1",
    "message": "log in",
    "elicitationId": "e",
}
SAMPLE: Json = {
    "messages": [{"role": "user", "content": text_block("Hello")}],
    "systemPrompt": "Be kind.",
    "maxTokens": 10,
}
ELICIT, CREATE = "elicitation/create", "sampling/createMessage"


def table(**changes: Any) -> Questions:
    found = {"elicitation": "ask", "sampling": "ask", "model": "claude-x", **changes}
    return Questions(Plan(**found))


def server(id_: Any = 1, name: str = "s") -> Origin:
    """A server's own request."""
    return Origin(server=name, route=a_route(name), rpc_id=id_)


def waiter(id_: str = "c1", key: str = "a") -> Origin:
    """An input that a call or request needs."""
    return Origin(server="s", waiter=id_, key=key)


def asked(*wants: tuple[Origin, str, Json], of: Questions | None = None) -> Move:
    """Questions come one after the other; the table and all that came out."""
    now, out = table() if of is None else of, list[Passing]()
    for origin, method, params in wants:
        now, more = questions.ask(now, origin, method, params)
        out.extend(more)
    return now, tuple(out)


def says(question: str = "q1", action: Any = "accept", **content: Any) -> QuestionAnswered:
    return QuestionAnswered(question=question, action=action, content=content)


def spoke(question: str = "q1", text: str = "Hi") -> ModelFinished:
    return ModelFinished(
        call=f"sample:{question}", content=(text_block(text),), stop_reason="end_turn", model="m"
    )


def answer_of(out: tuple[Passing, ...]) -> Json:
    """The one message that answers a server's request."""
    return one(Post, out).message


def error_of(out: tuple[Passing, ...]) -> tuple[int, str]:
    error = answer_of(out)["error"]
    return error["code"], error["message"]


# --- a form -------------------------------------------------------------------------------------


def test_a_form_is_told_then_put_to_the_person_under_a_timer() -> None:
    _, out = asked((server(), ELICIT, FORM))
    assert out == (
        QuestionAsked(question="q1", server="s", form="form", message="who?", schema=NAME),
        StartTimer(id="question:q1", seconds=300),
        Ask(question="q1"),
    )


@pytest.mark.parametrize("id_", [1, "1", 1.5, None, ""])
def test_what_the_person_answers_goes_back_under_the_servers_id(id_: Any) -> None:
    now, _ = asked((server(id_), ELICIT, FORM))
    now, out = questions.on_answered(now, says(name="Ada"))
    assert out[:2] == (
        QuestionClosed(question="q1", server="s", action="accept"),
        StopTimer(id="question:q1"),
    )
    message = answer_of(out)
    assert message == {
        "jsonrpc": "2.0",
        "id": id_,
        "result": {"action": "accept", "content": {"name": "Ada"}},
    }
    assert type(message["id"]) is type(id_)
    mcp_types.ElicitResult.model_validate(message["result"], by_name=False)
    assert now.open == {}


@pytest.mark.parametrize("action", ["decline", "cancel"])
def test_a_person_may_decline_or_walk_away(action: str) -> None:
    now, _ = asked((server(), ELICIT, FORM))
    assert answer_of(questions.on_answered(now, says(action=action))[1])["result"] == {
        "action": action
    }


def test_an_answer_that_does_not_fit_is_not_sent() -> None:
    now, _ = asked((server(), ELICIT, FORM))
    _, out = questions.on_answered(now, says(name=5))
    assert answer_of(out)["result"] == {"action": "decline"}
    assert one(QuestionClosed, out).reason == "name: found 5, expected text"


def test_a_call_gets_its_input_instead_of_a_message() -> None:
    now, _ = asked((waiter("c1", "a"), ELICIT, FORM))
    now, out = questions.on_answered(now, says(name="Ada"))
    assert only(Post, out) == []
    accepted: Json = {"action": "accept", "content": {"name": "Ada"}}
    assert now.answers == (Answer("c1", "a", accepted),)


def test_defaults_answer_where_the_run_says_so() -> None:
    of = table(elicitation="defaults")
    now, out = asked((server(), ELICIT, {"requestedSchema": DEFAULTS}), of=of)
    assert kinds(out) == ["QuestionAsked", "QuestionClosed", "StopTimer", "Post"]
    assert answer_of(out)["result"] == {"action": "accept", "content": {"name": "Ada"}}
    assert now.open == {}
    _, out = asked((server(), ELICIT, FORM), of=of)
    assert answer_of(out)["result"] == {"action": "decline"}, "for there is none"
    assert "name: found nothing" in one(QuestionClosed, out).reason


def test_what_was_said_beforehand_answers_before_defaults_do_if_it_fits() -> None:
    of = table(elicitation="defaults", answers={"name": "Bob", "other": 1})
    _, out = asked((server(), ELICIT, {"requestedSchema": DEFAULTS}), of=of)
    assert answer_of(out)["result"] == {"action": "accept", "content": {"name": "Bob"}}
    of = table(elicitation="defaults", answers={"name": 7})
    _, out = asked((server(), ELICIT, {"requestedSchema": DEFAULTS}), of=of)
    assert answer_of(out)["result"] == {"action": "decline"}
    assert one(QuestionClosed, out).reason == "name: found 7, expected text"


def test_a_person_has_the_last_word() -> None:
    """What was said beforehand was proposed: what is left out is left out."""
    optional: Json = {"requestedSchema": {"type": "object", "properties": NAME["properties"]}}
    now, _ = asked((server(), ELICIT, optional), of=table(answers={"name": "Bob"}))
    _, out = questions.on_answered(now, says())
    assert answer_of(out)["result"] == {"action": "accept", "content": {}}


def test_a_form_that_is_none_is_refused() -> None:
    _, out = asked((server(), ELICIT, {"message": "who?"}))
    assert kinds(out) == ["Post"]
    assert error_of(out) == (-32602, "found no `properties` in the form, expected an object")


@pytest.mark.parametrize("mode", ["voice", None, 5, ["form"]])
def test_a_mode_that_was_not_offered_is_refused(mode: Any) -> None:
    code, text = error_of(asked((server(), ELICIT, {**FORM, "mode": mode}))[1])
    assert code == -32602
    assert "found the elicitation mode" in text


# --- an address ---------------------------------------------------------------------------------


def test_an_address_is_shown_and_the_answer_has_no_content() -> None:
    now, out = asked((server(), ELICIT, URL))
    assert one(QuestionAsked, out) == QuestionAsked(
        question="q1", server="s", form="url", message="log in", url="https://a.example/x?y=1"
    )
    _, out = questions.on_answered(now, says(stray=1))
    assert answer_of(out)["result"] == {"action": "accept"}


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "file:///etc/passwd",
        "data:text/html,x",
        "https://",
        "a.example",
        "http://[",
        "https://a.example/\x1b[2J",
        "https://a.example/\u202egpj",
        "https://a.example/" + "x" * 5000,
        "",
        None,
        5,
    ],
)
def test_what_is_no_address_of_the_web_is_refused(url: Any) -> None:
    _, out = asked((server(), ELICIT, {**URL, "url": url}))
    code, text = error_of(out)
    assert (code, kinds(out)) == (-32602, ["Post"])
    assert len(text) < 200


def test_no_address_is_visited_unseen() -> None:
    _, out = asked((server(), ELICIT, URL), of=table(elicitation="defaults"))
    assert answer_of(out)["result"] == {"action": "decline"}


# --- the model ----------------------------------------------------------------------------------


def test_the_model_is_asked_once_the_person_says_so() -> None:
    now, out = asked((server(), CREATE, SAMPLE))
    assert one(QuestionAsked, out).message == "Hello"
    assert one(QuestionAsked, out).detail == SAMPLE
    assert only(CallModel, out) == []
    now, out = questions.on_answered(now, says())
    assert out == (
        StopTimer(id="question:q1"),
        CallModel(
            call="sample:q1",
            messages=({"role": "user", "content": [text_block("Hello")]},),
            system="Be kind.",
            max_tokens=10,
        ),
    )
    now, out = questions.on_model(now, spoke())
    assert kinds(out) == ["QuestionClosed", "StopTimer", "Post"]
    assert answer_of(out)["result"]["content"] == text_block("Hi")
    assert now.open == {}


def test_or_at_once_where_the_run_says_so() -> None:
    now, out = asked((server(), CREATE, SAMPLE), of=table(sampling="always"))
    assert kinds(out) == ["QuestionAsked", "StopTimer", "CallModel"]
    assert answer_of(questions.on_model(now, spoke())[1])["result"]["model"] == "m"


@pytest.mark.parametrize("action", ["decline", "cancel"])
def test_a_person_who_does_not_want_that_is_an_error(action: str) -> None:
    now, _ = asked((server(), CREATE, SAMPLE))
    _, out = questions.on_answered(now, says(action=action))
    assert error_of(out) == (-1, "the user rejected the sampling request")
    assert one(QuestionClosed, out).action == action


def test_a_model_that_fails_is_an_error_and_not_the_end() -> None:
    now, _ = asked((server(), CREATE, SAMPLE), of=table(sampling="always"))
    failed = ModelFailed(call="sample:q1", reason="HTTP 529")
    _, out = questions.on_model(now, failed)
    assert error_of(out) == (-32603, "the model failed: HTTP 529")
    assert one(QuestionClosed, out).action == "refused"


def test_what_the_model_cannot_be_asked_is_refused() -> None:
    code, text = error_of(asked((server(), CREATE, {**SAMPLE, "tools": [{}]}))[1])
    assert (code, "found tools" in text) == (-32602, True)


def test_direct_is_no_model_for_others() -> None:
    _, out = asked((server(), CREATE, SAMPLE), of=table(model="direct"))
    assert error_of(out) == (-1, "this client has no model at hand")


def test_the_model_is_asked_only_so_often() -> None:
    of = table(sampling="always", max_samples=1)
    now, _ = asked((server(1), CREATE, SAMPLE), (server(2), CREATE, SAMPLE), of=of)
    assert len(now.open) == 1
    _, out = questions.ask(now, server(3), CREATE, SAMPLE)
    assert error_of(out) == (-1, "this client's limit is 1 such requests (--max-samples)")


def test_what_a_person_did_not_want_does_not_count() -> None:
    now, _ = asked((server(1), CREATE, SAMPLE), of=table(max_samples=1))
    now, _ = questions.on_answered(now, says(action="decline"))
    _, out = asked((server(2), CREATE, SAMPLE), of=now)
    assert kinds(out) == ["QuestionAsked", "StartTimer", "Ask"]


def test_a_limit_that_is_reached_while_questions_wait_holds_for_them_too() -> None:
    now, _ = asked(
        (server(1), CREATE, SAMPLE), (server(2), CREATE, SAMPLE), of=table(max_samples=1)
    )
    now, _ = questions.on_answered(now, says("q1"))
    _, out = questions.on_answered(now, says("q2"))
    assert error_of(out)[0] == -1
    assert only(CallModel, out) == []


def test_without_a_budget_nobody_is_asked_nor_is_the_model() -> None:
    _, out = questions.ask(table(), server(), CREATE, SAMPLE, may_spend=False)
    assert error_of(out) == (-1, "this client's budget is used up")
    now, _ = asked((server(), CREATE, SAMPLE))
    _, out = questions.on_answered(now, says(), may_spend=False)
    assert (only(CallModel, out), error_of(out)[0]) == ([], -1)


# --- roots --------------------------------------------------------------------------------------


def test_roots_are_told_as_the_run_has_them() -> None:
    roots = ("file:///home/ada/my%20files", "file:///")
    _, out = asked((server(), "roots/list", {}), of=table(roots=roots))
    result = answer_of(out)["result"]
    assert result == {
        "roots": [{"uri": roots[0], "name": "my files"}, {"uri": "file:///", "name": "file:///"}]
    }
    mcp_types.ListRootsResult.model_validate(result, by_name=False)
    now, _ = asked((waiter(), "roots/list", {}), of=table(roots=roots))
    assert now.answers == (Answer("c1", "a", result),)


# --- what is not offered ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "params"),
    [("roots/list", {}), (ELICIT, FORM), (CREATE, SAMPLE), ("tools/list", {}), ("", {})],
)
def test_what_the_run_does_not_offer_is_no_method(method: str, params: Json) -> None:
    nothing = Questions(Plan())
    now, out = questions.ask(nothing, server(), method, params)
    assert error_of(out) == (-32601, f"this client offers no {method!r}")
    now, out = questions.ask(nothing, waiter(), method, params)
    assert out == ()
    assert now.answers == (Answer("c1", "a", None, f"this client offers no {method!r}"),)


def test_a_method_of_any_length_is_refused_in_a_line() -> None:
    assert len(error_of(asked((server(), "x" * 9999, {}))[1])[1]) < 200


# --- several of them ----------------------------------------------------------------------------


def test_a_person_is_asked_one_question_at_a_time() -> None:
    now, out = asked(*((server(n), ELICIT, FORM) for n in (1, 2, 3)))
    assert [ask.question for ask in only(Ask, out)] == ["q1"]
    now, out = questions.on_answered(now, says("q1", name="A"))
    assert [ask.question for ask in only(Ask, out)] == ["q2"]
    now, out = questions.on_cancelled(now, "s", 2)
    assert [ask.question for ask in only(Ask, out)] == ["q3"]


def test_the_next_one_comes_while_the_model_answers() -> None:
    now, _ = asked((server(1), CREATE, SAMPLE), (server(2), ELICIT, FORM))
    _, out = questions.on_answered(now, says("q1"))
    assert kinds(out) == ["StopTimer", "CallModel", "StartTimer", "Ask"]


def test_more_than_so_many_are_refused() -> None:
    of = table(max_questions=2)
    now, out = asked(*((server(n), ELICIT, FORM) for n in (1, 2, 3)), of=of)
    assert len(now.open) == 2
    assert error_of(out) == (
        -32603,
        "2 questions are open already, and that is the limit (--max-questions)",
    )


def test_a_question_that_comes_twice_is_one() -> None:
    now, _ = asked((server(1), ELICIT, FORM))
    assert asked((server(1), ELICIT, FORM), of=now) == (now, ())
    assert len(asked((server("1"), ELICIT, FORM), of=now)[0].open) == 2
    assert len(asked((server(1, "t"), ELICIT, FORM), of=now)[0].open) == 2


# --- the end of a question ----------------------------------------------------------------------


def test_nobody_is_waited_for_for_ever() -> None:
    now, _ = asked((server(), ELICIT, FORM))
    now, out = questions.on_timer(now, "question:q1")
    assert one(QuestionClosed, out).reason == ("nobody answered within 300 s (--question-timeout)")
    assert StopAsking(question="q1") in out
    assert answer_of(out)["result"] == {"action": "cancel"}
    assert questions.on_timer(now, "question:q1") == (now, ())
    now, _ = asked((server(), CREATE, SAMPLE))
    assert error_of(questions.on_timer(now, "question:q1")[1])[0] == -1


def test_a_timer_of_a_question_that_nobody_is_asked_means_nothing() -> None:
    now, _ = asked((server(1), CREATE, SAMPLE), (server(2), ELICIT, FORM))
    assert questions.on_timer(now, "question:q2") == (now, ())
    now, _ = questions.on_answered(now, says("q1"))
    assert questions.on_timer(now, "question:q1") == (now, ()), "the model has its own time"


@pytest.mark.parametrize("late", [says("q9"), says("q1")])
def test_an_answer_that_is_late_is_passed_over(late: QuestionAnswered) -> None:
    now, _ = asked((server(), ELICIT, FORM))
    now, _ = questions.on_timer(now, "question:q1")
    assert questions.on_answered(now, late) == (now, ())
    assert questions.on_model(now, spoke("q1")) == (now, ())


def test_an_answer_to_what_was_not_asked_yet_is_passed_over() -> None:
    now, _ = asked((server(1), ELICIT, FORM), (server(2), ELICIT, FORM))
    assert questions.on_answered(now, says("q2")) == (now, ())
    now, _ = asked((server(1), CREATE, SAMPLE))
    assert questions.on_model(now, spoke()) == (now, ())


def test_what_a_server_takes_back_gets_no_answer() -> None:
    now, _ = asked((server(1), ELICIT, FORM), (waiter(), ELICIT, FORM))
    assert questions.on_cancelled(now, "t", 1) == (now, ())
    assert questions.on_cancelled(now, "s", None) == (now, ())
    now, out = questions.on_cancelled(now, "s", 1)
    closed = one(QuestionClosed, out)
    assert (closed.action, closed.reason) == ("cancel", "the server took it back")
    assert only(Post, out) == []
    assert StopAsking(question="q1") in out


def test_a_lost_connection_takes_what_was_asked_over_it_and_nothing_else() -> None:
    now, _ = asked(
        (server(1), ELICIT, FORM),
        (server(1, "t"), ELICIT, FORM),
        (waiter(), ELICIT, FORM),
        (server(2), ELICIT, FORM),
    )
    now, out = questions.on_lost(now, "s", "gone")
    assert [closed.question for closed in only(QuestionClosed, out)] == ["q4", "q1"]
    assert [ask.question for ask in only(Ask, out)] == ["q2"], "those that go get no turn"
    assert only(Post, out) == []
    assert list(now.open) == ["q2", "q3"]


def test_what_a_call_needed_ends_with_it_and_the_model_is_stopped() -> None:
    of = table(sampling="always")
    now, _ = asked((waiter("c1"), CREATE, SAMPLE), (waiter("c2"), ELICIT, FORM), of=of)
    now, out = questions.on_ended(now, "c1")
    assert CancelModel(call="sample:q1") in out
    assert now.answers == ()
    assert list(now.open) == ["q2"]
    assert questions.on_ended(now, "c1") == (now, ())


def test_a_person_may_want_no_questions_at_all() -> None:
    now, _ = asked(
        (server(1), ELICIT, FORM), (server(2), CREATE, SAMPLE), (waiter("c1"), ELICIT, FORM)
    )
    now, out = questions.cancel_all(now, "cancelled by the user")
    results = [post.message.get("result") for post in only(Post, out)]
    assert results == [None, {"action": "cancel"}]
    assert [ask.question for ask in only(Ask, out)] == ["q3"], "which ends with its call"


def test_a_server_is_waited_for_as_long_as_it_has_a_question_of_its_own() -> None:
    now, _ = asked((server(1), ELICIT, FORM))
    assert questions.is_waited_for(now, "s")
    assert not questions.is_waited_for(now, "t")
    now, _ = asked((waiter(), ELICIT, FORM))
    assert not questions.is_waited_for(now, "s"), "a call that waits has its own time"


# --- another process ----------------------------------------------------------------------------


def test_a_process_that_goes_on_asks_again_what_a_call_needs() -> None:
    now, _ = asked(
        (server(1), ELICIT, FORM), (waiter("c1"), ELICIT, FORM), (waiter("c2"), ELICIT, FORM)
    )
    now, out = questions.on_resumed(now)
    closed = only(QuestionClosed, out)
    assert [(each.question, each.reason) for each in closed] == [
        (id_, "the run was cut off") for id_ in ("q1", "q2", "q3")
    ]
    again = only(QuestionAsked, out)
    assert [(each.question, each.schema) for each in again] == [("q4", NAME), ("q5", NAME)]
    assert out[-2:] == (StartTimer(id="question:q4", seconds=300), Ask(question="q4"))
    assert len(only(Ask, out)) == 1
    assert only(Post, out) == []
    now, _ = questions.on_answered(now, says("q4", name="Ada"))
    assert [given.waiter for given in now.answers] == ["c1"]


def test_a_process_that_goes_on_asks_the_model_again() -> None:
    now, _ = asked((waiter("c1"), CREATE, SAMPLE), (waiter("c2"), ELICIT, FORM))
    now, _ = questions.on_answered(now, says("q1"))
    now, out = questions.on_resumed(now)
    assert [call.call for call in only(CallModel, out)] == ["sample:q1"]
    assert [ask.question for ask in only(Ask, out)] == ["q3"]
    now, _ = questions.on_model(now, spoke("q1"))
    assert [given.waiter for given in now.answers] == ["c1"]


def test_with_no_questions_there_is_nothing_to_go_on_with() -> None:
    assert questions.on_resumed(table()) == (table(), ())

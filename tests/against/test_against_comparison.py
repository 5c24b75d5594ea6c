"""What counts as a difference between two runs of the same prompts, and what does not."""

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from pipeline.against.behaviour import Behaviour, Call, Turn
from pipeline.against.comparison import compare
from pipeline.against.verdict import Comparison, Difference, Prompt
from pipeline.core.events import CallSubmitted, Json, PromptSubmitted, Tool
from pipeline.core.plan import Plan, ServerPlan
from tests.support.play import a_tool

ASK = PromptSubmitted(text="go")


def call(tool: str = "add", server: str = "s", result: Any = "answered", **arguments: Any) -> Call:
    words = "" if result == "answered" else "so it is"
    return Call(server, tool, arguments, result=result, words=words)


def turn(*rounds: Sequence[Call], **changes: Any) -> Turn:
    fields = {"fate": "done", "stop": "end_turn", "has_text": True, **changes}
    return Turn(ASK, rounds=[list(each) for each in rounds], **fields)


def a_run(*turns: Turn, tools: dict[str, Sequence[Tool]] | None = None) -> Behaviour:
    """A run on servers that are all ready."""
    offered = {"s": ()} if tools is None else tools
    plan = Plan(servers=tuple(ServerPlan(name=name, url="http://h/sse") for name in offered))
    behaviour = Behaviour(plan)
    behaviour.turns = list(turns)
    behaviour.tools = {name: tuple(each) for name, each in offered.items()}
    behaviour.ready = set(offered)
    return behaviour


def compared(old: Turn, new: Turn) -> Prompt:
    found = compare(a_run(old), a_run(new))
    assert found.offers == ()
    (prompt,) = found.prompts
    assert (prompt.result == "differs") is (prompt.differences != ())
    assert found.is_same is (prompt.result == "ok")
    return prompt


def differences(old: Turn, new: Turn) -> list[tuple[str, str, str]]:
    return [(each.kind, each.tool, each.text) for each in compared(old, new).differences]


# --- calls ------------------------------------------------------------------------------------

A, B, C = call("a"), call("b"), call("c")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (turn(), turn()),
        (turn([A], []), turn([A])),
        (turn([A], [], [B]), turn([A], [B])),
        (turn([A], [B]), turn([], [], [A], [], [B])),
        (turn([A, B]), turn([B, A])),
        (turn([A, B], [C]), turn([A], [B], [C])),
        (turn([B], [A], [C]), turn([A, B, C])),
        (turn([A, A, B]), turn([A, B, A])),
        (turn([A, B, C]), turn([C], [A, B])),
        (turn([call(n=2, of=[1, {"x": 1}])]), turn([call(of=[1, {"x": 1.0}], n=2.0)])),
        (turn([call(result="error")]), turn([Call("s", "add", {}, result="error", words="x")])),
        (turn([Call("s", "add", {}, True, "answered")]), turn([call()])),
    ],
)
def test_the_same_calls_are_the_same_in_whatever_steps_they_come(old: Turn, new: Turn) -> None:
    assert compared(old, new).result == "ok"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (turn([A], [B]), turn([B], [A]), "recorded a, b, now b, a"),
        (turn([A, B], [C]), turn([A], [C], [B]), "recorded a, b, c, now a, c, b"),
        (turn([A], [B, C]), turn([B], [A, C]), "recorded a, b, c, now b, a, c"),
    ],
)
def test_a_call_before_one_that_it_came_after_is_another_order(
    old: Turn, new: Turn, words: str
) -> None:
    assert differences(old, new) == [("order", "", f"called in another order: {words}")]


def test_another_argument_is_named_by_its_place() -> None:
    old, new = turn([call(x={"n": [1]}, y=0)]), turn([call(x={"n": [True]}, y=0)])
    assert differences(old, new) == [("arguments", "add", "x.n[0]: recorded 1, now true")]


@pytest.mark.parametrize(
    ("was", "now", "words"),
    [
        ("answered", "error", "recorded answered, now an error (so it is)"),
        ("error", "answered", "recorded an error (so it is), now answered"),
        ("answered", "unknown", "recorded answered, now an unknown outcome (so it is)"),
        ("unknown", "not_sent", "recorded an unknown outcome (so it is), now not sent (so it is)"),
    ],
)
def test_another_end_is_told_with_what_was_said_of_it(was: str, now: str, words: str) -> None:
    old, new = turn([call(result=was)]), turn([call(result=now)])
    assert differences(old, new) == [("result", "add", words)]


def test_a_call_that_is_not_made_and_one_that_is_new_are_told_with_their_arguments() -> None:
    old, new = turn([call("a", n=1), B]), turn([B, C])
    assert differences(old, new) == [
        ("missing", "a", 'not called now; recorded with {"n":1}'),
        ("extra", "c", "not called in the recording; now with {}"),
    ]


def test_one_call_more_of_a_kind_is_a_difference() -> None:
    assert differences(turn([A]), turn([A], [A])) == [
        ("extra", "a", "not called in the recording; now with {}")
    ]
    assert differences(turn([A, A]), turn([A])) == [
        ("missing", "a", "not called now; recorded with {}")
    ]


def test_a_call_is_held_against_the_one_that_is_most_like_it() -> None:
    old = turn([call(n=1), call(n=2)])
    new = turn([call(n=3), call(n=1, result="error")])
    assert differences(old, new) == [
        ("result", "add", "recorded answered, now an error (so it is)"),
        ("arguments", "add", "n: recorded 2, now 3"),
    ]


def test_a_tool_of_the_same_name_on_another_server_is_another_tool() -> None:
    tools: dict[str, Sequence[Tool]] = {"s": (), "t": ()}
    old, new = a_run(turn([call()]), tools=tools), a_run(turn([call(server="t")]), tools=tools)
    (prompt,) = compare(old, new).prompts
    assert [(each.kind, each.server) for each in prompt.differences] == [
        ("missing", "s"),
        ("extra", "t"),
    ]


def test_braces_in_what_a_call_was_given_are_text() -> None:
    (found,) = differences(turn([call(x="{0}{y}")]), turn([call(x="{}")]))
    assert found[2] == 'x: recorded "{0}{y}", now "{}"'


# --- answers ----------------------------------------------------------------------------------


def test_another_reason_to_stop_is_a_difference() -> None:
    assert differences(turn(), turn(stop="max_turns")) == [
        ("stop", "", "recorded ended by end_turn, now ended by max_turns")
    ]


def test_a_rejected_call_is_told_by_its_reason_alone() -> None:
    old, new = turn([call()], stop=""), turn(stop="rejected", words="no tool is named 'add'")
    assert differences(old, new) == [
        ("stop", "", "recorded taken, now rejected (no tool is named 'add')")
    ]
    assert compared(new, turn(stop="rejected", words="otherwise")).result == "ok"


def test_an_answer_that_fell_silent_is_a_note_and_no_difference() -> None:
    silent = turn(has_text=False)
    assert compared(turn(), silent) == Prompt(
        wish=ASK, result="ok", notes=("the answer is empty now",)
    )
    assert compared(silent, silent).notes == ()
    assert compared(silent, turn()).notes == ()


# --- which prompts ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fate", "why"),
    [
        ("cancelled", "it was cancelled in the recorded run"),
        ("open", "the recording stops in it"),
        ("waiting", "the recorded run never took it up"),
    ],
)
def test_a_prompt_without_a_recorded_end_is_left_out_and_shifts_no_other(
    fate: str, why: str
) -> None:
    old = a_run(turn([A], fate=fate), turn([B]))
    found = compare(old, a_run(turn([B])))
    assert [prompt.result for prompt in found.prompts] == ["left_out", "ok"]
    assert found.prompts[0].notes == (why,)
    assert found.is_same


def test_a_prompt_that_the_run_did_not_come_to_was_not_run() -> None:
    old = a_run(turn([A]), turn([B]), turn([C]))
    found = compare(old, a_run(turn([A]), turn([B], fate="cancelled")))
    assert [(prompt.result, prompt.notes) for prompt in found.prompts] == [
        ("ok", ()),
        ("not_run", ("the run ended in it",)),
        ("not_run", ("the run ended before it",)),
    ]
    assert (found.count("not_run"), found.is_same) == (2, True)


# --- servers and tools ------------------------------------------------------------------------


def offers(
    old: dict[str, Sequence[Tool]], new: dict[str, Sequence[Tool]]
) -> tuple[Difference, ...]:
    found = compare(a_run(tools=old), a_run(tools=new))
    assert found.is_same is (not found.offers)
    return found.offers


def test_tools_that_went_came_or_changed_are_named() -> None:
    schema: Json = {"type": "object", "properties": {"n": {"type": "number"}}}
    strict: Json = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    old = (a_tool("a"), a_tool("b", input_schema=schema, description="Count."))
    new = (a_tool("b", input_schema=strict, description="Count!"), a_tool("c"))
    assert [(each.tool, each.text) for each in offers({"s": old}, {"s": new})] == [
        ("a", "it is not offered now"),
        ("b", 'description: recorded "Count.", now "Count!"'),
        ("b", 'inputSchema.properties.n.type: recorded "number", now "integer"'),
        ("b", 'inputSchema.required: recorded nothing, now ["n"]'),
        ("c", "it was not offered in the recording"),
    ]


def test_a_hint_that_changed_is_a_difference() -> None:
    (found,) = offers(
        {"s": [a_tool("a", annotations={"readOnlyHint": True})]},
        {"s": [a_tool("a", annotations={"readOnlyHint": False})]},
    )
    assert found == Difference(
        kind="tool", server="s", tool="a", text="annotations.readOnlyHint: recorded true, now false"
    )


def test_neither_the_order_of_tools_nor_alias_nor_digest_count() -> None:
    one, two = a_tool("a"), a_tool("b")
    other = replace(one, alias="mcp__x__a", digest="sha256:0")
    assert offers({"s": [one, two]}, {"s": [two, other]}) == ()


def test_a_server_is_known_by_its_name_and_what_is_left_over_by_its_place() -> None:
    one, two, three = a_tool("a"), a_tool("b"), a_tool("c")
    old = a_run(
        turn([call("a", "one"), call("b", "two"), call("c", "three")]),
        tools={"one": [one], "two": [two], "three": [three]},
    )
    new = a_run(
        turn([call("a", "x"), call("b", "two"), call("c", "y")]),
        tools={"two": [two], "x": [one], "y": [three]},
    )
    assert compare(old, new).is_same


def test_a_server_that_is_not_there_or_new_is_told_once_not_tool_by_tool() -> None:
    tool = a_tool("a")
    assert offers({"s": [tool], "t": [tool]}, {"s": [tool]}) == (
        Difference(kind="server", server="t", text="it is not ready now"),
    )
    assert offers({"s": [tool]}, {"s": [tool], "t": [tool]}) == (
        Difference(kind="server", server="t", text="it is ready now, and was not in the recording"),
    )


def test_a_server_under_another_name_that_does_not_get_ready_is_told_with_both() -> None:
    new = a_run(tools={"other": ()})
    new.ready.clear()
    (found,) = compare(a_run(), new).offers
    assert (found.server, found.text) == ("s", "it is not ready now (as 'other')")


def test_a_server_that_never_was_ready_is_not_missed() -> None:
    old, new = a_run(tools={"s": (), "t": ()}), a_run()
    old.ready.discard("t")
    assert compare(old, new) == Comparison(offers=(), prompts=())


def test_a_persons_own_call_is_compared_as_one_of_the_model() -> None:
    wish = CallSubmitted(tool="add", arguments="n=1")
    old = Turn(wish, "done", [[call(n=1)]])
    new = Turn(wish, "done", [[call(n=1, result="error")]])
    (prompt,) = compare(a_run(old), a_run(new)).prompts
    assert (prompt.wish, prompt.result) == (wish, "differs")

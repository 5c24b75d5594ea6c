"""What came of a comparison, for people and for programs."""

import json

import pytest

from pipeline.against.report import as_json, in_words
from pipeline.against.verdict import Comparison, Difference, Prompt
from pipeline.core.events import CallSubmitted, PromptSubmitted, RequestSubmitted, RunEnded

DONE = RunEnded(code=0)
OTHER = Difference(kind="arguments", server="s", tool="add", text="a: recorded 1, now 2")
FOUND = Comparison(
    offers=(Difference(kind="tool", server="s", tool="sub", text="it is not offered now"),),
    prompts=(
        Prompt(wish=PromptSubmitted(text="add a=1"), result="ok"),
        Prompt(
            wish=CallSubmitted(tool="add", arguments="a=1"),
            result="differs",
            differences=(OTHER, Difference(kind="order", text="called in another order")),
            notes=("the answer is empty now",),
        ),
        Prompt(wish=PromptSubmitted(text="wait"), result="left_out", notes=("cancelled",)),
        Prompt(
            wish=RequestSubmitted(method="resources/read", params={"uri": "x:y"}),
            result="not_run",
            notes=("the run ended before it",),
        ),
        Prompt(wish=RequestSubmitted(method="prompts/list"), result="ok"),
    ),
)


def words(found: Comparison, ended: RunEnded = DONE, code: int = 6) -> list[str]:
    return in_words("run.jsonl", found, ended, code).split("\n")


def test_there_is_a_line_for_each_prompt_and_below_it_what_differs() -> None:
    assert words(FOUND) == [
        "differs   s sub: it is not offered now",
        "ok         1  add a=1",
        "differs    2  call add a=1",
        "              s add: a: recorded 1, now 2",
        "              called in another order",
        "              note: the answer is empty now",
        "left out   3  wait (cancelled)",
        'not run    4  resources/read {"uri":"x:y"} (the run ended before it)',
        "ok         5  prompts/list",
        "run.jsonl against live: 5 prompts: 2 ok, 1 differs, 1 left out, 1 not run; "
        "servers and tools: 1 difference",
    ]


def test_a_recording_without_prompts_is_told_in_a_line() -> None:
    (line,) = words(Comparison(offers=(), prompts=()), code=0)
    assert line == "run.jsonl against live: no prompts; servers and tools: as recorded"


@pytest.mark.parametrize(("ended", "code", "is_told"), [(4, 4, True), (5, 6, False), (8, 0, False)])
def test_a_run_that_failed_is_told_if_that_is_the_exit_status(
    ended: int, code: int, is_told: bool
) -> None:
    lines = words(FOUND, RunEnded(code=ended, reason="so it is"), code)
    told = [line for line in lines if line.startswith("the run ended")]
    assert told == ([f"the run ended with exit status {code}: so it is"] if is_told else [])


def test_foreign_text_is_harmless_on_one_line_and_not_too_long() -> None:
    prompt = Prompt(
        wish=PromptSubmitted(text="one\ntwo\x1b[2J" + "x" * 1000),
        result="differs",
        differences=(Difference(kind="result", server="s", tool="\x07", text="y\n" * 1000),),
    )
    first, second, _ = words(Comparison(offers=(), prompts=(prompt,)))
    assert first.startswith(r"differs    1  one\ntwo\x1b[2Jxxx")
    assert second.strip().startswith(r"s \x07: y\ny\n")
    assert max(len(first), len(second)) < 700


def test_a_program_gets_one_object_in_ascii() -> None:
    text = as_json("rün.jsonl", FOUND, RunEnded(code=5, reason="an error"), 6)
    assert text.isascii()
    assert "\n" not in text
    value = json.loads(text)
    assert value["prompts"][1] == {
        "prompt": "call add a=1",
        "result": "differs",
        "differences": [
            {"kind": "arguments", "server": "s", "tool": "add", "text": "a: recorded 1, now 2"},
            {"kind": "order", "text": "called in another order"},
        ],
        "notes": ["the answer is empty now"],
    }
    assert [each["result"] for each in value["prompts"]] == [
        *("ok", "differs", "left_out", "not_run", "ok")
    ]
    assert value["offers"] == [
        {"kind": "tool", "server": "s", "tool": "sub", "text": "it is not offered now"}
    ]
    del value["prompts"], value["offers"]
    assert value == {
        "recording": "rün.jsonl",
        "against": "live",
        "is_same": False,
        "exit_code": 6,
        "reason": "an error",
    }

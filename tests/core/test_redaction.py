"""Secrets are taken out of lines, the same one under the same name, and nothing else changes."""

import json
import re
from collections.abc import Sequence
from typing import Any

import pytest

from pipeline.core.redaction import Edit, Finder, Redactor, Why, edited

ANTHROPIC = "sk-ant-" + "api03-Vx8mT2qLw9"
GITHUB = "ghp_" + "1a2B3c4D5e6F7g8H9i0J1k2L3m4N5o6P7q8R"
BY_LOOK = "[redacted:anthropic-key:1]"
WHY = Why("given", "--secret-env X")


def clean(*lines: str, known: Sequence[str] = (), finders: Sequence[Finder] = ()) -> list[str]:
    redactor = Redactor(dict.fromkeys(known, WHY), finders)
    redactor.study(lambda: iter(lines))
    return [redactor.clean(line, number) for number, line in enumerate(lines, 1)]


def row(kind: str, **fields: Any) -> str:
    return (
        json.dumps({"seq": 1, "at": "2026-11-24T06:28:23.000001Z", "kind": kind, **fields}) + "\n"
    )


def test_edits_change_what_they_say_and_no_more() -> None:
    assert edited("abcdef", [Edit(0, 1, "X"), Edit(3, 3, "Y"), Edit(5, 6, "")]) == "XbcYde"
    assert edited("abc", []) == "abc"


def test_a_secret_has_one_name_in_all_lines_and_those_before_too() -> None:
    lines = [
        row("prompt_submitted", text=f"x {ANTHROPIC}"),
        row("post", message={"a": ["unlike", GITHUB]}),
        row("frame_received", data=json.dumps({"b": [ANTHROPIC, {"password": "s3cr3t-word"}]})),
        row("tool_ended", reason=f"({ANTHROPIC}) s3cr3t-word"),
    ]
    names = {ANTHROPIC: BY_LOOK, GITHUB: "[redacted:github-token:1]"}
    names["s3cr3t-word"] = "[redacted:telling-key:1]"
    expected = lines
    for secret, name in names.items():
        expected = [line.replace(secret, name) for line in expected]
    assert clean(*lines) == expected
    backwards = clean(*reversed(lines))
    assert [re.sub(r":\d+\]", ":1]", line) for line in backwards] == expected[::-1]


def test_all_else_keeps_its_bytes_and_lines_without_secrets_are_the_same_objects() -> None:
    odd = '{ "kind":"x" ,"a":"\\u0073k-ant-api03-\\u0056x8mT2qLw9\\n\\/" ,\t"n":1e3,"b":"\\/"}\n'
    plain = row("prompt_submitted", text="nothing in here")
    first, second = clean(odd, plain)
    assert first == f'{{ "kind":"x" ,"a":"{BY_LOOK}\\n\\/" ,\t"n":1e3,"b":"\\/"}}\n'
    assert second is plain


def test_a_plain_word_is_taken_out_where_it_is_a_secret_only() -> None:
    lines = [
        row("x", arguments={"secret": "production"}, text="in production"),
        row("x", arguments={"password": "q"}, text="a q"),
        row("x", arguments={"password": "hunter2"}, text="hunter2 hunter21"),
    ]
    assert [json.loads(line)["text"] for line in clean(*lines)] == [
        "in production",
        "a q",
        "[redacted:telling-key:3] hunter21",
    ]
    assert [list(json.loads(line)["arguments"].values()) for line in clean(*lines)] == [
        ["[redacted:telling-key:1]"],
        ["[redacted:telling-key:2]"],
        ["[redacted:telling-key:3]"],
    ]


def test_a_given_value_is_taken_out_wherever_it_stands_whatever_it_is() -> None:
    (line,) = clean(row("x", text="in production/a b"), known=["production/a b"])
    assert json.loads(line)["text"] == "in [redacted:given:1]"
    (line,) = clean(row("x", url="?x=production%2Fa%20b&y"), known=["production/a b"])
    assert json.loads(line)["url"] == "?x=[redacted:given:1]&y"


def test_the_fields_that_make_a_line_one_are_left_alone() -> None:
    line = row("prompt_submitted", text="2026 text")
    anything = Finder(Why("pattern", "--pattern 1"), lambda text: [(0, len(text))])
    (found,) = clean(line, finders=[anything])
    assert json.loads(found) == json.loads(line) | {"text": "[redacted:pattern:1]"}


def test_a_finder_may_find_nothing_at_a_place() -> None:
    nothing = Finder(Why("pattern", "--pattern 1"), lambda _: [(0, 0)])
    line = row("prompt_submitted", text="x")
    assert clean(line, finders=[nothing]) == [line]


def test_secrets_that_overlap_are_one() -> None:
    text = f"abcd {ANTHROPIC}"
    whole = Finder(
        Why("pattern", "--pattern 1"), lambda found: [(0, 12)] if "abcd" in found else []
    )
    (line,) = clean(row("x", text=text), finders=[whole])
    assert json.loads(line)["text"] == "[redacted:pattern:1]"


@pytest.mark.parametrize("kind", ["model_spoke", "model_thought", "answer_delta"])
def test_a_secret_in_pieces_is_taken_out_of_all_of_them(kind: str) -> None:
    pieces = ["use \n", f" {ANTHROPIC[:7]}", ANTHROPIC[7:9], f"{ANTHROPIC[9:]}\n it", " is"]
    lines = [row(kind, call="model:1", text=piece) for piece in pieces]
    found = [json.loads(line)["text"] for line in clean(*lines)]
    assert found == ["use \n", f" {BY_LOOK}", "", "\n it", " is"]


def test_a_piece_is_not_taken_for_the_whole() -> None:
    """The first piece looks like a key already; the rest of it is a secret all the same."""
    lines = [row("answer_delta", text=text) for text in (ANTHROPIC, "abcdef and")]
    lines.append(row("answer_completed", text=f"{ANTHROPIC}abcdef and"))
    found = [json.loads(line)["text"] for line in clean(*lines)]
    assert found == [BY_LOOK, " and", f"{BY_LOOK} and"]


def test_json_in_pieces_is_read_as_json() -> None:
    pieces = ['{"pass', 'word": "hun', 'ter\\u0032", "x": "y"}']
    lines = [row("model_spoke", call="model:1", text=piece) for piece in pieces]
    found = "".join(json.loads(line)["text"] for line in clean(*lines))
    assert found == '{"password": "[redacted:telling-key:1]", "x": "y"}'


def test_placeholders_of_an_earlier_time_stay_and_the_count_goes_on() -> None:
    old = row(
        "x", text="[redacted:anthropic-key:4] [redacted:telling-key:1]", password="[redacted:x:1]"
    )
    first, second = clean(old, row("x", text=ANTHROPIC))
    assert first == old
    assert json.loads(second)["text"] == "[redacted:anthropic-key:5]"


def test_what_was_cleaned_is_clean() -> None:
    lines = [
        row("x", token="pfx-" + GITHUB, text=f"Authorization: Bearer {ANTHROPIC}"),
        row("x", password="pfx-" + GITHUB, text=f"https://me:hunter2@h/?api_key={ANTHROPIC}"),
        row("x", headers={"Authorization": f"Bearer {ANTHROPIC}", "Cookie": "a=b; c=d"}),
        row("x", text=f"password={ANTHROPIC} token: {GITHUB}"),
        row("x", text="-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----"),
        row("answer_delta", text=ANTHROPIC[:9]),
        row("answer_delta", text=ANTHROPIC[9:]),
    ]
    once = clean(*lines)
    assert clean(*once) == once
    assert ANTHROPIC[9:] not in str(once)


def test_what_is_no_line_is_cleaned_as_text() -> None:
    text = f"nonsense {ANTHROPIC} \udcff\n"
    assert clean(text) == [f"nonsense {BY_LOOK} \udcff\n"]


def test_what_was_taken_is_told_without_the_secret() -> None:
    redactor = Redactor({"production": WHY})
    lines = [row("x", text=f"production {ANTHROPIC}", password="hunter2")]
    redactor.study(lambda: lines)
    redactor.clean(lines[0], 1)
    assert [(each.placeholder, each.length, each.is_weak) for each in redactor.taken] == [
        ("[redacted:given:1]", 10, True),
        (BY_LOOK, len(ANTHROPIC), False),
        ("[redacted:telling-key:1]", 7, True),
    ]
    assert redactor.taken[0].why == WHY
    assert ANTHROPIC not in str(redactor.taken)


def test_a_line_that_was_not_studied_is_cleaned_all_the_same() -> None:
    redactor = Redactor({})
    redactor.study(list)
    assert redactor.clean(row("x", text=ANTHROPIC)) == row("x", text=BY_LOOK)
    assert redactor.rests(1) == []

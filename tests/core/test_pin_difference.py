"""What has changed in a tool is to be seen, wherever somebody hides it."""

from typing import Any

import pytest

from pipeline.core.events import Json
from pipeline.core.pin_difference import MOST_LINES, difference
from pipeline.core.plan import ToolPin


def lines(was: Json, now: Json, *cut: str) -> list[str]:
    pin = ToolPin(digest="sha256:0", said=was, cut=cut)
    return list(difference(pin, {"name": "add", **now}))


def schema(**properties: Any) -> Json:
    return {"inputSchema": {"type": "object", "properties": properties}}


@pytest.mark.parametrize(
    ("was", "now", "shown"),
    [
        pytest.param(
            {"description": "Add.\nTwo numbers.\nEnd."},
            {"description": "Add.\nThree numbers.\nEnd."},
            ["description:", "  - Two numbers.", "  + Three numbers."],
            id="a line",
        ),
        pytest.param(
            {"description": "a\nb"},
            {"description": "a\nnew\nb"},
            ["description:", "  + new"],
            id="a line more",
        ),
        pytest.param(
            {"description": "a\nb\nc"},
            {"description": "a\nc"},
            ["description:", "  - b"],
            id="a line less",
        ),
        pytest.param(
            {"description": "a\nb\nc\nd"},
            {"description": "A\nb\nc\nD"},
            ["description:", "  - a", "  + A", "  - d", "  + D"],
            id="first and last",
        ),
        pytest.param({}, {"title": "Sum"}, ["title:", "  + Sum"], id="a member more"),
        pytest.param({"title": "Sum"}, {}, ["title:", "  - Sum"], id="a member less"),
        pytest.param(
            schema(a={"type": "integer"}, b={"type": "string"}),
            schema(a={"type": "string"}, b={"type": "string"}),
            [
                "inputSchema:",
                '  - properties.a.type: "integer"',
                '  + properties.a.type: "string"',
            ],
            id="a leaf of a schema",
        ),
        pytest.param(
            {"annotations": {"readOnlyHint": True}},
            {"annotations": {"readOnlyHint": 1}},
            ["annotations:", "  - readOnlyHint: true", "  + readOnlyHint: 1"],
            id="true is not 1",
        ),
        pytest.param(
            {"inputSchema": {"required": ["a"]}},
            {"inputSchema": {"required": []}},
            ["inputSchema:", '  - required[0]: "a"', "  + required: []"],
            id="a list that is empty now",
        ),
        pytest.param(
            {"description": "a\nb"},
            {"description": "a\r\nb"},
            ["description:", "  - a", "  + a\r"],
            id="another end of a line",
        ),
        pytest.param(
            {"description": "a b"},
            {"description": "a\u2028b"},
            ["description:", "  - a b", "  + a\u2028b"],
            id="what only looks like the end of a line",
        ),
    ],
)
def test_a_change_is_shown_and_nothing_else(was: Json, now: Json, shown: list[str]) -> None:
    assert lines(was, now) == shown


def test_a_change_far_behind_in_a_long_line_is_shown_from_a_little_before_it() -> None:
    start = "x" * 5000
    _, gone, new = lines({"description": f"{start}good"}, {"description": f"{start}evil"})
    assert gone == f"  - … {'x' * 40}good"
    assert new == f"  + … {'x' * 40}evil"


def test_what_is_left_out_of_a_line_is_counted() -> None:
    _, new = lines({}, {"description": "y" * 1000})
    assert new == f"  + {'y' * 240}… (760 characters more)"


def test_of_very_many_lines_the_first_are_shown_and_the_others_counted() -> None:
    shown = lines({}, {"description": "\n".join(map(str, range(1000)))})
    assert len(shown) == MOST_LINES
    assert shown[-1] == "  … and 942 lines more"


def test_as_many_lines_as_there_may_be_are_all_shown() -> None:
    shown = lines({}, {"description": "\n".join(map(str, range(MOST_LINES - 1)))})
    assert len(shown) == MOST_LINES
    assert shown[-1] == f"  + {MOST_LINES - 2}"


def test_a_text_that_differs_only_behind_what_was_kept_says_so() -> None:
    shown = lines({"description": "aaa"}, {"description": "aaab"}, "description")
    assert shown == [
        "description:",
        "  (the part of it that was kept is the same; it differs behind that)",
    ]


def test_a_text_that_differs_in_what_was_kept_is_compared_with_that() -> None:
    shown = lines({"description": "aaa"}, {"description": "bbb"}, "description")
    assert shown == ["description:", "  - aaa", "  + bbb"]


@pytest.mark.parametrize("name", ["inputSchema", "description"])
def test_of_what_was_not_kept_all_is_shown_that_it_says_now(name: str) -> None:
    now: Json = {"inputSchema": {"type": "object"}, "description": "Add."}
    shown = lines({}, {name: now[name]}, name)
    assert shown[0] == f"{name}:"
    assert "too long to keep" in shown[1]
    assert shown[2] in ('  + type: "object"', "  + Add.")


def test_what_was_not_kept_and_is_there_no_more_is_told() -> None:
    assert lines({}, {}, "outputSchema")[0] == "outputSchema:"


def test_where_nothing_can_be_shown_that_is_said() -> None:
    assert lines({"title": "Sum"}, {"title": "Sum"}) == [
        "(all that was kept of it is the same; its digest is another)"
    ]

"""Tools that are pinned, held and approved, as a person and a program get to see them."""

import io
import json
from typing import Any

import pytest

from pipeline.core.codec import Entry
from pipeline.core.commands import Ask, Item, PinTools
from pipeline.core.events import (
    ChangedTool,
    QuestionAsked,
    RunEnded,
    Tool,
    ToolsApproved,
    ToolsChanged,
    ToolsHeld,
)
from pipeline.core.plan import ToolPin
from sinks.notices import Notices
from sinks.results import ToolsSink
from sinks.tool_list import format_tools

EVIL = "\x1b[2J\u202e\u200b"
LINES = ("description:", "  - Add.", f"  + Add. {EVIL}")


def changed(name: str = "add", lines: tuple[str, ...] = LINES) -> ChangedTool:
    return ChangedTool(name=name, digest="sha256:2", approved="sha256:1", difference=lines)


def told(*items: Item, verbose: bool = False) -> list[tuple[str, str, str]]:
    notices = Notices(verbose=verbose)
    found = [notice for item in items for notice in notices.read(item)]
    return [(notice.sign, notice.text, notice.hint) for notice in found]


def held(*names: str) -> ToolsHeld:
    return ToolsHeld(server="s", tools=tuple(changed(name) for name in names))


# --- in words -----------------------------------------------------------------------------------


def test_how_many_tools_are_pinned_is_told_to_who_wants_to_know() -> None:
    one = PinTools(server="s", pins={"add": ToolPin(digest="d")})
    two = PinTools(server="s", pins={name: ToolPin(digest="d") for name in ("a", "b")})
    assert told(one, two, verbose=True) == [
        ("=", "s: 1 tool pinned as first seen: add", ""),
        ("=", "s: 2 tools pinned as first seen: a, b", ""),
    ]
    assert told(one) == []
    assert told(PinTools(server="s", pins={}, is_approval=True), verbose=True) == []


def test_what_is_held_is_told_once_with_what_to_do() -> None:
    first, second = told(held("add"), held("add", "sub"), held("sub"), held())
    assert first[:2] == ("!", "s: held, not what was approved: add")
    assert "`tools --approve NAME`" in first[2]
    assert second[:2] == ("!", "s: held, not what was approved: sub")


def test_what_is_held_anew_is_told_anew() -> None:
    assert len(told(held("add"), held(), held("add"))) == 2


@pytest.mark.parametrize(("by", "words"), [("person", ""), ("setting", " (as the settings say)")])
def test_what_is_approved_is_told_with_who_says_so(by: Any, words: str) -> None:
    item = ToolsApproved(server="s", tools=(changed(), changed("sub")), by=by)
    assert told(item) == [("=", f"s: approved as it is now: add, sub{words}", "")]


def test_a_question_says_of_which_tools_it_is() -> None:
    asked = QuestionAsked(
        question="q1", server="s", form="approve", message="", detail={"tools": [{"name": "add"}]}
    )
    (_, text, _), *_ = told(asked, Ask(question="q1"))
    assert text == "s says otherwise of add; is that to be used?"


# --- in the list --------------------------------------------------------------------------------

TOOLS = (Tool(server="s", name="add", description="Add."), Tool(server="s", name="sub"))


def test_a_held_tool_is_marked_in_the_list_and_shows_what_has_changed() -> None:
    assert format_tools(TOOLS, held={("s", "add"): changed()}).splitlines() == [
        "add",
        "    Add.",
        "    ! held: it says otherwise than what was approved (tools --approve NAME approves it)",
        "    | description:",
        "    |   - Add.",
        r"    |   + Add. \x1b[2J\u202e\u200b",
        "sub",
    ]


def test_what_was_just_approved_shows_what_that_was() -> None:
    lines = format_tools(TOOLS, approved={("s", "add"): changed()}).splitlines()
    assert lines[2] == "    = approved as it is now; this has changed:"
    assert lines[4] == "    |   - Add."


def test_a_difference_that_was_too_much_to_show_is_told() -> None:
    lines = format_tools(TOOLS, held={("s", "add"): changed(lines=())}).splitlines()
    assert "too much" in lines[3]


async def printed(*items: Item, as_json: bool) -> str:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="utf-8")
    sink = ToolsSink(out, as_json=as_json)
    assert all(sink.wants(item) for item in items)
    await sink.emit([Entry(seq, "2026-11-24T13:00:00Z", item) for seq, item in enumerate(items)])
    await sink.close()
    text = raw.getvalue().decode()
    out.detach()
    return text


async def test_a_program_gets_the_difference_as_json() -> None:
    items = (
        ToolsChanged(server="s", tools=TOOLS),
        held("add"),
        ToolsApproved(server="s", tools=(changed("sub"),), by="setting"),
        RunEnded(code=0),
    )
    add, sub = json.loads(await printed(*items, as_json=True))
    assert add["held"] == {
        "name": "add",
        "digest": "sha256:2",
        "approved": "sha256:1",
        "difference": list(LINES),
    }
    assert "approved" not in add
    assert "held" not in sub
    assert sub["approved"]["digest"] == "sha256:2"


async def test_a_person_gets_the_difference_in_the_list() -> None:
    items = (ToolsChanged(server="s", tools=TOOLS), held("add"), RunEnded(code=0))
    assert "! held" in await printed(*items, as_json=False)


async def test_what_is_held_no_more_is_not_marked() -> None:
    items = (ToolsChanged(server="s", tools=TOOLS), held("add"), held(), RunEnded(code=0))
    assert "held" not in await printed(*items, as_json=False)

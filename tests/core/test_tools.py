"""The tool registry: what servers offer, and the names that a model knows it by."""

import re
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pipeline.core import tools as registry
from pipeline.core.commands import Passing
from pipeline.core.events import Json, Problem, RunStarted, Tool, ToolsChanged, ToolsListed
from pipeline.core.tools import (
    MAX_ALIAS,
    MalformedToolError,
    digest,
    find,
    initial,
    is_allowed,
    read_tool,
    step,
    with_aliases,
)
from tests.support.play import ADD, a_plan, a_tool, one, play

PLAN = a_plan("s", "other")
CLAUDE_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")


def listed(*tools: Any, server: str = "s") -> ToolsListed:
    return ToolsListed(server=server, tools=tools)


def named(*names: str, server: str = "s") -> ToolsListed:
    return listed(*({"name": name} for name in names), server=server)


def tools_after(*items: Passing) -> tuple[Tool, ...]:
    state, _ = play(step, initial(PLAN), *items)
    return tuple(tool for known in state.tools.values() for tool in known)


def aliases(*items: Passing) -> list[str]:
    return [tool.alias for tool in tools_after(*items)]


# --- reading ----------------------------------------------------------------------------------


def test_a_tool_is_read_with_all_that_its_server_says() -> None:
    raw: Json = {
        "name": "add",
        "title": "Addition",
        "description": "adds",
        "inputSchema": {"type": "object", "$defs": {"x": {}}},
        "outputSchema": {"type": "object"},
        "annotations": {"readOnlyHint": True},
        "icons": [],
    }
    assert read_tool("s", raw) == Tool(
        server="s",
        name="add",
        digest="sha256:34fccec6c23a2afc5951a18a6ed7d8be6baf66f827bb548d87946b8d43bd71cf",
        title="Addition",
        description="adds",
        input_schema={"type": "object", "$defs": {"x": {}}},
        output_schema={"type": "object"},
        annotations={"readOnlyHint": True},
    )


@pytest.mark.parametrize("key", ["inputSchema", "input_schema", "parameters"])
def test_the_schema_is_found_under_each_of_its_spellings(key: str) -> None:
    assert read_tool("s", {"name": "a", key: {"x": 1}}).input_schema == {"x": 1}


def test_the_official_spelling_wins_and_null_counts_as_absent() -> None:
    raw = {"name": "a", "parameters": {"x": 1}, "inputSchema": {"y": 1}}
    assert read_tool("s", raw).input_schema == {"y": 1}
    raw = {"name": "a", "parameters": {"x": 1}, "inputSchema": None}
    assert read_tool("s", raw).input_schema == {"x": 1}


def test_a_tool_without_a_schema_takes_an_object() -> None:
    assert read_tool("s", {"name": "a"}).input_schema == {"type": "object"}


def test_members_of_another_type_than_expected_are_passed_over() -> None:
    raw: Json = {"name": "a", "title": 1, "description": None, "outputSchema": [], "annotations": 2}
    bare = Tool(server="s", name="a", input_schema={"type": "object"})
    assert read_tool("s", raw) == replace(bare, digest=digest(bare))


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ("add", "found '\"add\"' as a tool, expected an object"),
        (None, "found 'null' as a tool"),
        ({}, "found the tool name None, expected some text"),
        ({"name": ""}, "found the tool name ''"),
        ({"name": 5}, "found the tool name 5"),
        ({"name": "a", "inputSchema": "x"}, "found '\"x\"' as schema of 'a', expected an object"),
        ({"name": "a", "inputSchema": False}, "found 'false' as schema of 'a'"),
        ({"name": "a", "inputSchema": ["x" * 500]}, "…' as schema of 'a', expected an object"),
    ],
)
def test_a_malformed_tool_is_refused_with_what_was_found(raw: Any, words: str) -> None:
    with pytest.raises(MalformedToolError) as caught:
        read_tool("s", raw)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 200


# --- digests ----------------------------------------------------------------------------------


def as_others_compute_it(tool: Json) -> str:
    """The recipe of docs/recordings.md, which leaves all that is hard to the RFC."""
    page = Path(__file__).parents[2] / "docs" / "recordings.md"
    recipe = re.search(r"```python\n(import hashlib.*?)```", page.read_text("utf-8"), re.DOTALL)
    assert recipe is not None
    names: dict[str, Any] = {}
    exec(recipe[1], names)  # noqa: S102  the page is ours
    return names["digest"](tool)


SAID: Json = {
    "name": "größe",
    "title": "Size",
    "description": 'of "it"\n',
    "inputSchema": {"type": "object", "properties": {"b": {"minimum": -1}, "a": {"default": True}}},
    "outputSchema": {"type": "object"},
    "annotations": {"readOnlyHint": True},
}


def test_a_digest_can_be_computed_from_what_a_server_says_by_anybody() -> None:
    assert read_tool("s", SAID).digest == as_others_compute_it(SAID)
    bare: Json = {"name": "a", "inputSchema": {"type": "object"}, "title": "", "annotations": {}}
    assert read_tool("s", bare).digest == as_others_compute_it(bare)


@pytest.mark.parametrize(
    "same",
    [
        dict(reversed(SAID.items())),
        {**SAID, "icons": [{"src": "x"}], "_meta": {}},
        {**SAID, "input_schema": SAID["inputSchema"], "inputSchema": None},
    ],
    ids=["order", "other members", "spelling"],
)
def test_a_digest_is_of_what_is_said_and_not_of_how(same: Json) -> None:
    assert read_tool("other", same).digest == read_tool("s", SAID).digest


@pytest.mark.parametrize(
    "change",
    [
        {"name": "grosse"},
        {"title": "size"},
        {"description": 'of "it"'},
        {"inputSchema": {"type": "object"}},
        {"outputSchema": None},
        {"annotations": {"readOnlyHint": False}},
        {"annotations": {"readOnlyHint": 1}},
    ],
    ids=repr,
)
def test_a_digest_is_another_one_if_anything_is_said_otherwise(change: Json) -> None:
    assert read_tool("s", {**SAID, **change}).digest != read_tool("s", SAID).digest


def test_a_hint_that_is_one_instead_of_true_is_a_change() -> None:
    before = listed({"name": "a", "annotations": {"destructiveHint": True}})
    after = listed({"name": "a", "annotations": {"destructiveHint": 1}})
    state, _ = play(step, initial(PLAN), before)
    _, out = play(step, state, after)
    assert one(ToolsChanged, out).changed == ("a",)


# --- the list of a server ---------------------------------------------------------------------


def test_a_list_becomes_what_has_changed_and_goes_no_further() -> None:
    _, out = play(step, initial(PLAN), listed(ADD))
    tool = a_tool(input_schema={"type": "object"})
    tool = replace(tool, digest=digest(tool))
    assert out == [ToolsChanged(server="s", tools=(tool,), added=("add",))]


def test_all_else_passes_through() -> None:
    state = initial(PLAN)
    assert step(state, RunStarted()) == (state, (RunStarted(),))


def test_the_difference_names_what_came_went_and_changed() -> None:
    before = listed({"name": "a"}, {"name": "b"}, {"name": "c"})
    after = listed({"name": "d"}, {"name": "c"}, {"name": "b", "description": "new"})
    state, _ = play(step, initial(PLAN), before)
    _, out = play(step, state, after)
    changed = one(ToolsChanged, out)
    assert (changed.added, changed.removed, changed.changed) == (("d",), ("a",), ("b",))
    assert [tool.name for tool in changed.tools] == ["d", "c", "b"]


def test_the_same_list_again_changes_nothing() -> None:
    state, _ = play(step, initial(PLAN), listed(ADD))
    _, out = play(step, state, listed(ADD))
    changed = one(ToolsChanged, out)
    assert (changed.added, changed.removed, changed.changed) == ((), (), ())


def test_an_empty_list_removes_all_tools_of_that_server_only() -> None:
    assert [t.server for t in tools_after(named("a"), named("a", server="other"), listed())] == [
        "other"
    ]


def test_malformed_tools_are_skipped_and_told_once_with_their_number() -> None:
    _, out = play(step, initial(PLAN), listed("x", ADD, {"name": ""}, {"no": "name"}))
    assert [tool.name for tool in one(ToolsChanged, out).tools] == ["add"]
    problem = one(Problem, out)
    assert problem.where == "s"
    assert problem.detail == (
        "in the tool list: found '\"x\"' as a tool, expected an object (and 2 more of the kind)"
    )


def test_of_two_tools_of_one_name_the_first_counts() -> None:
    first, second = {"name": "a", "title": "1"}, {"name": "a", "title": "2"}
    _, out = play(step, initial(PLAN), listed(first, second))
    assert [tool.title for tool in one(ToolsChanged, out).tools] == ["1"]
    assert one(Problem, out).detail == (
        "in the tool list: the tool 'a' is listed twice; the first one counts"
    )


def test_a_list_longer_than_the_limit_is_cut_in_words() -> None:
    _, out = play(step, initial(a_plan("s", max_tools=2)), named("a", "b", "c"))
    assert [tool.name for tool in one(ToolsChanged, out).tools] == ["a", "b"]
    assert "found 3 tools, kept the first 2" in one(Problem, out).detail


# --- aliases ----------------------------------------------------------------------------------


def test_a_plain_name_stays_plain() -> None:
    assert aliases(named("add", "sub-tract_2")) == ["mcp__s__add", "mcp__s__sub-tract_2"]


@pytest.mark.parametrize("name", ["a b", "größe", "../etc", "工具", "a.b", "💥", "a\x00b", " "])
def test_an_unsafe_name_is_made_safe_and_gets_a_digest(name: str) -> None:
    (alias,) = aliases(named(name))
    assert CLAUDE_NAME.fullmatch(alias)
    digest = sha256(b"\0".join((b"s", name.encode(), b"0"))).hexdigest()[:8]
    assert alias.startswith("mcp__s__")
    assert alias.endswith(f"_{digest}")


def test_a_name_just_long_enough_stays_and_a_longer_one_is_cut_with_a_digest() -> None:
    fits = "x" * (MAX_ALIAS - len("mcp__s__"))
    first, second, third = aliases(named(fits, fits + "y", fits + "z"))
    assert first == f"mcp__s__{fits}"
    assert len(second) == len(third) == MAX_ALIAS
    assert second != third
    assert second[:100] == third[:100] == first[:100]


def test_two_names_that_look_alike_once_safe_are_told_apart() -> None:
    first, second, third = aliases(named("a b", "a.b", "a_b"))
    assert len({first, second, third}) == 3
    assert "mcp__s__a_b" not in (first, second, third), "the plain one would be taken for either"


def test_the_same_tool_on_two_servers_has_two_aliases() -> None:
    assert aliases(named("add"), named("add", server="other")) == [
        "mcp__s__add",
        "mcp__other__add",
    ]


def test_servers_whose_names_run_into_their_tools_names_do_not_clash() -> None:
    one_of_three = [
        named("b__c__d", server="a"),
        named("c__d", server="a__b"),
        named("d", server="a__b__c"),
    ]
    found = aliases(*one_of_three)
    assert found[0] == "mcp__a__b__c__d"
    assert len(set(found)) == 3


def test_a_tool_named_after_the_digest_of_another_does_not_take_its_place() -> None:
    (victim,) = aliases(named("a b"))
    impostor = victim.removeprefix("mcp__s__")
    assert len(set(aliases(named("a b", impostor)))) == 2
    assert len(set(aliases(named(impostor, "a b")))) == 2


def test_an_alias_does_not_change_when_the_list_comes_again() -> None:
    lists = [named("x", "a b"), named("x", "a b", server="other")]
    once = aliases(*lists)
    assert aliases(*lists, *reversed(lists), *lists) == once


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(
        st.text("ab_", min_size=1, max_size=4) | st.text(min_size=1, max_size=20),
        st.lists(
            st.text("ab_ é.", min_size=1, max_size=4) | st.text(min_size=115, max_size=130),
            max_size=4,
        ),
        max_size=4,
    )
)
def test_aliases_are_safe_and_unique_for_any_names(names: dict[str, list[str]]) -> None:
    taken: set[str] = set()
    for server, tools in names.items():
        unique = [Tool(server=server, name=name) for name in dict.fromkeys(tools)]
        found = [tool.alias for tool in with_aliases(unique, taken)]
        assert all(CLAUDE_NAME.fullmatch(alias) for alias in found)
        assert len(set(found)) == len(found)
        assert not taken & set(found)
        taken |= set(found)


def test_a_digest_that_is_taken_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stub:
        def __init__(self, data: bytes) -> None:
            self.attempt = data.rpartition(b"\0")[2].decode()

        def hexdigest(self) -> str:
            return self.attempt.zfill(8)

    monkeypatch.setattr(registry, "sha256", Stub)
    found = with_aliases([Tool(server="s", name="a b"), Tool(server="s", name="a.b")], set())
    assert [tool.alias for tool in found] == ["mcp__s__a_b_00000000", "mcp__s__a_b_00000001"]


# --- which tools, and which one ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("allowed", "disallowed", "is_offered"),
    [
        ((), (), True),
        (("add",), (), True),
        (("a*",), (), True),
        (("s__add",), (), True),
        (("mcp__s__*",), (), True),
        (("s__*", "x"), (), True),
        (("sub",), (), False),
        (("ADD",), (), False),
        (("other__*",), (), False),
        ((), ("add",), False),
        ((), ("*",), False),
        ((), ("sub",), True),
        (("add",), ("mcp__s__add",), False),
        (("[ab]dd",), ("a?",), True),
    ],
)
def test_globs_decide_which_tools_a_model_gets(
    allowed: tuple[str, ...], disallowed: tuple[str, ...], is_offered: bool
) -> None:
    assert is_allowed(a_tool("add"), allowed, disallowed) is is_offered


def test_a_person_means_a_tool_by_alias_by_server_and_name_or_by_name() -> None:
    here, there, sub = a_tool("add"), a_tool("add", server="other"), a_tool("sub")
    known = (here, there, sub)
    assert find(known, "mcp__other__add") == (there,)
    assert find(known, "s__add") == (here,)
    assert find(known, "sub") == (sub,)
    assert find(known, "add") == (here, there)
    assert find(known, "mul") == ()


def test_an_exact_name_wins_over_a_tool_that_is_called_so() -> None:
    tricky = a_tool("s__add", server="other")
    assert find((tricky, a_tool("add")), "s__add") == (a_tool("add"),)

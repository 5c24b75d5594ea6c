"""Tools whose names look alike are told apart: the model by aliases, the person in words."""

import re

import pytest

from pipeline.core.confusables import skeleton
from pipeline.core.events import Problem, Tool, ToolsChanged, ToolsListed
from pipeline.core.plan import Plan
from pipeline.core.tools import initial, step

LIKE = {
    "the same": "read_file",
    "Cyrillic": "r\u0435\u0430d_file",
    "Greek": "read_f\u03b9le",
    "full width": "\uff52ead_file",
    "case": "Read_File",
    "separators": "readFile",
    "zero width": "read\u200b_file",
    "accents": "re\u0301ad_file",
    "digits": "read_f1le",
    "ligature": "read_\ufb01le",
}


def told(*lists: tuple[str, list[str]]) -> tuple[list[Problem], list[Tool]]:
    """The problems after each server listed its tools, in order; and all tools at the end."""
    state, problems = initial(Plan()), list[Problem]()
    for server, names in lists:
        item = ToolsListed(server=server, tools=tuple({"name": name} for name in names))
        state, outputs = step(state, item)
        problems += [each for each in outputs if isinstance(each, Problem)]
        assert isinstance(outputs[0], ToolsChanged)
    return problems, [tool for tools in state.tools.values() for tool in tools]


@pytest.mark.parametrize("name", LIKE.values(), ids=list(LIKE))
def test_a_tool_in_the_guise_of_another_servers_is_told_once(name: str) -> None:
    problems, tools = told(("good", ["read_file"]), ("evil", ["add", name]), ("evil", [name]))
    assert [(problem.where, problem.hint) for problem in problems] == [
        ("evil", f"say evil__{name} or good__read_file for the one that you mean")
    ]
    like = "is called as one" if name == "read_file" else "looks like 'read_file'"
    assert problems[0].detail == f"its tool {name!a} {like} of 'good'"
    assert len({tool.alias for tool in tools}) == len(tools)
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,128}", tool.alias) for tool in tools)


def test_two_that_look_alike_on_one_server_are_told_and_only_the_new_one() -> None:
    problems, _ = told(("s", ["read_file"]), ("s", ["r\u0435ad_file", "read_file"]))
    assert [problem.detail for problem in problems] == [
        "its tool 'r\\u0435ad_file' looks like 'read_file' of this server"
    ]
    assert problems[0].hint.startswith("say s__r\u0435ad_file or s__read_file")


def test_many_are_told_in_one_problem() -> None:
    names = ["add", "ping", "search"]
    (problem,), _ = told(("a", names), ("b", names))
    assert problem.detail == "its tool 'add' is called as one of 'a' (and 2 more of the kind)"


def test_names_that_differ_to_the_eye_are_no_trouble() -> None:
    names = ["read_file", "write_file", "read_files", "add", "ad", "---", "___", "漢字", "漢"]
    assert told(("a", names))[0] == []
    assert len({skeleton(name) for name in names}) == len(names)

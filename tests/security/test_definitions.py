"""A model sees of a tool what a person sees; what is missing is told, and the digest is whole."""

import json

import pytest

from pipeline.core.definitions import MOST_DEFINITION, MOST_TEXT, for_model
from pipeline.core.events import Json, Problem, ToolsChanged, ToolsListed
from pipeline.core.plan import Plan
from pipeline.core.tools import initial, read_tool, step
from tests.security.poison import EVERYTHING, HARMFUL, POISONS


def raw_tool(text: str, **more: Json) -> Json:
    """A tool with a text wherever one may stand."""
    parameter = {
        "type": "string",
        "description": text,
        "title": text,
        "enum": [text],
        "const": text,
    }
    schema = {"type": "object", "title": text, "properties": {"a": parameter}, "examples": [[text]]}
    return {"name": "add", "title": text, "description": text, "inputSchema": {**schema, **more}}


def listed(*tools: Json) -> tuple[ToolsChanged, list[Problem]]:
    _, (changed, *problems) = step(initial(Plan()), ToolsListed(server="s", tools=tools))
    assert isinstance(changed, ToolsChanged)
    return changed, [problem for problem in problems if isinstance(problem, Problem)]


@pytest.mark.parametrize("text", POISONS.values(), ids=list(POISONS))
def test_the_model_gets_no_character_that_nobody_sees_and_no_text_without_end(text: str) -> None:
    (tool,) = listed(raw_tool(text))[0].tools
    shown = json.dumps(for_model(tool), ensure_ascii=False)
    assert not HARMFUL & set(shown)
    assert "\\u001b" not in shown
    assert len(for_model(tool)["description"]) < MOST_TEXT + 100


@pytest.mark.parametrize("text", POISONS.values(), ids=list(POISONS))
def test_the_event_and_the_digest_have_what_the_server_said(text: str) -> None:
    (tool,) = listed(raw_tool(text))[0].tools
    assert (tool.description, tool.title) == (text, text)
    assert tool.input_schema == raw_tool(text)["inputSchema"]
    clean = read_tool("s", raw_tool("".join(char for char in text if char not in HARMFUL)))
    assert (tool.digest == clean.digest) == (tool.description == clean.description)


def test_what_the_model_does_not_get_is_told() -> None:
    _, problems = listed(raw_tool("a\u200bb"), {"name": "long", "description": "x" * 9_000})
    assert [problem.detail for problem in problems] == [
        "in the tool list: of the tool 'add' the model does not get 7 characters that nobody sees"
        " (and 1 more of the kind)"
    ]
    _, (problem,) = listed({"name": "long", "description": "\u200b" + "x" * 9_000})
    assert problem.detail.endswith(
        "1 characters that nobody sees and 1,000 characters beyond the first 8,000 of a text"
    )
    (tool,) = listed({"name": "long", "description": "x" * 9_000})[0].tools
    end = "x… (1,000 more characters are left out)"
    assert for_model(tool)["description"].endswith(end)


def test_ordinary_texts_of_any_script_stay_as_they_are() -> None:
    for text in ("Füge hinzu ☺️ 🏳️‍🌈\n\t", "加法", "جمع", "добавить: `a`, `b`"):
        whole = text.replace("\u200d", "")  # a flag of two signs comes apart, and stays readable
        (tool,) = listed(raw_tool(text))[0].tools
        assert for_model(tool)["description"] == whole


def test_a_tool_whose_parameter_has_unseen_characters_in_its_name_is_left_out() -> None:
    """With another name the server would not know it, and Claude's API refuses the whole list."""
    changed, (problem,) = listed(
        raw_tool("Adds.", properties={"pa\u200bth": {}}), raw_tool("Adds.") | {"name": "other"}
    )
    assert [tool.name for tool in changed.tools] == ["other"]
    assert problem.detail == (
        "in the tool list: the tool 'add' is left out: 'pa\\u200bth' in its schema has characters"
        " that nobody sees"
    )


def test_a_definition_that_is_too_large_as_a_whole_is_left_out() -> None:
    many = {f"p{number}": {"description": "x" * 1_000} for number in range(250)}
    changed, (problem,) = listed(raw_tool("Adds.", properties=many))
    assert changed.tools == ()
    assert f"expected at most {MOST_DEFINITION:,}" in problem.detail


def test_the_list_of_characters_covers_every_poison() -> None:
    assert set(EVERYTHING) >= HARMFUL
    assert not HARMFUL & set("abc \n\t☺\ufe0f")

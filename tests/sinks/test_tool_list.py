"""The list of tools for people."""

from pipeline.core.events import Tool
from sinks.tool_list import format_tools

NUMBERS = {
    "type": "object",
    "properties": {"a": {"type": "number"}, "b": {"type": "number"}},
    "required": ["a", "b"],
}
ADD = Tool(server="one", name="add", description="Add two numbers.\nMore.", input_schema=NUMBERS)


def test_a_tool_is_shown_with_its_usage_and_the_first_line_of_its_description() -> None:
    time = Tool(server="one", name="time", title="The time")
    bare = Tool(server="one", name="bare")
    assert format_tools([ADD, time, bare]) == (
        "add a=NUMBER b=NUMBER\n    Add two numbers.\ntime\n    The time\nbare"
    )


def test_several_servers_have_headings() -> None:
    other = Tool(server="two", name="echo")
    assert format_tools([other, ADD]) == (
        "two:\necho\none:\nadd a=NUMBER b=NUMBER\n    Add two numbers."
    )


def test_no_tools_are_told() -> None:
    assert format_tools([]) == "no tools"


def test_all_text_of_a_tool_is_harmless() -> None:
    evil = "\x1b[2J\u202e"
    schema = {"type": "object", "properties": {evil: {"enum": [evil]}}}
    tools = [
        Tool(server=evil, name=evil, description=evil, input_schema=schema),
        Tool(server="s", name="n", title=evil + "x" * 999),
    ]
    text = format_tools(tools)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert max(map(len, text.splitlines())) < 400

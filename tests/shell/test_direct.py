import asyncio
from typing import Any

import pytest

from pipeline.core.commands import CallModel
from pipeline.core.events import ModelFailed, ModelFinished, ModelSpoke, Tool
from pipeline.shell.direct import DirectModel
from pipeline.shell.models import ModelEvent

ADD = {
    "type": "object",
    "properties": {"a": {"type": "number"}, "b": {"type": "number"}},
    "required": ["a", "b"],
}
TEXT = {"type": "object", "properties": {"text": {"type": "string"}}}


def tool(server: str, name: str, schema: dict[str, Any], description: str = "") -> Tool:
    alias = f"mcp__{server}__{name}"
    return Tool(server=server, name=name, alias=alias, description=description, input_schema=schema)


TOOLS = (
    tool("calc", "add", ADD, "Add two numbers."),
    tool("talk", "echo", TEXT),
    tool("one", "same", {}),
    tool("two", "same", {}),
    tool("odd", "help", {}),
)


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


async def no_wait() -> None: ...


async def ask(
    *messages: dict[str, Any], tools: tuple[Tool, ...] = TOOLS, model: DirectModel | None = None
) -> tuple[list[ModelEvent], ModelFinished]:
    pushed: list[ModelEvent] = []
    command = CallModel(call="c1", messages=messages, tools=tools)
    async with asyncio.timeout(10):
        await (model or DirectModel()).stream_turn(command, pushed.append, no_wait)
    *before, last = pushed
    assert isinstance(last, ModelFinished)
    return before, last


async def said(*messages: dict[str, Any], tools: tuple[Tool, ...] = TOOLS) -> str:
    before, last = await ask(*messages, tools=tools)
    assert last.stop_reason == "end_turn"
    (block,) = last.content
    assert all(isinstance(event, ModelSpoke) for event in before)
    assert "".join(e.text for e in before if isinstance(e, ModelSpoke)) == block["text"]
    return block["text"]


async def calls(*messages: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    before, last = await ask(*messages)
    assert before == []
    assert last.stop_reason == "tool_use"
    assert {block["type"] for block in last.content} == {"tool_use"}
    return [(block["id"], block["name"], block["input"]) for block in last.content]


@pytest.mark.parametrize("name", ["add", "mcp__calc__add", "calc__add"])
async def test_a_command_is_a_call_of_the_tool_it_names(name: str) -> None:
    assert await calls(user(f"{name} a=1 b=2.5")) == [
        ("direct_1", "mcp__calc__add", {"a": 1, "b": 2.5})
    ]


async def test_text_may_come_as_blocks_and_arguments_as_json() -> None:
    blocks = [{"type": "text", "text": 'add {"a": 1}'}]
    assert await calls(user(blocks)) == [("direct_1", "mcp__calc__add", {"a": 1})]


@pytest.mark.parametrize("between", [" ; ", "\n", "\n\n ; \n"])
async def test_several_commands_are_several_calls_in_one_turn(between: str) -> None:
    assert await calls(user(between.join(["add a=1 b=2", "echo text='a ; b'", "add a=3 b=4"]))) == [
        ("direct_1", "mcp__calc__add", {"a": 1, "b": 2}),
        ("direct_2", "mcp__talk__echo", {"text": "a ; b"}),
        ("direct_3", "mcp__calc__add", {"a": 3, "b": 4}),
    ]


async def test_an_id_is_never_used_twice_not_even_after_a_resume() -> None:
    model = DirectModel()
    ids: list[str] = []
    for _ in range(2):  # the core may forget a cancelled turn; we do not
        _, last = await ask(user("echo ; echo"), model=model)
        ids += [block["id"] for block in last.content]
    history = {"role": "assistant", "content": [{"type": "tool_use", "id": "direct_7"}]}
    for extra in ({"id": "toolu_99"}, {"id": "12"}, {"id": "direct_x"}, {}):
        history["content"].append({"type": "tool_use", **extra})
    _, last = await ask(user("x"), history, user("echo"), model=model)
    ids += [block["id"] for block in last.content]
    assert ids == ["direct_1", "direct_2", "direct_3", "direct_4", "direct_8"]


async def test_results_become_the_answer() -> None:
    results = [
        {"type": "tool_result", "tool_use_id": "1", "content": [{"type": "text", "text": "3"}]},
        {"type": "tool_result", "tool_use_id": "2", "content": "plain"},
        {
            "type": "tool_result",
            "tool_use_id": "3",
            "is_error": True,
            "content": [
                {"type": "text", "text": "no such file"},
                {"type": "text", "text": "sorry"},
            ],
        },
        {
            "type": "tool_result",
            "tool_use_id": "4",
            "content": [
                {"type": "image", "source": {"type": "base64", "media_type": "image/png"}},
                {"type": "document"},
            ],
        },
    ]
    assert await said(user("x"), user(results)) == (
        "3\nplain\nerror: no such file\nsorry\n(an image, image/png)\n(document)"
    )


async def test_a_long_result_streams_in_pieces_and_waits_for_room() -> None:
    waits = 0

    async def room() -> None:
        nonlocal waits
        waits += 1

    pushed: list[ModelEvent] = []
    result = {"type": "tool_result", "tool_use_id": "1", "content": "x" * 10_000}
    command = CallModel(call="c1", messages=(user([result]),))
    await DirectModel().stream_turn(command, pushed.append, room)
    assert [type(event) for event in pushed] == [ModelSpoke] * 3 + [ModelFinished]
    assert waits == 3


async def test_a_new_prompt_counts_more_than_the_results_of_a_cancelled_turn() -> None:
    blocks = [
        {"type": "tool_result", "tool_use_id": "1", "content": "old"},
        {"type": "text", "text": "add a=1 b=1"},
    ]
    assert await calls(user(blocks)) == [("direct_1", "mcp__calc__add", {"a": 1, "b": 1})]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ad a=1", "There is no tool 'ad'; did you mean 'add'?"),
        ("what's the weather?", 'There is no tool "what\'s". This is the `direct` model'),
        ("same", "'same' may be 'one__same' or 'two__same'"),
        ("add a=x b=1", "add: 'a': found 'x', expected a number"),
        ("add a=x b=1", "\nUsage: add a=NUMBER b=NUMBER"),
        ("echo ; ad", "No tool was called."),
        ("", "There is nothing to do"),
        (" \n", "There is nothing to do"),
    ],
)
async def test_what_cannot_be_done_is_told_and_nothing_is_called(text: str, words: str) -> None:
    assert words in await said(user(text))


async def test_a_pasted_page_is_not_answered_with_a_page() -> None:
    answer = await said(user("\n".join(["some words"] * 100)))
    assert answer.count("There is no tool") == 5
    assert "(and 95 more of the kind)" in answer
    assert "No tool was called" not in answer


@pytest.mark.parametrize("word", ["help", "?"])
async def test_help_lists_the_tools_with_what_they_take(word: str) -> None:
    answer = await said(user(word))
    assert "  add a=NUMBER b=NUMBER\n  echo [text=TEXT]\n  one__same\n  two__same\n" in answer
    assert "  odd__help\n" in answer
    assert "` ; `" in answer


async def test_help_for_one_tool_describes_it() -> None:
    assert await said(user("help add")) == "add a=NUMBER b=NUMBER\nAdd two numbers."
    assert await said(user("help echo")) == "echo [text=TEXT]"
    assert "did you mean" in await said(user("help ad"))


async def test_without_tools_help_says_so() -> None:
    assert await said(user("help"), tools=()) == "No server offers a tool at the moment."


async def test_a_message_with_nothing_in_it_is_answered_too() -> None:
    for messages in ((), (user([]),), (user(None),), (user([{"type": "image"}]),)):
        assert "There is nothing to do" in await said(*messages)


async def test_the_same_conversation_gets_the_same_answer() -> None:
    assert await ask(user("add a=1 b=2")) == await ask(user("add a=1 b=2"))
    await DirectModel().close()


async def test_what_a_server_asks_of_the_model_is_no_command() -> None:
    pushed: list[ModelEvent] = []
    command = CallModel(
        call="sample:q1", messages=(user("add a=1 b=2"),), tools=TOOLS, system="", max_tokens=5
    )
    await DirectModel().stream_turn(command, pushed.append, no_wait)
    (failed,) = pushed
    assert isinstance(failed, ModelFailed)
    assert failed.call == "sample:q1"
    assert "answers no server" in failed.reason

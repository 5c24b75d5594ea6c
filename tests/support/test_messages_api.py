"""The test server refuses what the real one refuses."""

from typing import Any

import pytest

from pipeline.core.events import ModelFailed, Tool
from pipeline.shell.claude import ClaudeModel
from tests.support.claude import (
    ADD,
    CALL,
    HI,
    KEY,
    OPTIONS,
    command,
    fails,
    pushed_by,
)
from tests.support.claude_fixtures import deadline, kill_switch  # noqa: F401  autouse
from tests.support.messages_api import (
    MessagesApi,
    say,
    think,
    turn,
)

RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "3"}
USED = {"role": "assistant", "content": [CALL]}


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ((), "at least one message"),
        (({"role": "assistant", "content": "x"},), "first message must use the 'user' role"),
        (({"role": "system", "content": "x"},), "should be 'user' or 'assistant'"),
        (({"role": "user", "content": []},), "non-empty content"),
        (({"role": "user", "content": [say(" ")]},), "non-whitespace"),
        ((*HI, USED), "without `tool_result` blocks immediately after: toolu_1"),
        ((*HI, USED, {"role": "user", "content": "and?"}), "without `tool_result`"),
        ((*HI, USED, {"role": "user", "content": [say("x"), RESULT]}), "must come first"),
        ((*HI, {"role": "user", "content": [RESULT]}), "unexpected `tool_use_id`"),
        ((*HI, {"role": "assistant", "content": [CALL, CALL]}), "ids must be unique"),
        ((*HI, {"role": "assistant", "content": [{**CALL, "input": "x"}]}), "valid dictionary"),
        ((*HI, {"role": "assistant", "content": [think("x", "")]}), "signature: Field required"),
    ],
)
async def test_the_test_server_refuses_what_the_api_refuses(
    messages: tuple[dict[str, Any], ...], words: str
) -> None:
    async with MessagesApi(lambda _: turn(say("ok"))) as api:
        model = ClaudeModel(OPTIONS, api_key=KEY, base_url=api.url)
        (failed,) = await pushed_by(model, command(messages))
    assert isinstance(failed, ModelFailed)
    assert words.lower() in failed.reason.lower()


@pytest.mark.parametrize(
    ("tools", "words"),
    [
        ((ADD, ADD), "names must be unique"),
        ((Tool(server="s", name="a b", alias="a b"),), "should match pattern"),
        ((Tool(server="s", name="a", alias="a", input_schema={"type": "array"}),), "input_schema"),
    ],
)
async def test_the_test_server_refuses_the_tools_that_the_api_refuses(
    tools: tuple[Tool, ...], words: str
) -> None:
    async with MessagesApi(lambda _: turn(say("ok"))) as api:
        model = ClaudeModel(OPTIONS, api_key=KEY, base_url=api.url)
        (failed,) = await pushed_by(model, command(tools=tools))
    assert isinstance(failed, ModelFailed)
    assert words.lower() in failed.reason.lower()


async def test_a_script_that_has_ended_says_so() -> None:
    assert "script of this test has ended" in (await fails([])).reason

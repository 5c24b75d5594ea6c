"""Asking a `ClaudeModel` on loopback."""

from typing import Any

from config.options import ModelOptions
from pipeline.core.commands import CallModel
from pipeline.core.events import ModelFailed, ModelFinished, Tool
from pipeline.shell.claude import ClaudeModel
from pipeline.shell.models import ModelEvent
from tests.support.messages_api import (
    MessagesApi,
    Script,
    block_deltas,
    block_start,
    frames,
    say,
    start,
    use,
)

KEY = "sk-ant-very-secret"
OPTIONS = ModelOptions(model="claude-test", max_tokens=100, max_retries=0)
HI = ({"role": "user", "content": "hi"},)
ADD = Tool(
    server="calc",
    name="add",
    alias="mcp__calc__add",
    description="Add.",
    input_schema={"type": "object", "properties": {"a": {"type": "number"}}},
)

CALL = use("mcp__calc__add", {"a": 1})
PARTIAL = [start(), *frames(0, say("hm")), block_start(1, CALL), *block_deltas(1, CALL)[:1]]
"""A turn that says something, and stops in the middle of a call."""


async def no_wait() -> None: ...


def command(
    messages: tuple[dict[str, Any], ...] = HI, tools: tuple[Tool, ...] = (ADD,)
) -> CallModel:
    return CallModel(call="c1", messages=messages, tools=tools)


async def pushed_by(model: ClaudeModel, call: CallModel | None = None) -> list[ModelEvent]:
    pushed: list[ModelEvent] = []
    try:
        await model.prepare()
        await model.stream_turn(call or command(), pushed.append, no_wait)
    finally:
        await model.close()
    return pushed


async def ask(
    script: Script, options: ModelOptions = OPTIONS, **settings: Any
) -> tuple[list[ModelEvent], MessagesApi]:
    async with MessagesApi(script) as api:
        model = ClaudeModel(options, api_key=KEY, base_url=api.url, **settings)
        return await pushed_by(model), api


async def fails(script: Script, options: ModelOptions = OPTIONS) -> ModelFailed:
    pushed, _ = await ask(script, options)
    *before, last = pushed
    assert isinstance(last, ModelFailed)
    assert not any(isinstance(event, ModelFinished | ModelFailed) for event in before)
    assert KEY not in last.reason
    return last

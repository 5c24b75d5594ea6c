"""Whole turns over real HTTP: what is sent, and what is pushed."""

import asyncio
import copy
import json
from typing import Any

import pytest
from msgspec.structs import replace

from pipeline.core.events import ModelFinished, ModelSpoke, ModelThought, Tokens, Tool
from pipeline.shell.claude import ClaudeModel
from pipeline.shell.models import ModelEvent
from tests.support.claude import (
    ADD,
    HI,
    KEY,
    OPTIONS,
    ask,
    command,
    no_wait,
    pushed_by,
)
from tests.support.claude_fixtures import deadline, kill_switch  # noqa: F401  autouse
from tests.support.messages_api import (
    HOLD,
    MessagesApi,
    Request,
    Stream,
    say,
    think,
    turn,
    use,
)


async def test_a_turn_is_streamed_and_then_told_as_a_whole() -> None:
    blocks = (
        think("need both", "sig+/=="),
        say("Let me look."),
        use("mcp__calc__add", {"a": 1, "b": [2, "x"]}, "toolu_1"),
        use("mcp__calc__add", {}, "toolu_2"),
    )
    pushed, _ = await ask([turn(*blocks)])
    thought = "".join(event.text for event in pushed if isinstance(event, ModelThought))
    spoken = "".join(event.text for event in pushed if isinstance(event, ModelSpoke))
    assert (thought, spoken) == ("need both", "Let me look.")
    assert pushed[-1] == ModelFinished(
        call="c1",
        content=blocks,
        stop_reason="tool_use",
        model="claude-test",
        tokens=Tokens(input=10, output=42),
    )


async def test_the_request_is_what_the_api_asks_for() -> None:
    bare = Tool(server="s", name="t", alias="mcp__s__t", input_schema={"properties": {}})
    null = Tool(server="s", name="u", alias="mcp__s__u", input_schema={"type": None})
    async with MessagesApi([turn(say("ok"))]) as api:
        model = ClaudeModel(
            OPTIONS,
            system_prompt="Be kind.",
            api_key=KEY,
            base_url=api.url,
            extra_headers={"X-Team": "blue"},
        )
        await pushed_by(model, command(tools=(ADD, bare, null)))
    (request,) = api.requests
    assert request.body == {
        "model": "claude-test",
        "max_tokens": 100,
        "messages": list(HI),
        "system": "Be kind.",
        "stream": True,
        "cache_control": {"type": "ephemeral"},
        "tools": [
            {"name": "mcp__calc__add", "description": "Add.", "input_schema": ADD.input_schema},
            {"name": "mcp__s__t", "input_schema": {"properties": {}, "type": "object"}},
            {"name": "mcp__s__u", "input_schema": {"type": "object"}},
        ],
    }
    assert bare.input_schema == {"properties": {}}
    assert request.headers["x-team"] == "blue"
    assert request.headers["authorization"] == f"Bearer {KEY}"


async def test_what_is_not_there_is_left_out() -> None:
    async with MessagesApi([turn(say("ok"))]) as api:
        await pushed_by(ClaudeModel(OPTIONS, api_key=KEY, base_url=api.url), command(tools=()))
    assert api.requests[0].body.keys() == {
        "model",
        "max_tokens",
        "messages",
        "stream",
        "cache_control",
    }


async def test_the_prefix_is_the_same_to_the_byte_from_turn_to_turn() -> None:
    """Also the tool result that answers each call, as a real server checks it."""
    blocks = (think("hm"), use("mcp__calc__add", {"z": 1, "a": {"y": 1.0, "b": "é"}}))
    pushed: list[ModelEvent] = []
    messages: tuple[dict[str, Any], ...] = HI
    async with MessagesApi([turn(*blocks), turn(say("done"))]) as api:
        model = ClaudeModel(OPTIONS, system_prompt="Be kind.", api_key=KEY, base_url=api.url)
        await model.stream_turn(command(messages), pushed.append, no_wait)
        finished = pushed[-1]
        assert isinstance(finished, ModelFinished)
        result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "3"}
        messages = (
            *messages,
            {"role": "assistant", "content": list(finished.content)},
            {"role": "user", "content": [result]},
        )
        before = copy.deepcopy(messages)
        await model.stream_turn(command(messages), pushed.append, no_wait)
        await model.close()
    assert isinstance(pushed[-1], ModelFinished)
    assert messages == before
    first, second = (request.raw for request in api.requests)
    for name in ("system", "tools"):
        assert _member(first, name) == _member(second, name)
    assert _member(second, "messages").startswith(_member(first, "messages").removesuffix(b"]"))
    answered = {"role": "assistant", "content": list(blocks)}
    assert json.dumps(answered, ensure_ascii=False, separators=(",", ":")).encode() in second


def _member(raw: bytes, name: str) -> bytes:
    """One member of a JSON object, as it stands in the text."""
    at = raw.index(f'"{name}":'.encode()) + len(name) + 3
    text = raw[at:].decode()
    _, length = json.JSONDecoder().raw_decode(text)
    return text[:length].encode()


async def test_turns_share_one_connection() -> None:
    """Also where the end of the response comes a little after the end of the answer."""

    def script(request: Request) -> Stream:
        late = asyncio.Event()
        asyncio.get_running_loop().call_later(0.05, late.set)
        return Stream([*turn(say("ok")).parts, late])

    async with MessagesApi(script) as api:
        model = ClaudeModel(OPTIONS, api_key=KEY, base_url=api.url)
        for _ in range(2):
            await model.stream_turn(command(), print, no_wait)
        await model.close()
    assert api.requests[0].connection == api.requests[1].connection


async def test_a_stream_that_stays_open_after_the_answer_delays_nothing() -> None:
    pushed, api = await ask([Stream([*turn(say("ok")).parts, HOLD])])
    assert isinstance(pushed[-1], ModelFinished)
    await api.gone.wait()


@pytest.mark.parametrize("name", ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"])
async def test_the_sdk_finds_the_key_and_the_address_in_the_environment(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with MessagesApi([turn(say("ok"))]) as api:
        monkeypatch.setenv(name, KEY)
        monkeypatch.setenv("ANTHROPIC_BASE_URL", api.url)
        pushed = await pushed_by(ClaudeModel(OPTIONS))
    assert isinstance(pushed[-1], ModelFinished)
    assert api.requests[0].headers["authorization"] == f"Bearer {KEY}"


async def test_a_token_may_be_given_too() -> None:
    async with MessagesApi([turn(say("ok"))]) as api:
        pushed = await pushed_by(ClaudeModel(OPTIONS, auth_token="tok-12345", base_url=api.url))
    assert isinstance(pushed[-1], ModelFinished)
    assert api.requests[0].headers["authorization"] == "Bearer tok-12345"


@pytest.mark.parametrize(
    ("system", "most", "sent"),
    [
        (None, None, ("Be kind.", 100)),
        ("Be brief.", 10, ("Be brief.", 10)),
        ("", 1000, (None, 100)),
    ],
)
async def test_a_call_may_have_its_own_system_and_fewer_tokens(
    system: str | None, most: int | None, sent: tuple[str | None, int]
) -> None:
    async with MessagesApi([turn(say("ok"))]) as api:
        model = ClaudeModel(OPTIONS, system_prompt="Be kind.", api_key=KEY, base_url=api.url)
        await pushed_by(model, replace(command(), system=system, max_tokens=most))
    (request,) = api.requests
    assert (request.body.get("system"), request.body["max_tokens"]) == sent

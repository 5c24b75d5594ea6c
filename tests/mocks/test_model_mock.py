"""A recorded model answers any client of the Messages API as the real one did."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import anthropic
import pytest

from pipeline.core.commands import CallModel, Item
from pipeline.core.events import (
    AnswerCompleted,
    AnswerDelta,
    Json,
    ModelFailed,
    ModelFinished,
    ModelSpoke,
    ModelThought,
    Tokens,
    Tool,
    ToolStarted,
    Usage,
)
from pipeline.mocks.mcp_mock import serve_recording
from pipeline.mocks.mcp_script import NothingRecordedError
from pipeline.mocks.model_mock import ModelMock, serve_model
from pipeline.mocks.model_script import meaning, words
from server.options import ServerOptions
from server.run import serve
from tests.mocks.tapes import record, write
from tests.support.in_process import play
from tests.support.messages_api import MessagesApi, say, think, turn, use

DEADLINE = 30.0
ADD = Tool(server="calc", name="add", alias="mcp__calc__add")
HI: Json = {"role": "user", "content": [{"type": "text", "text": "hi"}]}


def asked(call: str, *messages: Json, since: int = 0, tools: tuple[Tool, ...] = (ADD,)) -> Item:
    return CallModel(call=call, messages=messages, since=since, tools=tools)


def finished(call: str, *content: Json, stop_reason: str = "end_turn") -> Item:
    tokens = Tokens(input=7, output=9, cache_read=3, cache_write=2)
    return ModelFinished(call=call, content=content, stop_reason=stop_reason, tokens=tokens)


def result(use_id: str, words: str, **more: Any) -> Json:
    return {"type": "tool_result", "tool_use_id": use_id, "content": words, **more}


def user(*content: Json) -> Json:
    return {"role": "user", "content": list(content)}


@asynccontextmanager
async def client_of(mock: ModelMock) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with (
        asyncio.timeout(DEADLINE),
        anthropic.AsyncAnthropic(base_url=mock.url, api_key="any") as client,
    ):
        yield client


async def ask(mock: ModelMock, *messages: Any, tools: Any = (), **more: Any) -> Any:
    """The whole answer, of a client that does not stream."""
    async with client_of(mock) as client:
        return await client.messages.create(
            model="claude-test", max_tokens=9, messages=messages, tools=tools, **more
        )


async def test_a_recorded_chat_plays_again_with_both_mocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prompt, thought, two calls, answer: without the server, the model, or a key of theirs."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "any")
    prompts = ["what is 2 and 3, and 4 and 5?", "thanks"]
    async with serve(ServerOptions()) as server:
        name = f"mcp__localhost-{server.url.split(':')[2].removesuffix('/sse')}__add"
        script = [
            turn(
                think("two sums"),
                say("Let me add."),
                use(name, {"a": 2, "b": 3}, "toolu_1"),
                use(name, {"a": 4, "b": 5}, "toolu_2"),
            ),
            turn(say("It is 5, and 9.")),
            turn(say("You are welcome.")),
        ]
        async with MessagesApi(script) as api:
            monkeypatch.setenv("ANTHROPIC_BASE_URL", api.url)
            argv = ("--server", server.url, "--model", "claude-test")
            run = await record(tmp_path / "tape.jsonl", *argv, prompts=prompts)
    async with serve_recording(run) as mcp, serve_model(run) as model:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", model.url)
        played = await play("--server", mcp.url, "--model", "claude-test", prompts=prompts)
    recorded = [entry.item for entry in run.entries()]
    for kind in (AnswerDelta, AnswerCompleted, Usage, ModelThought):
        assert played.only(kind) == [item for item in recorded if isinstance(item, kind)]
    calls = [(started.tool, started.arguments) for started in played.only(ToolStarted)]
    assert calls == [("add", {"a": 2, "b": 3}), ("add", {"a": 4, "b": 5})]
    assert (mcp.misses, mcp.unused, model.misses, model.unused) == ((), (), (), ())


async def test_text_streams_in_the_pieces_in_which_it_was_spoken(tmp_path: Path) -> None:
    run = write(
        tmp_path / "tape.jsonl",
        asked("m1", HI),
        ModelThought(call="m1", text="hm"),
        ModelSpoke(call="m1", text="Hel"),
        ModelSpoke(call="m1", text="lo"),
        ModelSpoke(call="m1", text=" there"),
        finished("m1", think("hm"), say("Hello"), {"type": "odd", "x": 1}, say(" there, you")),
    )
    async with (
        serve_model(run) as mock,
        client_of(mock) as client,
        client.messages.stream(
            model="claude-test", max_tokens=9, messages=[{"role": "user", "content": "hi"}]
        ) as stream,
    ):
        deltas = [piece async for piece in stream.text_stream]
        whole = await stream.get_final_message()
    assert deltas == ["Hel", "lo", " there", ", you"]
    assert [block.type for block in whole.content] == ["thinking", "text", "odd", "text"]
    assert (whole.content[0].thinking, whole.content[0].signature) == ("hm", "c2ln")
    assert (whole.usage.input_tokens, whole.usage.output_tokens) == (7, 9)
    assert (whole.usage.cache_read_input_tokens, whole.stop_reason) == (3, "end_turn")


async def test_tool_results_are_matched_whatever_their_ids(tmp_path: Path) -> None:
    first = user({"type": "text", "text": "add"})
    uses = {"role": "assistant", "content": [use("mcp__calc__add", {}, "t1")]}
    results = user(result("t1", "5", is_error=False), result("t2", "9", is_error=True))
    run = write(
        tmp_path / "tape.jsonl",
        asked("m1", first),
        finished("m1", use("mcp__calc__add", {}, "t1"), stop_reason="tool_use"),
        asked("m2", first, uses, results, since=1),
        finished("m2", say("done")),
    )
    async with serve_model(run) as mock:
        again = user(
            result("z", "9", is_error=True),
            {**result("y", ""), "content": [say("5")], "cache_control": {"type": "ephemeral"}},
        )
        assert (await ask(mock, first, uses, again)).content[0].text == "done"
        assert (mock.misses, len(mock.unused)) == ((), 1)


@pytest.mark.parametrize(
    ("offered", "called"),
    [
        (["mcp__calc__add", "add"], "mcp__calc__add"),
        (["add", "my_add"], "add"),
        (["calc_add", "sub"], "calc_add"),
        (["one.add"], "one.add"),
        (["x_add", "y_add"], "mcp__calc__add"),
        ([], "mcp__calc__add"),
    ],
)
async def test_a_tool_is_called_by_the_name_that_this_client_gave_it(
    tmp_path: Path, offered: list[str], called: str
) -> None:
    run = write(
        tmp_path / "tape.jsonl",
        asked("m1", HI),
        finished(
            "m1", use("mcp__calc__add", {"a": 1}), use("odd", {}, "u"), stop_reason="tool_use"
        ),
    )
    async with serve_model(run) as mock:
        tools = [{"name": name, "input_schema": {"type": "object"}} for name in offered]
        one, other = (await ask(mock, HI, tools=tools)).content
    assert (one.name, one.input, other.name) == (called, {"a": 1}, "odd")


async def test_a_turn_that_is_given_twice_has_new_ids(tmp_path: Path) -> None:
    run = write(
        tmp_path / "tape.jsonl",
        asked("m1", HI),
        finished("m1", use("mcp__calc__add", {}, "t1"), stop_reason="tool_use"),
    )
    async with serve_model(run) as mock:
        seen = [
            HI,
            {"role": "assistant", "content": [use("a", {}, "t1"), use("a", {}, "t1_2")]},
            HI,
        ]
        assert (await ask(mock, *seen)).content[0].id == "t1_3"


async def test_a_miss_is_an_error_that_names_the_closest_prompt(tmp_path: Path) -> None:
    run = write(tmp_path / "tape.jsonl", asked("m1", HI), finished("m1", say("hello")))
    async with serve_model(run) as mock:
        with pytest.raises(anthropic.BadRequestError) as caught:
            await ask(mock, {"role": "user", "content": "ho"})
        assert 'the closest is the user says "hi"' in str(caught.value)
        assert 'user[0].text: asked "ho", recorded "hi"' in str(caught.value)
        (miss,) = mock.misses
        assert (miss.asked, mock.unused) == ('the user says "ho"', ('the user says "hi"',))


@pytest.mark.parametrize(
    ("status", "error"),
    [(429, anthropic.RateLimitError), (None, anthropic.InternalServerError)],
)
async def test_a_refusal_is_given_once_and_the_client_is_told_not_to_retry(
    tmp_path: Path, status: int | None, error: type[Exception]
) -> None:
    run = write(
        tmp_path / "tape.jsonl",
        asked("m1", HI),
        ModelFailed(call="m1", reason="too much", status=status),
        asked("m2", HI),
        finished("m2", say("hello")),
    )
    async with serve_model(run) as mock:
        with pytest.raises(error, match="too much"):
            await ask(mock, HI)
        assert (await ask(mock, HI)).content[0].text == "hello"


async def test_an_answer_that_broke_off_breaks_off(tmp_path: Path) -> None:
    run = write(
        tmp_path / "tape.jsonl",
        asked("m1", HI),
        ModelSpoke(call="m1", text="Hel"),
        ModelFailed(call="m1", reason="overloaded", status=529),
    )
    async with serve_model(run) as mock, client_of(mock) as client:
        stream = await client.messages.create(
            model="x", max_tokens=9, messages=[{"role": "user", "content": "hi"}], stream=True
        )
        events: list[Any] = []
        with pytest.raises(anthropic.APIStatusError, match="overloaded"):
            await collect(stream, events)
    assert [e.delta.text for e in events if e.type == "content_block_delta"] == ["Hel"]


async def collect(stream: Any, events: list[Any]) -> None:
    async for event in stream:
        events.append(event)  # noqa: PERF401  what came before an error counts


async def test_a_call_that_never_ended_is_no_answer(tmp_path: Path) -> None:
    items = (asked("m1", HI), ModelSpoke(call="m1", text="Hel"), ModelSpoke(call="x", text=""))
    run = write(tmp_path / "tape.jsonl", *items)
    with pytest.raises(NothingRecordedError, match="no answer of a model"):
        async with serve_model(run):
            pass


async def test_a_call_after_a_pause_is_matched_by_what_the_user_had_said(tmp_path: Path) -> None:
    """A recording keeps what is new of a conversation: here nothing that the user said."""
    paused = {"role": "assistant", "content": [say("wait")]}
    run = write(
        tmp_path / "tape.jsonl",
        asked("m1", HI),
        finished("m1", say("wait"), stop_reason="pause_turn"),
        asked("m2", HI, paused, since=1),
        finished("m2", say("done")),
    )
    async with serve_model(run) as mock:
        answers = [await ask(mock, HI), await ask(mock, HI, paused)]
    assert [answer.content[0].text for answer in answers] == ["wait", "done"]


async def test_tools_that_did_not_change_are_remembered(tmp_path: Path) -> None:
    more = {"role": "user", "content": "more"}
    uses = use("mcp__calc__add", {})
    run = write(
        tmp_path / "tape.jsonl",
        asked("m1", HI),
        finished("m1", say("hello")),
        CallModel(call="m2", messages=(HI, HI, more), since=2, tools=(ADD,), tools_changed=False),
        finished("m2", uses, stop_reason="tool_use"),
    )
    async with serve_model([run]) as mock:
        tools = [{"name": "add", "input_schema": {"type": "object"}}]
        assert (await ask(mock, more, tools=tools)).content[0].name == "add"


@pytest.mark.parametrize("body", ["no json", "[]", '{"messages": 1}'])
async def test_what_is_no_request_is_refused_in_words(tmp_path: Path, body: str) -> None:
    run = write(tmp_path / "tape.jsonl", asked("m1", HI), finished("m1", say("hello")))
    async with (
        asyncio.timeout(DEADLINE),
        serve_model(run) as mock,
        aiohttp.ClientSession() as http,
        http.post(f"{mock.url}/v1/messages", data=body) as response,
    ):
        answer = await response.json()
    assert (response.status, answer["error"]["type"]) == (400, "invalid_request_error")
    assert mock.misses == ()


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        ([HI, {"role": "assistant", "content": "prefill"}], 'the user says "hi"'),
        ([], "the user sends []"),
        ([7], "the user sends []"),
        ([user(7)], 'the user sends [{"type":"unknown","value":7}]'),
        ([{"role": "user"}], "the user sends []"),
    ],
)
def test_what_the_user_said_last_is_what_counts(messages: list[Any], told: str) -> None:
    assert words(meaning(messages)) == told

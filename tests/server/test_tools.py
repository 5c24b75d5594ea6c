import asyncio
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest

from server.arguments import ArgumentError, check_arguments
from server.tool import Progress, Tool, ToolError
from server.tools import default_tools

NOON = datetime(2026, 7, 1, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
def tools() -> dict[str, Tool]:
    return default_tools(".", clock=lambda: NOON)


async def _run(tool: Tool, progress: Progress = lambda _d, _t: None, **arguments: Any) -> str:
    check_arguments(tool.input_schema, arguments)
    return await tool.run(arguments, progress)


def test_every_schema_is_json_schema_2020_12_with_descriptions(tools: dict[str, Tool]) -> None:
    assert sorted(tools) == ["add", "echo", "fail", "now", "search_text", "wait"]
    for tool in tools.values():
        jsonschema.Draft202012Validator.check_schema(dict(tool.input_schema))
        assert tool.description
        assert tool.input_schema["additionalProperties"] is False
        assert all(part["description"] for part in tool.input_schema["properties"].values())


def test_every_tool_says_that_it_only_reads(tools: dict[str, Tool]) -> None:
    for tool in tools.values():
        assert tool.annotations["readOnlyHint"] is True
        assert tool.annotations["idempotentHint"] is True
        assert tool.annotations["destructiveHint"] is False


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, "2026-07-01T12:00:00+00:00"),
        ({"tz": "UTC"}, "2026-07-01T12:00:00+00:00"),
        ({"tz": "Europe/Berlin"}, "2026-07-01T14:00:00+02:00"),
        ({"tz": "Asia/Kathmandu"}, "2026-07-01T17:45:00+05:45"),
    ],
)
async def test_now_is_iso_8601_in_the_zone(
    tools: dict[str, Tool], arguments: dict[str, Any], expected: str
) -> None:
    assert await _run(tools["now"], **arguments) == expected


async def test_now_reads_the_clock_of_the_machine_by_default() -> None:
    text = await _run(default_tools(".")["now"])
    assert abs((datetime.now(UTC) - datetime.fromisoformat(text)).total_seconds()) < 60


@pytest.mark.parametrize(
    "tz", ["Mars/Olympus", "../../etc/passwd", "/etc/passwd", "America", "a\0b"]
)
async def test_now_refuses_what_is_no_zone_in_words(tools: dict[str, Tool], tz: str) -> None:
    with pytest.raises(ToolError, match="expected an IANA name such as 'Europe/Berlin'"):
        await _run(tools["now"], tz=tz)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (2, 3, "5"),
        (2, 3.0, "5.0"),
        (0.5, 0.25, "0.75"),
        (-1, 1, "0"),
        (10**30, 1, str(10**30 + 1)),
    ],
)
async def test_add_keeps_whole_numbers_whole(
    tools: dict[str, Tool], a: float, b: float, expected: str
) -> None:
    assert await _run(tools["add"], a=a, b=b) == expected


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        (1e308, 1e308, "larger than a float"),
        (0.5, 10**400, "no value"),
        (10**4000, 1, "more than 1000 digits"),
    ],
)
async def test_add_says_when_a_sum_cannot_be_told(
    tools: dict[str, Tool], a: float, b: float, words: str
) -> None:
    with pytest.raises(ToolError, match=words):
        await _run(tools["add"], a=a, b=b)


async def test_echo_answers_with_the_message(tools: dict[str, Tool]) -> None:
    assert await _run(tools["echo"], message=" \r\n\0 ") == " \r\n\0 "


async def test_fail_fails_with_the_message(tools: dict[str, Tool]) -> None:
    with pytest.raises(ToolError, match="on purpose"):
        await _run(tools["fail"], message="on purpose")


async def test_wait_tells_progress_that_grows_to_the_total(
    tools: dict[str, Tool], monkeypatch: pytest.MonkeyPatch
) -> None:
    naps: list[float] = []

    async def nap(seconds: float) -> None:
        naps.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", nap)
    told: list[tuple[float, float | None]] = []
    text = await _run(tools["wait"], lambda done, total: told.append((done, total)), seconds=1.2)
    assert text == "waited 1.2 seconds"
    assert naps == pytest.approx([0.4, 0.4, 0.4])
    assert [done for done, _ in told] == pytest.approx([0.4, 0.8, 1.2])
    assert {total for _, total in told} == {1.2}


async def test_wait_of_nothing_answers_at_once(tools: dict[str, Tool]) -> None:
    assert await _run(tools["wait"], seconds=0) == "waited 0 seconds"


@pytest.mark.parametrize("seconds", [-1, 61, "1", True])
async def test_wait_takes_0_to_60_seconds(tools: dict[str, Tool], seconds: Any) -> None:
    with pytest.raises(ArgumentError, match="expected a number from 0 to 60"):
        await _run(tools["wait"], seconds=seconds)

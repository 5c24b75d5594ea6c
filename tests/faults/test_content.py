"""What servers send, its amount and what is in it: bounded, in order, harmless on the screen."""

import json
import re
import tracemalloc
from pathlib import Path

import pytest

from config.help import help_text
from pipeline.core.events import ToolProgress
from tests.faults import dialects
from tests.faults.dialects import BY_ANSWER, CALL, DIALECTS, FLAGS, JSON_RPC, Dialect
from tests.faults.exchange import Exchange, On
from tests.faults.good import accept, answer, as_json, end, right_text, run, say, told
from tests.faults.meeting import meet
from tests.faults.rows import ROWS, saying
from tests.faults.steps import begin_packed, bomb
from tests.faults.switchboard import switchboard
from tests.support.program import run as run_program

MIB = 1024 * 1024
_LIMIT = {"RXMCP_MAX_EVENT_BYTES": str(MIB), "RXMCP_MAX_BODY_BYTES": str(MIB)}
_LARGE = 64  # MiB
_BOMB = bomb(b"data: ", _LARGE)


async def _line_without_end(x: Exchange) -> None:
    await x.out.send(b"data: ")
    for _ in range(_LARGE):
        await x.out.send(b"x" * MIB)


TOO_LARGE = {
    "a line": (DIALECTS, (run, accept, _line_without_end)),
    "packed events": (BY_ANSWER, (run, begin_packed, say(_BOMB))),
    "packed JSON": (BY_ANSWER, (run, as_json(_BOMB, content_encoding="gzip"))),
}


@pytest.mark.parametrize(
    ("name", "dialect"), [(name, each) for name, (those, _) in TOO_LARGE.items() for each in those]
)
async def test_what_is_too_large_is_not_held_in_memory(name: str, dialect: Dialect) -> None:
    tracemalloc.start()
    try:
        met = await meet(dialect, On(CALL, *TOO_LARGE[name][1]), argv=_LATER, env=_LIMIT)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [each.outcome for each in met.ends] == ["unknown", "answered"]
    assert peak < 16 * MIB


_LATER = ("--call-timeout", "5")


@pytest.mark.parametrize("dialect", JSON_RPC)
async def test_a_burst_of_events_arrives_whole_and_in_order(dialect: Dialect) -> None:
    many = 3000

    def burst(x: Exchange) -> bytes:
        token = x.call.token
        reports = (
            told("notifications/progress", progressToken=token, progress=n) for n in range(many)
        )
        return b"".join(reports)

    met = await meet(dialect, On(CALL, run, accept, say(burst), answer, end), argv=_LATER)
    assert [each.progress for each in met.played.only(ToolProgress)] == list(range(many))
    assert [each.outcome for each in met.ends] == ["answered", "answered"]


@pytest.mark.parametrize("dialect", ["sse", "http"])
async def test_a_storm_of_changed_lists_is_answered_with_few_requests(dialect: Dialect) -> None:
    storm = say(told("notifications/tools/list_changed") * 300)
    met = await meet(dialect, On(CALL, run, accept, storm, answer, end))
    assert [each.outcome for each in met.ends] == ["answered", "answered"]
    assert 2 <= len(met.server.all("tools/list")) <= 4


WILD = "\x1b[2J\x1b]0;title\x07\x9b31m\u202e\U000e0041\u200b"


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_text_that_can_drive_a_terminal_is_harmless_there_and_raw_in_the_recording(
    dialect: Dialect, tmp_path: Path
) -> None:
    async with switchboard(dialect, On(CALL, run, accept, saying(WILD), end)) as server:
        words = ("--server", server.url, "--dialect", FLAGS[dialect])
        sinks = ("--sink", "console", "--sink", "jsonl=run.jsonl")
        ended = await run_program(*words, *sinks, cwd=tmp_path, stdin=b"act n=1\n")
    assert ended.code == 0
    assert "did 1" in ended.out
    shown = ended.out + ended.words
    assert not [sign for sign in WILD if sign not in "[2J]0;title31m" and sign in shown]
    lines = [json.loads(line) for line in (tmp_path / "run.jsonl").read_bytes().splitlines()]
    (told_end,) = (line for line in lines if line["kind"] == "tool_ended")
    assert told_end["content"][0]["text"] == f"did 1{WILD}"


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_lone_surrogate_costs_one_character_and_not_the_answer(dialect: Dialect) -> None:
    """JavaScript writes one whenever text was cut between the two halves of a character."""
    lone = saying("\ud800", is_escaped=True)
    met = await meet(dialect, On(CALL, run, accept, lone, end))
    first, _ = met.ends
    assert (first.outcome, first.is_error) == ("answered", False)
    assert first.content[0]["text"] == f"{dialects.text_of(1)}\ufffd"


@pytest.mark.parametrize("dialect", BY_ANSWER)
async def test_so_it_is_in_a_body_that_is_json(dialect: Dialect) -> None:
    lone = as_json(lambda x: right_text(x).replace('did 1"', 'did 1\\ud800"').encode())
    met = await meet(dialect, On(CALL, run, lone))
    assert met.ends[0].content[0]["text"] == "did 1\ufffd"


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_recording_with_half_a_character_in_it_is_valid_utf_8_and_is_replayed(
    dialect: Dialect, tmp_path: Path
) -> None:
    lone = saying("\ud800", is_escaped=True)
    async with switchboard(dialect, On(CALL, run, accept, lone, end)) as server:
        words = ("--server", server.url, "--dialect", FLAGS[dialect], "--sink", "jsonl=run.jsonl")
        ended = await run_program(*words, cwd=tmp_path, stdin=b"act n=1\n")
    assert ended.code == 0
    assert "\ufffd" in (tmp_path / "run.jsonl").read_bytes().decode("utf-8", "strict")
    replayed = await run_program("replay", "run.jsonl", "--check", cwd=tmp_path)
    assert replayed.code == 0, replayed.words


@pytest.mark.parametrize("name", ["an endless line", "a large body"])
async def test_a_limit_is_told_with_a_setting_that_exists(name: str) -> None:
    row = ROWS[name]
    argv = ("--call-timeout", "5")
    met = await meet("http", On(CALL, *row.script), argv=argv, env=row.env)
    (flag,) = re.findall(r"--[a-z-]+", met.ends[0].reason)
    assert f" {flag} " in help_text("rxmcp", has_details=True)

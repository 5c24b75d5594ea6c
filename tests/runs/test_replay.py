"""`replay FILE`: the same items again, offline, and a clear word where they differ."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from operators.check_against import DivergedError
from pipeline.core.codec import Entry, Header, encode_entry, encode_header
from pipeline.core.commands import Post
from pipeline.core.events import AnswerCompleted, RunEnded
from pipeline.replay import ReplayOptions, replay
from pipeline.shell.recordings import RecordingError, last_run, read_runs
from sinks.jsonl import JsonlSink
from sinks.memory import MemorySink
from tests.core.test_core_properties import ANY, PLAN, World
from tests.support.program import MAIN, run

AT = "2026-11-24T06:28:23.000001Z"
CHECK = ReplayOptions(check=True)
KEPT = Path(__file__).parents[1] / "recordings"


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chat of three prompts on the embedded server: calls side by side, and one that fails."""
    folder = tmp_path_factory.mktemp("recorded")
    prompts = b"add a=2 b=3\nadd a=1 b=1 ; echo message=hi\nfail message=no\n"
    asyncio.run(run("--sink", "jsonl=run.jsonl", cwd=folder, stdin=prompts))
    return folder / "run.jsonl"


def changed(recording: Path, target: Path, old: str, new: str) -> Path:
    text = recording.read_text("utf-8")
    assert old in text
    target.write_text(text.replace(old, new, 1), "utf-8")
    return target


async def test_a_replay_gives_the_items_of_the_run_with_their_times(recording: Path) -> None:
    memory = MemorySink()
    done = await replay(last_run(recording), [memory], CHECK)
    recorded = list(last_run(recording).entries())
    assert done.difference is None
    assert done.ended == RunEnded(code=0)
    assert [entry.seq for entry in memory.entries] == [entry.seq for entry in recorded]
    answers = [item.text for item in memory.items if isinstance(item, AnswerCompleted)]
    assert answers == ["5", "2\nhi", "error: no"]
    lines = [encode_entry(entry).split(b'"kind"')[1] for entry in memory.entries]
    assert lines == [encode_entry(entry).split(b'"kind"')[1] for entry in recorded]


async def test_a_changed_argument_is_found_and_named(recording: Path, tmp_path: Path) -> None:
    path = changed(recording, tmp_path / "r.jsonl", '"args":{"a":2', '"args":{"a":7')
    done = await replay(last_run(path), [], CHECK)
    assert isinstance(done.difference, DivergedError)
    assert isinstance(done.difference.recorded, Post)
    assert str(done.difference) == "message.args.a: recorded 7, now 2"


async def test_an_item_that_no_longer_comes_is_a_difference(
    recording: Path, tmp_path: Path
) -> None:
    lines = recording.read_bytes().splitlines(keepends=True)
    *before, last = lines
    extra = json.loads(last) | {"seq": len(lines), "kind": "problem", "where": "x", "detail": "y"}
    path = tmp_path / "r.jsonl"
    path.write_bytes(b"".join([*before, last, json.dumps(extra).encode() + b"\n"]))
    done = await replay(last_run(path), [], CHECK)
    assert done.difference is not None
    assert done.difference.seq == len(lines)
    assert done.difference.now is None


async def test_a_torn_recording_is_replayed_as_far_as_it_goes(
    recording: Path, tmp_path: Path
) -> None:
    lines = recording.read_bytes().splitlines(keepends=True)
    path = tmp_path / "r.jsonl"
    path.write_bytes(b"".join(lines[:30]) + lines[30][:20])
    done = await replay(last_run(path), [], CHECK)
    assert done.difference is None
    assert done.ended is None


async def test_until_stops_after_that_event(recording: Path) -> None:
    done = await replay(last_run(recording), [], ReplayOptions(until=16))
    assert done.ended is None
    assert 16 <= done.events < 30


async def test_the_pace_of_the_run_is_kept_when_wished(tmp_path: Path) -> None:
    """Two inputs half a second apart; at twice the pace the second one waits for a quarter."""
    path = tmp_path / "r.jsonl"
    first = b'{"seq":1,"at":"2026-11-24T06:28:23.000000Z","kind":"stream_opened","server":"x"}'
    then = b'{"seq":2,"at":"2026-11-24T06:28:23.500000Z","kind":"input_ended"}'
    path.write_bytes(b"".join(line + b"\n" for line in (encode_header(Header()), first, then)))
    loop = asyncio.get_running_loop()
    began = loop.time()
    await replay(last_run(path), [], ReplayOptions(speed=2))
    assert loop.time() - began >= 0.25


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"# Hello\n", "not the first line of a recording"),
        (
            b'{"kind":"recording","format":99}\n',
            "found format 99, expected 2 or older: a newer rxmcp",
        ),
    ],
)
def test_what_is_no_recording_is_told_in_words(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=words):
        read_runs(path)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b'{"seq":2,"at":"x","kind":"run_started"}', "seq 2 after 0, expected 1"),
        (b'{"seq":1,"at":"x","kind":"sung"}', "not a line of a recording"),
    ],
)
def test_a_line_that_cannot_be_is_named(tmp_path: Path, line: bytes, words: str) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(encode_header(Header()) + b"\n" + line + b"\n")
    with pytest.raises(RecordingError, match=words) as caught:
        list(last_run(path).entries())
    assert "r.jsonl:2:" in str(caught.value)


def test_a_file_holds_several_runs_and_the_last_one_counts(recording: Path, tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    second = encode_header(Header(session="second")) + b"\n"
    path.write_bytes(recording.read_bytes() + second)
    assert [run.header.session for run in read_runs(path)][1] == "second"
    assert list(last_run(path).entries()) == []
    assert len(list(read_runs(path)[0].entries())) > 30


async def test_check_says_how_it_went_and_gives_the_exit_status(
    recording: Path, tmp_path: Path
) -> None:
    good = await run("replay", str(recording), "--check", cwd=tmp_path)
    assert (good.code, good.err) == (0, "")
    assert good.out.endswith("events, to its end, all as recorded\n")
    changed(recording, tmp_path / "r.jsonl", '"args":{"a":2', '"args":{"a":7')
    bad = await run("replay", "r.jsonl", "--check", cwd=tmp_path)
    assert bad.code == 6
    assert "(Post) is not as recorded:\n  message.args.a: recorded 7, now 2\n" in bad.words


async def test_a_replay_shows_what_the_run_showed(recording: Path, tmp_path: Path) -> None:
    shown = await run("replay", str(recording), cwd=tmp_path)
    assert (shown.code, shown.out) == (0, "5\n2\nhi\nerror: no\n")
    assert "> add a=2 b=3" in shown.words


@settings(
    max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(ANY)
def test_any_run_is_replayed_item_for_item(tmp_path: Path, world: World) -> None:
    """Whatever comes in any order: recorded and replayed, outcomes and commands are the same."""
    ends = [place for place, item in enumerate(world.log) if isinstance(item, RunEnded)]
    items = world.log[: ends[0] + 1] if ends else world.log
    path = tmp_path / "any.jsonl"
    lines = [encode_header(Header(plan=PLAN))]
    lines += [encode_entry(Entry(seq, AT, item)) for seq, item in enumerate(items, 1)]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    done = asyncio.run(replay(last_run(path), [], CHECK))
    assert done.difference is None, str(done.difference)
    assert done.events == len(items)


async def test_a_recording_of_a_replay_is_the_recording(recording: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.jsonl"
    header = last_run(recording).header
    sink = JsonlSink(again, header, on_notice=pytest.fail)
    await replay(last_run(recording), [sink], CHECK)
    first, *rest = again.read_bytes().splitlines()
    assert first == recording.read_bytes().splitlines()[0]
    assert len(rest) == len(list(last_run(recording).entries()))


@pytest.mark.parametrize("path", sorted(KEPT.glob("*.jsonl")), ids=lambda path: path.stem)
async def test_recordings_of_real_servers_are_replayed_to_the_letter(path: Path) -> None:
    """Each was recorded against the server it is named after; a change of the core shows here."""
    done = await replay(last_run(path), [], CHECK)
    assert done.difference is None, str(done.difference)
    assert done.ended == RunEnded(code=0)


async def test_a_reader_that_is_gone_hears_of_no_fault(tmp_path: Path) -> None:
    """As in `show run.jsonl | head -1`: nobody reads on, and that is no fault of ours."""
    reading, writing = os.pipe()
    os.close(reading)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(MAIN), "show", str(KEPT / "server-everything-sse.jsonl")),
        cwd=tmp_path,
        stdout=writing,
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(writing)
    async with asyncio.timeout(60):
        _, told = await process.communicate()
    assert (process.returncode, told) == (0, b"")

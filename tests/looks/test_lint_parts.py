"""What `lint` finds in recordings of several files."""

import gzip
from pathlib import Path

from pipeline.core.codec import Entry, Header, encode_entry, encode_header
from pipeline.core.commands import Item
from pipeline.core.events import PromptSubmitted, RunEnded, RunStarted, ToolEnded, ToolStarted
from pipeline.looks.lint import lint

AT = "2026-11-24T06:28:23.000001Z"
KEY = "sk-ant-api03-" + "aB3dE5gH7jK9mN1pQ" * 3
STARTED = ToolStarted(call="c1", server="s", tool="t")
ENDED = ToolEnded(call="c1", server="s", tool="t", outcome="answered")


def written(path: Path, part: int, after: int, *items: Item, session: str = "s") -> None:
    rows = [encode_header(Header(session=session, part=part, after=after))]
    rows += [encode_entry(Entry(seq, AT, item)) for seq, item in enumerate(items, after + 1)]
    data = b"".join(row + b"\n" for row in rows)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def found(path: Path) -> list[str]:
    return [str(finding).removeprefix(f"{path.parent}/") for finding in lint(path)]


def test_a_call_may_begin_in_one_part_and_end_in_another(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    written(tmp_path / "run.0001.jsonl", 1, 0, RunStarted(), STARTED)
    written(path, 2, 2, ENDED, RunEnded(code=0))
    assert found(path) == []


def test_findings_stand_in_the_order_of_the_files_each_with_its_own_name(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    written(tmp_path / "run.0001.jsonl.gz", 1, 0, RunStarted(), STARTED)
    written(path, 2, 2, PromptSubmitted(text=KEY))
    first, second, third = found(path)
    assert first.startswith("run.0001.jsonl.gz:3: open-call: the call 'c1'")
    assert second.startswith("run.jsonl:2: no-end: ")
    assert third.startswith("run.jsonl:2: secret: anthropic-key sk-a")


def test_a_run_that_begins_in_the_file_of_another_is_a_run_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    written(tmp_path / "run.0001.jsonl", 1, 0, RunStarted())
    written(path, 2, 0, RunStarted(), RunEnded(code=0), session="other")
    (finding,) = found(path)
    assert finding.startswith("run.0001.jsonl:2: no-end: ")


def test_parts_that_are_not_there_are_named(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    written(tmp_path / "run.0001.jsonl", 1, 0, RunStarted())
    written(path, 4, 9, RunEnded(code=0))
    missing, gap = found(path)
    assert missing == (
        f"run.jsonl:1: missing-part: {path} is part 4 of a recording: a run goes on in it after "
        "event 9; expected run.0002.jsonl to run.0003.jsonl beside it"
    )
    assert gap == "run.jsonl:2: seq-gap: found seq 10 after 1, expected 2"
    (tmp_path / "run.0001.jsonl").unlink()
    (missing,) = found(path)
    assert missing.startswith("run.jsonl:1: missing-part: ")


def test_what_is_compressed_and_damaged_is_found(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl.gz"
    written(path, 1, 0, RunStarted(), RunEnded(code=0))
    path.write_bytes(path.read_bytes()[:-4])
    (finding,) = found(path)
    assert finding == (
        "run.jsonl.gz:4: damaged: what is compressed cannot be read from here on: Compressed file "
        "ended before the end-of-stream marker was reached"
    )

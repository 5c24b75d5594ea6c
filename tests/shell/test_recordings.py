"""Reading recordings: runs, whole lines, entries, and what is said where there are none."""

from pathlib import Path

import pytest

from pipeline.core.codec import Entry, Header, encode_entry, encode_header
from pipeline.core.events import InputEnded, RunStarted
from pipeline.shell.recordings import RecordingError, last_run, read_runs

OLD = b'{"kind":"recording","format":1,"session":"old"}\n'
NEW = encode_header(Header(session="new")) + b"\n"
STARTED = Entry(1, "t1", RunStarted(), "new")
ENDED = Entry(2, "t2", InputEnded(), "new")
ENTRIES = [encode_entry(entry) + b"\n" for entry in (STARTED, ENDED)]


def written(folder: Path, *lines: bytes) -> Path:
    path = folder / "run.jsonl"
    path.write_bytes(b"".join(lines))
    return path


def test_each_run_has_its_header_its_lines_and_its_entries(tmp_path: Path) -> None:
    old = b'{"seq":1,"at":"t1","kind":"run_started"}\n'
    first, second = read_runs(written(tmp_path, OLD, old, NEW, *ENTRIES))
    assert (first.header.session, second.header.session) == ("old", "new")
    assert list(first.lines()) == [(1, OLD), (2, old)]
    assert list(second.lines()) == [(3, NEW), (4, ENTRIES[0]), (5, ENTRIES[1])]
    assert list(first.entries()) == [Entry(1, "t1", RunStarted(), "old")]
    assert list(second.entries()) == list(second.entries()) == [STARTED, ENDED]


def test_a_line_that_is_not_whole_does_not_count_be_it_a_header(tmp_path: Path) -> None:
    for torn in (ENTRIES[1][:-1], NEW[:-1], b"{"):
        run = last_run(written(tmp_path, NEW, ENTRIES[0], torn))
        assert list(run.entries()) == [STARTED]


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"cannot read '.*no\.jsonl': No such file"):
        read_runs(tmp_path / "no.jsonl")


@pytest.mark.parametrize("content", [b"", b"PK\x03", NEW[:-1]])
def test_a_file_without_a_whole_line_is_told(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(
        RecordingError, match=r'is empty, or one line .* begins {"kind":"recording"'
    ):
        read_runs(written(tmp_path, content))


def test_a_file_that_was_emptied_while_it_was_read_is_told(tmp_path: Path) -> None:
    run = last_run(written(tmp_path, NEW, *ENTRIES))
    run.path.write_bytes(b"")
    with pytest.raises(RecordingError, match="not the first line of a recording"):
        list(run.entries())

"""Reading recordings that are several files, compressed, or damaged."""

import gzip
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from loguru import logger

from pipeline.compressed import DamagedFileError, open_file, zstd_library
from pipeline.core.codec import Entry, Header, encode_entry, encode_header
from pipeline.core.events import AnswerDelta
from pipeline.shell import recording_lines
from pipeline.shell.recording_lines import parts_of, read_lines
from pipeline.shell.recordings import RecordingError, last_run, read_runs

zstd = zstd_library()
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".zst": lambda data: zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1}),
}
PACKED = [".gz", ".zst"]


def lines(seqs: range, header: Header) -> bytes:
    chance = random.Random(seqs.start)  # noqa: S311  nothing secret: text that does not compress
    entries = (Entry(seq, "t", AnswerDelta(text=chance.randbytes(500).hex()), "s") for seq in seqs)
    rows = [encode_header(header), *(encode_entry(entry) for entry in entries)]
    return b"".join(row + b"\n" for row in rows)


def header(part: int = 1, after: int = 0, session: str = "s") -> Header:
    return Header(session=session, part=part, after=after)


def split(folder: Path, ending: str = "") -> Path:
    """Run `s` in three parts of ten events."""
    for part in (1, 2):
        data = lines(range(part * 10 - 9, part * 10 + 1), header(part, part * 10 - 10))
        (folder / f"run.000{part}.jsonl{ending}").write_bytes(PACKERS[ending](data))
    (folder / "run.jsonl").write_bytes(lines(range(21, 31), header(3, 20)))
    return folder / "run.jsonl"


def seqs(path: Path) -> list[int]:
    return [entry.seq for entry in last_run(path).entries()]


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    words: list[str] = []
    handler = logger.add(lambda message: words.append(message.record["message"]), level="WARNING")
    yield words
    logger.remove(handler)


@pytest.mark.parametrize("ending", ["", *PACKED])
def test_older_parts_beside_a_file_are_read_with_it_as_one(tmp_path: Path, ending: str) -> None:
    (run,) = read_runs(split(tmp_path, ending))
    assert run.header == header()
    assert [entry.seq for entry in run.entries()] == [*range(1, 31)]
    numbered = list(run.lines())
    assert [number for number, _ in numbered] == [*range(1, 12), *range(2, 12), *range(2, 12)]
    assert sum(line.startswith(b'{"kind":"recording"') for _, line in numbered) == 1


@pytest.mark.parametrize("ending", PACKED)
def test_a_compressed_file_is_read_as_it_is_and_its_parts_beside_it(
    tmp_path: Path, ending: str
) -> None:
    path = split(tmp_path, ending)
    packed = path.with_name(path.name + ending)
    packed.write_bytes(PACKERS[ending](path.read_bytes()))
    path.unlink()
    assert seqs(packed) == [*range(1, 31)]
    with pytest.raises(RecordingError, match=rf"No such file or directory; there is {packed.name}"):
        read_runs(path)


@pytest.mark.parametrize("ending", PACKED)
def test_several_runs_of_a_compressed_file_are_found_and_several_pieces_of_it(
    tmp_path: Path, ending: str
) -> None:
    path = tmp_path / f"run.jsonl{ending}"
    runs = [lines(range(1, n), header(session=f"s{n}")) for n in (5, 4000, 8)]
    path.write_bytes(b"".join(PACKERS[ending](run) for run in runs))
    found = read_runs(path)
    assert [run.header.session for run in found] == ["s5", "s4000", "s8"]
    assert [sum(1 for _ in run.entries()) for run in found] == [4, 3999, 7]


def test_what_only_has_the_name_of_a_part_is_none(tmp_path: Path) -> None:
    path = split(tmp_path)
    (tmp_path / "run.2024.jsonl").write_bytes(lines(range(1, 4), header(session="other")))
    (tmp_path / "run.0001.jsonl.gz").write_bytes(gzip.compress(b"a copy that nobody needs\n"))
    path.write_bytes(lines(range(21, 31), header(3000, 20)))
    assert [part for part, _ in parts_of(path)] == [1, 2, 3000]
    (tmp_path / "run.0002.jsonl").write_text("notes of mine\n")
    assert [part for part, _ in parts_of(path)] == [1, 3000]


def test_a_second_name_of_the_file_itself_as_after_a_crash_is_no_part(tmp_path: Path) -> None:
    path = split(tmp_path)
    path.with_name("run.0003.jsonl").hardlink_to(path)
    assert [part for part, _ in parts_of(path)] == [1, 2, 3]
    assert seqs(path) == [*range(1, 31)]


def test_a_part_that_is_missing_in_the_middle_is_named(tmp_path: Path) -> None:
    path = split(tmp_path)
    (tmp_path / "run.0002.jsonl").unlink()
    (run,) = read_runs(path)
    entries = run.entries()
    assert [next(entries).seq for _ in range(10)] == [*range(1, 11)]
    with pytest.raises(RecordingError) as caught:
        next(entries)
    assert str(caught.value) == (
        f"{path} is part 3 of a recording: a run goes on in it after event 20; "
        "expected run.0002.jsonl beside it"
    )


def test_parts_that_are_missing_at_the_beginning_are_named(tmp_path: Path) -> None:
    path = split(tmp_path)
    (tmp_path / "run.0001.jsonl").unlink()
    with pytest.raises(RecordingError, match=r"2\.jsonl is part 2 .* expected run\.0001\.jsonl "):
        seqs(path)
    (tmp_path / "run.0002.jsonl").unlink()
    with pytest.raises(RecordingError, match=r"expected run\.0001\.jsonl to run\.0002\.jsonl "):
        seqs(path)


def test_a_run_of_which_a_part_is_missing_does_not_hide_the_next_one(tmp_path: Path) -> None:
    path = split(tmp_path)
    with path.open("ab") as file:
        file.write(lines(range(1, 6), header(3, session="new")))
    (tmp_path / "run.0001.jsonl").unlink()
    old, _ = read_runs(path)
    assert seqs(path) == [1, 2, 3, 4, 5]
    with pytest.raises(RecordingError, match="part 2"):
        list(old.lines())


def test_a_part_of_another_run_is_not_taken_for_the_missing_one(tmp_path: Path) -> None:
    path = split(tmp_path)
    (tmp_path / "run.0002.jsonl").write_bytes(lines(range(1, 6), header(2, session="other")))
    with pytest.raises(RecordingError, match="expected where it began beside it"):
        seqs(path)


def test_who_gives_one_part_is_told_the_name_of_the_whole(tmp_path: Path) -> None:
    part = split(tmp_path, ".zst").with_name("run.0002.jsonl.zst")
    with pytest.raises(RecordingError, match=r"after event 10; give .*recording, run\.jsonl$"):
        seqs(part)
    assert seqs(part.with_name("run.0001.jsonl.zst")) == [*range(1, 11)]


def test_a_part_that_ends_too_early_is_told(tmp_path: Path) -> None:
    path = split(tmp_path)
    first = tmp_path / "run.0001.jsonl"
    first.write_bytes(first.read_bytes()[:-5])
    with pytest.raises(RecordingError) as caught:
        seqs(path)
    assert str(caught.value) == (
        f"{tmp_path}/run.0002.jsonl:2: found seq 11 after 9, expected 10; "
        "the part before this one ends too early"
    )


@pytest.mark.parametrize("ending", PACKED)
def test_a_torn_compressed_file_is_read_up_to_the_damage_and_that_is_told(
    tmp_path: Path, warnings: list[str], ending: str
) -> None:
    path = tmp_path / f"run.jsonl{ending}"
    packed = PACKERS[ending](lines(range(1, 2001), header()))
    path.write_bytes(packed[: len(packed) * 2 // 3])
    found = seqs(path)
    assert found == [*range(1, len(found) + 1)]
    assert len(found) > 1000
    (words,) = warnings
    assert words == (
        f"{path} is damaged: it cannot be read from line {len(found) + 2} on "
        "(Compressed file ended before the end-of-stream marker was reached)"
    )


@pytest.mark.parametrize("ending", PACKED)
def test_all_that_stands_before_the_damage_is_read(
    tmp_path: Path, warnings: list[str], ending: str
) -> None:
    path = tmp_path / f"run.jsonl{ending}"
    path.write_bytes(PACKERS[ending](lines(range(1, 2001), header())) + b"something else")
    assert seqs(path) == [*range(1, 2001)]
    assert warnings[0].startswith(f"{path} is damaged: it cannot be read from line 2002 on")


@pytest.mark.parametrize(("ending", "place"), [(".gz", -6), (".zst", -2), (".gz", 2), (".zst", 1)])
def test_wrong_bytes_are_noticed(tmp_path: Path, ending: str, place: int) -> None:
    path = tmp_path / f"run.jsonl{ending}"
    packed = bytearray(PACKERS[ending](lines(range(1, 2001), header())))
    packed[place] ^= 1
    path.write_bytes(packed)
    with pytest.raises(DamagedFileError), open_file(path) as file:
        file.read()


def test_a_damaged_part_in_the_middle_is_told_and_is_no_missing_one(
    tmp_path: Path, warnings: list[str]
) -> None:
    path = split(tmp_path, ".zst")
    second = tmp_path / "run.0002.jsonl.zst"
    second.write_bytes(second.read_bytes()[:100])
    with pytest.raises(RecordingError, match="found seq 21 after 10, expected 11; the part before"):
        seqs(path)
    assert warnings[0].startswith(f"{second} is damaged: it cannot be read from line 1 on")


@pytest.mark.parametrize("ending", ["", *PACKED])
def test_an_endless_line_is_refused_however_small_the_file_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    monkeypatch.setattr(recording_lines, "LONGEST_LINE", 100_000)
    path = tmp_path / f"run.jsonl{ending}"
    path.write_bytes(PACKERS[ending](lines(range(1, 3), header()) + b"x" * 5_000_000))
    with pytest.raises(RecordingError, match=r":4: found a line without an end in 100,000 bytes"):
        read_runs(path)
    path.write_bytes(PACKERS[ending](lines(range(1, 3), header()) + b"x" * 99_999 + b"\n"))
    assert len(list(read_lines(path))) == 4


def test_an_offset_in_a_compressed_file_is_one_in_what_it_unpacks_to(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl.gz"
    path.write_bytes(gzip.compress(lines(range(1, 6000), header())))
    places = list(read_lines(path))
    number, offset, line = places[5500]
    assert next(read_lines(path, number, offset)) == (number, offset, line)
    assert list(read_lines(path, 1, 10**9)) == []

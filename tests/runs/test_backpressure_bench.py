"""The measurement of back-pressure, in small: what it counts, and that it would see a loss."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench import backpressure_run
from bench.backpressure import main, rows, table
from bench.backpressure_run import Measured, NotMeasuredError, Sample, Sent, Through, measure

ROOT = Path(__file__).parents[2]
MIB = 2**20


def logged(*numbers: int) -> bytes:
    return b"".join(b"%s\n" % line for n in numbers for line in (frame(n), log(n)))


def frame(n: int) -> bytes:
    return b'{"seq":%d,"kind":"frame_received","data":"{\\"data\\":\\"event %d of\\"}"}' % (
        2 * n,
        n,
    )


def log(n: int) -> bytes:
    return b'{"seq":%d,"kind":"server_logged","level":"info","text":"event %d of"}' % (2 * n + 1, n)


def test_what_is_through_is_counted_by_whole_lines_as_the_file_grows(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    through = Through(path)
    assert through.look() == 0
    data = logged(1, 2, 3)
    path.write_bytes(data[:-10])
    assert through.look() == 2
    path.write_bytes(data)
    assert (through.look(), through.count) == (3, 3)


@pytest.mark.parametrize(
    ("numbers", "words"),
    [((1, 3), "event 3 after event 1"), ((1, 1), "event 1 after event 1"), ((2,), "event 2 after")],
)
def test_an_event_that_is_lost_doubled_or_astray_is_seen(
    numbers: tuple[int, ...], words: str, tmp_path: Path
) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(logged(*numbers))
    with pytest.raises(NotMeasuredError, match=words):
        Through(path).look()


def a_run() -> Measured:
    samples = [Sample(float(at), (50 + min(at, 1)) * MIB, MIB, 10 * at) for at in range(11)]
    sent = [Sent(float(at), min(100, 25 * at), 2500 * at, at, at / 2) for at in range(1, 11)]
    return Measured(100, 8, samples, sent, batches=[100, 300, 200])


def test_the_table_says_how_memory_grew_and_what_the_server_waited() -> None:
    told = rows(a_run())
    assert told["memory of the client at 1 %, 10 %, 50 %, 100 % of the events"] == (
        "51.0 MiB, 51.0 MiB, 51.0 MiB, 51.0 MiB"
    )
    assert told["its growth after 1 %, at most"] == "0.0 MiB"
    assert told["seconds that the server could not send"] == "5 of 4"
    assert told["lines in a batch, the median"] == "67"
    assert told["taken by its socket, and not yet through the sink, at most"].startswith("60 ")
    assert "| batches, each taking 1 s | 3 |" in table(a_run())


@pytest.mark.parametrize(
    ("words", "is_lost", "written"),
    [([], False, True), (["--no-docs"], False, False), ([], True, False)],
)
def test_the_page_is_written_when_all_came_through(
    words: list[str],
    is_lost: bool,
    written: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def measured(events: int, high: int, _folder: Path) -> Measured:
        assert (events, high) == (100, 8192)
        if is_lost:
            raise NotMeasuredError("found event 3 after event 1")
        return a_run()

    done: list[str] = []

    def draw(_: Measured, path: Path) -> None:
        done.append(path.name)

    def write(name: str, _: str) -> None:
        done.append(name)

    monkeypatch.setattr("bench.backpressure.require_matplotlib", lambda: None)
    monkeypatch.setattr("bench.backpressure.measure", measured)
    monkeypatch.setattr("bench.backpressure.write_block", write)
    monkeypatch.setitem(sys.modules, "bench.backpressure_plot", SimpleNamespace(draw=draw))
    monkeypatch.setattr("sys.argv", ["backpressure", "--events", "100", *words])
    assert main() == int(is_lost)
    told = capsys.readouterr()
    assert told.err == ("found event 3 after event 1\n" if is_lost else "")
    assert ("batches, each taking 1 s" in told.out) != is_lost
    assert done == (["backpressure.png", "bench.backpressure"] if written else [])


async def test_a_client_that_does_not_start_is_told_with_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backpressure_run, "_slow_disk", lambda *_: ())  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    (tmp_path / "writes.txt").touch()
    (tmp_path / "run.jsonl").mkdir()
    with pytest.raises(NotMeasuredError, match="the client ended with 2, 0 of 10 events"):
        await measure(10, 8, tmp_path)


def test_without_what_draws_it_says_so_before_it_measures(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def measured(*_: object) -> None:
        raise AssertionError("it measured what nobody can draw")

    def missing(_name: str) -> None:
        return None

    monkeypatch.setattr("importlib.util.find_spec", missing)
    monkeypatch.setattr("bench.backpressure.measure", measured)
    monkeypatch.setattr("sys.argv", ["backpressure"])
    assert main() == 1
    assert "found no matplotlib" in capsys.readouterr().err


def test_without_strace_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(NotMeasuredError, match="found no strace"):
        backpressure_run.require_strace()


@pytest.mark.skipif(
    shutil.which("strace") is None or sys.platform != "linux", reason="needs strace, on Linux"
)
async def test_a_small_run_comes_through_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backpressure_run, "SLOWNESS", 0.05)
    measured = await measure(1500, 128, tmp_path)
    assert measured.samples[-1].through == measured.sent[-1].sent == 1500
    assert len(measured.batches) >= 2 * 1500 // (128 + 512)
    assert all(each.client > 0 and each.server > 0 for each in measured.samples[:1])


DRAW = """
import sys
from pathlib import Path
from bench.backpressure_plot import draw
from tests.runs.test_backpressure_bench import a_run
draw(a_run(), Path(sys.argv[1]))
"""


def test_the_picture_is_a_png(tmp_path: Path) -> None:
    """In a process of its own: matplotlib keeps its fonts open."""
    if importlib.util.find_spec("matplotlib") is None:
        pytest.skip("needs the extra `bench`")
    picture = tmp_path / "it.png"
    subprocess.run((sys.executable, "-c", DRAW, str(picture)), cwd=ROOT, check=True, timeout=60)
    assert picture.read_bytes().startswith(b"\x89PNG")

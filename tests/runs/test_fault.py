"""`replay FILE --fault KIND@N`: on the command line, with sinks, and what it gives back."""

from pathlib import Path

import pytest

from pipeline.replay import ReplayOptions, replay
from pipeline.shell.recordings import last_run
from tests.support.program import run

SEED = Path(__file__).parents[1] / "recordings" / "seed.jsonl"
KINDS = ("drop", "delay:70", "500", "404", "duplicate", "silence")


async def test_answers_go_to_standard_output_and_the_report_to_standard_error(
    tmp_path: Path,
) -> None:
    done = await run("replay", str(SEED), "--fault", "500@30", cwd=tmp_path)
    assert done.code == 0
    first, *_ = done.out.split("\n")
    assert first.startswith("error: The outcome is unknown: the server answered HTTP 500.")
    assert "\nbent: 500@30: event 29 in the place of 30, post_answered " in done.words
    assert "\ncalls: 1 unknown, 2 answered, 1 answered with an error\n" in done.words
    assert "\n  c1 add: unknown (recorded: answered): the server answered HTTP 500\n" in done.words


@pytest.mark.parametrize("kind", KINDS)
async def test_a_recording_of_a_bent_run_replays_to_the_letter(tmp_path: Path, kind: str) -> None:
    fault, path = f"{kind}@30", tmp_path / "bent.jsonl"
    done = await run(
        "replay", str(SEED), "--fault", fault, "--sink", f"jsonl={path}", "-q", cwd=tmp_path
    )
    assert done.code == 0, done.err
    bent = last_run(path)
    assert bent.header.settings["fault"] == [fault]
    assert bent.header.session != last_run(SEED).header.session
    replayed = await replay(bent, [], ReplayOptions(check=True))
    assert replayed.difference is None, str(replayed.difference)
    assert replayed.ended is not None


async def test_the_exit_status_is_that_of_the_bent_run(tmp_path: Path) -> None:
    done = await run(
        "replay", str(SEED), "--fault", "silence@4", "--output-format", "json", cwd=tmp_path
    )
    assert done.code == 4
    assert "ended: exit status 4, no server could be used" in done.words


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--fault", "drop@30", "--check"), "found --fault and --check, expected one of them"),
        (("--fault", "drop@30", "--until", "5"), "found --fault and --until, expected one of them"),
        (("--fault", "drop@80"), "--fault drop@80: found nothing to bend from event 80 on"),
        (("--fault", "sing@3"), "--fault: found 'sing@3', expected drop@N, delay:SECONDS@N"),
        (("--fault", "drop@3", "--fault", "drop@3"), "the same fault was given twice"),
    ],
)
async def test_what_cannot_be_is_refused_in_words(
    tmp_path: Path, words: tuple[str, ...], reason: str
) -> None:
    done = await run("replay", str(SEED), *words, cwd=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert reason in done.words


async def test_several_faults_come_about_in_one_run(tmp_path: Path) -> None:
    words = ("--fault", "drop@30", "--fault", "duplicate@62")
    done = await run("replay", str(SEED), *words, cwd=tmp_path)
    assert done.words.count("\nbent: ") == 2
    assert "an answer for unknown id 'call:c4'" in done.words

"""`lint` holds a clean recording against the manifest beside it."""

from pathlib import Path

import pytest

from pipeline.core.events import ModelSpoke, PromptSubmitted, RunEnded
from pipeline.core.redaction import Taken, Why
from pipeline.looks import manifest
from pipeline.looks.lint import lint
from pipeline.looks.manifest import At, Tally, manifest_path
from pipeline.looks.redact import redact
from tests.support.sample_session import Script, lines

KEY = "sk-ant-" + "api03-Vx8mT2qLw9"
NAME = "[redacted:anthropic-key:1]"
SCRIPT: Script = [
    (0.0, [PromptSubmitted(text=f"use {KEY}")]),
    (1.0, [ModelSpoke(call="model:1", text=text) for text in (KEY[:9], KEY[9:])]),
    (2.0, [RunEnded(code=0)]),
]


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    """A recording that was redacted, its manifest beside it."""
    path, target = tmp_path / "run.jsonl", tmp_path / "clean.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines(SCRIPT)))
    redact(path, target, known={}, at="2026-11-24T06:28:23.000001Z", version="0")
    return target


def claims(path: Path) -> list[str]:
    prefix = f"{path}:"
    return [str(each).removeprefix(prefix) for each in lint(path) if each.rule == "manifest"]


def test_a_clean_recording_is_what_its_manifest_says(clean: Path) -> None:
    assert lint(clean) == []


def test_a_recording_without_a_manifest_is_held_against_none(clean: Path) -> None:
    manifest_path(clean).unlink()
    clean.write_bytes(clean.read_bytes().replace(NAME.encode(), b"x"))
    assert claims(clean) == []


def test_each_place_that_lost_its_placeholder_is_told(clean: Path) -> None:
    clean.write_bytes(clean.read_bytes().replace(f"use {NAME}".encode(), b"use it"))
    changed, missing = claims(clean)
    assert changed.startswith(
        "1: manifest: the file was changed after it was redacted: its SHA-256"
    )
    assert missing == f"2: manifest: found no {NAME} at .text, where the manifest has it"


def test_lines_that_are_gone_are_told(clean: Path) -> None:
    clean.write_bytes(b"".join(clean.read_bytes().splitlines(keepends=True)[:1]))
    assert [each.partition(":")[0] for each in claims(clean)] == ["1", "2", "3"]


def test_a_change_elsewhere_is_told_too(clean: Path) -> None:
    clean.write_bytes(clean.read_bytes().replace(b'"code":0', b'"code":1'))
    (changed,) = claims(clean)
    assert "its SHA-256 is" in changed


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{}", "clean.jsonl.redactions.json is no manifest: Object missing required field"),
        ("nonsense", "clean.jsonl.redactions.json is no manifest: JSON is malformed"),
        (None, "clean.jsonl.redactions.json has format 99, this version reads 1"),
    ],
)
def test_a_file_that_is_no_manifest_is_told(clean: Path, text: str | None, words: str) -> None:
    path = manifest_path(clean)
    path.write_text(
        path.read_text().replace('"format": 1', '"format": 99') if text is None else text
    )
    (found,) = claims(clean)
    assert found.startswith(f"1: manifest: {words}")


def test_a_manifest_that_cannot_be_read_is_told(clean: Path) -> None:
    manifest_path(clean).unlink()
    manifest_path(clean).mkdir()
    (found,) = claims(clean)
    assert found == "1: manifest: clean.jsonl.redactions.json cannot be read: Is a directory"


def test_of_very_many_places_the_first_are_told_and_all_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(manifest, "_MOST_PLACES", 2)
    tally = Tally()
    for line in range(1, 5):
        tally.add(NAME, At(line=line, path=".text", is_rest=line == 4))
    (found,) = tally.redactions([Taken(NAME, Why("anthropic-key", "anthropic-key"), 23, False)])
    assert (found.count, [at.line for at in found.places]) == (3, [1, 2])

"""Which programs a project's file may start: what was allowed once, and nothing else."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from config.mcp_entry import McpEntry
from pipeline.shell import consents_file
from pipeline.shell.consents_file import ConsentsError, ConsentsFile

ENTRY = McpEntry(
    "fs", command="npx", args=("-y", "fs"), env={"TOKEN": "canary-1"}, source=".mcp.json"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "programs.json"


@pytest.fixture
def file(path: Path, tmp_path: Path) -> ConsentsFile:
    return ConsentsFile(path, tmp_path)


def test_what_was_allowed_is_not_missing_in_a_later_run(
    file: ConsentsFile, path: Path, tmp_path: Path
) -> None:
    assert file.missing([ENTRY]) == [ENTRY]
    file.add([ENTRY])
    assert ConsentsFile(path, tmp_path).missing([ENTRY]) == []


@pytest.mark.parametrize(
    "change",
    [
        {"command": "node"},
        {"args": ("-y", "evil")},
        {"args": ("-y fs",)},
        {"env": {"TOKEN": "canary-1", "NODE_OPTIONS": "--require=./evil.js"}},
        {"env": {"TOKEN": "canary-2"}},
        {"cwd": "/elsewhere"},
    ],
    ids=str,
)
def test_another_command_is_asked_about_under_the_same_name(
    change: Any, file: ConsentsFile
) -> None:
    file.add([ENTRY])
    other = replace(ENTRY, **change)
    assert file.missing([ENTRY, other]) == [other]


def test_another_name_for_the_same_command_is_nothing_new(file: ConsentsFile) -> None:
    file.add([ENTRY])
    assert file.missing([replace(ENTRY, name="files")]) == []


def test_the_same_command_in_another_project_is_asked_about(
    file: ConsentsFile, path: Path, tmp_path: Path
) -> None:
    file.add([ENTRY])
    assert ConsentsFile(path, tmp_path / "other").missing([ENTRY]) == [ENTRY]


def test_no_secret_is_in_it(file: ConsentsFile, path: Path, tmp_path: Path) -> None:
    file.add([replace(ENTRY, args=("--key", "canary-3"))])
    text = path.read_text("utf-8")
    assert "canary" not in text
    assert '"program": "npx"' in text
    assert str(tmp_path / ".mcp.json") in text


def test_the_oldest_go_first(file: ConsentsFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consents_file, "_MOST", 2)
    entries = [replace(ENTRY, command=name) for name in "abc"]
    for entry in entries:
        file.add([entry])
    assert file.missing(entries) == entries[:1]
    file.add([entries[1]])
    file.add([entries[0]])
    assert file.missing(entries) == [entries[2]], "what was allowed again counts as new"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "it is not what rxmcp writes"),
        (b'{"allowed":[{"file":1}]}', r"allowed\[\.\.\.\]|Expected `str`"),
        (b'{"format":2}', "found format 2, expected 1"),
    ],
)
def test_a_file_that_is_not_ours_is_told_and_kept(
    content: bytes, words: str, file: ConsentsFile, path: Path
) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ConsentsError, match=words):
        file.missing([ENTRY])
    with pytest.raises(ConsentsError, match=words):
        file.add([ENTRY])
    assert path.read_bytes() == content


def test_arguments_that_are_no_utf8_have_a_digest_too(file: ConsentsFile) -> None:
    entry = replace(ENTRY, args=("\udcff",))
    file.add([entry])
    assert file.missing([entry]) == []

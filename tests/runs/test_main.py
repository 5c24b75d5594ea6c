"""The composition root, as far as it needs no run: help, version, wrong words."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from loguru import logger

import main
from tests.support.program import MAIN, running


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In a folder without a `.env`, started as from a checkout; no log is left to a gone stream."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["main.py"])
    yield
    logger.remove()


@pytest.mark.parametrize("words", [["--help"], ["call", "--help"], ["--version"]])
def test_help_and_version_go_to_standard_output(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(words, {}) == 0
    shown = capsys.readouterr()
    assert shown.out.strip()
    assert shown.err == ""


@pytest.mark.parametrize(
    ("path", "name"), [("main.py", "python main.py"), ("/usr/bin/rxmcp", "rxmcp")]
)
def test_a_wrong_word_is_told_under_the_name_that_was_typed(
    path: str, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [path])
    assert main.main(["--frobnicate"], {}) == 2
    assert capsys.readouterr().err.startswith(f"{name}: unknown option '--frobnicate'")


def test_the_command_exits_with_the_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["rxmcp", "--frobnicate"])
    with pytest.raises(SystemExit) as left:
        main.run()
    assert left.value.code == 2


def test_ctrl_c_before_there_is_a_run_is_an_exit_status_without_a_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(main, "main", interrupted)
    with pytest.raises((SystemExit, KeyboardInterrupt)) as left:
        main.run()
    assert repr(left.value) == "SystemExit(130)"
    assert capsys.readouterr().err == ""


async def test_little_is_loaded_before_ctrl_c_is_taken_care_of(tmp_path: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(MAIN.parent)!r}); import main;"
        "print(*{'pydantic', 'msgspec', 'aiohttp'} & set(sys.modules), file=sys.stderr)"
    )
    async with running(cwd=tmp_path, command=(sys.executable, "-c", code)) as program:
        program.end_input()
        ended = await program.ended()
    assert (ended.code, ended.err.strip()) == (0, "")


def test_a_bug_of_ours_is_told_in_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def broken(_settings: object) -> int:
        raise KeyError("oh")

    monkeypatch.setattr(main, "_client", broken)
    assert main.main(["-p", "hi"], {}) == 1
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n")) == ("", 1)
    assert "a fault of rxmcp itself: KeyError('oh')" in shown.err
    assert main.main(["--json"], {}) == 1
    assert json.loads(capsys.readouterr().err)["error"]["code"] == 1


def test_words_for_a_reader_who_has_gone_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    with os.fdopen(theirs, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        assert main.main(["--frobnicate"], {}) == 2
    monkeypatch.setattr(sys, "stderr", None)
    assert main.main(["--frobnicate"], {}) == 2


async def test_help_does_not_pay_for_a_run(tmp_path: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(MAIN.parent)!r}); import main;"
        "main.main(['--help'], {});"
        "print(*{'aiohttp', 'anthropic', 'reactivex', 'loguru', 'server'} & set(sys.modules),"
        " file=sys.stderr)"
    )
    async with running(cwd=tmp_path, command=(sys.executable, "-c", code)) as program:
        program.end_input()
        ended = await program.ended()
    assert (ended.code, ended.err.strip()) == (0, "")


async def test_tools_and_calls_do_not_pay_for_a_model(tmp_path: Path) -> None:
    """The SDK of Claude takes more than a second to import."""
    code = (
        f"import os, sys; sys.path.insert(0, {str(MAIN.parent)!r}); import main;"
        "main.main(['call', 'add', 'a=2', 'b=3'], os.environ);"
        "assert 'anthropic' not in sys.modules"
    )
    env = {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": "http://127.0.0.1:9"}
    async with running(cwd=tmp_path, env=env, command=(sys.executable, "-c", code)) as program:
        program.end_input()
        ended = await program.ended()
    assert (ended.code, ended.out) == (0, "5\n")

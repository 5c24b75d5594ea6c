"""How the program says that it failed, to people and to programs."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.core.events import RunEnded
from pipeline.failures import tell_end, tell_failure, tell_line, tell_untold
from tests.support.in_process import settings_of

TEXT = settings_of()
JSON = settings_of("--output-format", "json")


def test_people_get_words_and_programs_a_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert tell_failure(TEXT, 2, "no such file") == 2
    assert capsys.readouterr() == ("", "! no such file\n")
    assert tell_failure(JSON, 2, "no such file") == 2
    shown = capsys.readouterr()
    assert (shown.out, json.loads(shown.err)) == (
        "",
        {"error": {"code": 2, "message": "no such file"}},
    )


def test_the_end_of_a_run_is_told_to_programs_alone(capsys: pytest.CaptureFixture[str]) -> None:
    ended = RunEnded(code=4, reason="no server")
    assert (tell_end(TEXT, ended), tell_end(JSON, RunEnded(code=0))) == (4, 0)
    assert capsys.readouterr() == ("", "")
    assert tell_end(JSON, ended) == 4
    assert json.loads(capsys.readouterr().err)["error"] == {"code": 4, "message": "no server"}


def test_sinks_that_failed_unheard_are_told_line_by_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    client: Any = SimpleNamespace(untold=["jsonl=a: the disk is full", "console: it is gone"])
    tell_untold(client)
    tell_line("= serving")
    assert capsys.readouterr().err == (
        "! jsonl=a: the disk is full\n! console: it is gone\n= serving\n"
    )

"""The queries of docs/recordings.md answer what the page says, wherever their tool is installed."""

import importlib
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.looks import lint, lint_run
from tests.support.sample_session import write

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "recordings.md").read_text("utf-8")
_QUERY = re.compile(r"<!-- query: (\w+) -->\n```\w+\n(.*?)```\n\n```text\n(.*?)```", re.DOTALL)
QUERIES = [pytest.param(*found.groups(), id=found[1]) for found in _QUERY.finditer(PAGE)]


def ran(folder: Path, *command: str) -> str:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def answer(tool: str, query: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    match tool:
        case "jq":
            if shutil.which("jq") is None:
                pytest.skip("jq is not installed")
            return ran(folder, "sh", "-c", query)
        case "duckdb":
            duckdb: Any = pytest.importorskip("duckdb", reason="duckdb is not installed")
            monkeypatch.chdir(folder)
            rows = duckdb.sql(query).fetchall()
            return "".join("\t".join(map(str, row)) + "\n" for row in rows)
        case _:
            if tool == "pandas":
                pytest.importorskip("pandas", reason="pandas is not installed")
            return ran(folder, sys.executable, "-c", query)


@pytest.mark.parametrize(("tool", "query", "expected"), QUERIES)
def test_a_query_answers_what_the_page_says(
    tool: str, query: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "run.jsonl")
    assert answer(tool, query, tmp_path, monkeypatch) == expected


def test_every_tool_has_a_query() -> None:
    assert {each.id for each in QUERIES} == {"jq", "duckdb", "pandas", "python"}


def test_every_rule_of_lint_is_in_the_table() -> None:
    modules = (importlib.import_module(name) for name in (lint.__name__, lint_run.__name__))
    source = "".join(Path(module.__file__ or "").read_text("utf-8") for module in modules)
    rules = set(re.findall(r'(?:_finding\(|Finding\()[^"]*?"([a-z-]+)"', source))
    assert len(rules) == 14
    table = PAGE.partition("| Rule |")[2].partition("\n\n")[0]
    told = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    assert rules == set(re.findall(r"`([a-z-]+)`", " ".join(told)))

"""docs/reliability.md names tests and defaults that exist, and has a row for each measured case."""

import re
from pathlib import Path

import pytest

from bench.faults import BEGIN, CASES, END
from config.help import help_text
from config.settings import Settings
from config.variables import VARIABLES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text("utf-8")
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)))
DEADLINES = re.findall(r"^\|[^|]+\| `(--[a-z-]+|RXMCP_[A-Z_]+)` \| (\d+) \|$", PAGE, re.MULTILINE)


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_each_test_that_the_page_names_is_there(path: str, name: str) -> None:
    source = (ROOT / "tests" / path).read_text("utf-8")
    assert re.search(rf"^(async )?def {name}\(", source, re.MULTILINE)


def test_each_promise_names_a_test() -> None:
    rows = re.findall(r"^\| ([TRW]\d(?:, W\d)*) \|.*$", PAGE, re.MULTILINE)
    letters = [each for row in rows for each in row.split(", ")]
    promised = (*(f"T{n}" for n in range(1, 5)), *(f"R{n}" for n in range(1, 8)))
    assert sorted(letters) == sorted((*promised, *(f"W{n}" for n in range(1, 8))))
    lines = [line for line in PAGE.splitlines() if re.match(r"\| [TRW]\d", line)]
    assert all("::test_" in line for line in lines)


@pytest.mark.parametrize(("setting", "default"), DEADLINES)
def test_each_deadline_has_the_default_that_the_page_says(setting: str, default: str) -> None:
    field = setting.removeprefix("RXMCP_").removeprefix("--").replace("-", "_").lower()
    assert Settings.model_fields[field].default == float(default)
    is_flag = setting.startswith("--")
    assert f" {setting} " in help_text("rxmcp") if is_flag else setting in VARIABLES.values()


def test_the_page_has_all_deadlines_that_are_settings() -> None:
    told = {
        setting.removeprefix("RXMCP_").removeprefix("--").replace("-", "_").lower()
        for setting, _ in DEADLINES
    }
    ends = ("_timeout", "_timeout_max", "silence", "_first_token", "retry_total", "_drain")
    settable = {name for name in Settings.model_fields if name.endswith(ends)}
    assert settable - told == {"oauth_timeout", "webhook_timeout"}


def test_the_table_has_a_row_for_each_case() -> None:
    table = PAGE.partition(BEGIN)[2].partition(END)[0]
    for case in CASES:
        assert f"| {case.words} |" in table, "run `python -m bench.faults`"

"""docs/reliability.md names tests and defaults that exist, and has a row for each measured case."""

import re
from pathlib import Path

import pytest

from bench.faults import BLOCK
from bench.faults_cases import CASES
from config.help import help_text
from config.settings import Settings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text("utf-8")
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)))
DEADLINES = re.findall(r"^\|[^|]+\| `(--[a-z-]+)` \| (\d+) \|$", PAGE, re.MULTILINE)

LETTERS = {"C": 37, "D": 12, "S": 12, "K": 7}
"""The rows that the page must have, C1 to C37 and so on; what is new has the next number."""
SHORT_LIST = {
    "no endpoint comes, only signs of life": "C24",
    "a POST that is answered 500, 404, 413, HTML, or dropped": "C27",
    "accepted, never answered, signs of life": "C33",
    "all goes silent, the socket stays open": "C3",
    "killed in mid call, restarted with new sessions": "C1 C13",
    "a stream that ends with `retry:` and `id:`": "C18",
    "404 on a session": "C12",
    "401, 403 in mid session": "C11",
    "429, 503 with Retry-After": "C10",
    "204, wrong content type, redirect to another origin": "C15 C16",
    "an endpoint on another origin": "C17",
    "an answer for an unknown id, twice, out of order": "D1 D2 D3",
    "bad JSON, bad UTF-8, single bytes, BOM, mixed ends of lines": "C7 D4 D8",
    "an endless line, an endless event, a huge result, a gzip bomb": "D5 D6 D7",
    "accepts and closes at once, for ever": "C26",
    "a slow sink; a webhook that is dead, or answers 429, 500, 410, a redirect": "D10 S6 S7",
    "a full disk while it records": "S1",
    "kill -9 at any byte of a write": "S3 K3",
    "Ctrl-C once, twice; SIGTERM; a closed standard output": "K1 K2 S10",
    "the model: 429, 529, 500, a refused key, a cut stream, an endless loop": "K5 K6",
    "clock jumps, DNS, TLS": "C23 C8 C9",
    "escape sequences": "D9",
    "a tool whose description changes": "D12",
    "secrets": "S12",
}
"""What people are bitten by most, and the rows that promise something about it."""
ROWS = re.findall(r"^\| ([CDSK]\d+(?:, [CDSK]\d+)*) \| (.*) \|$", PAGE, re.MULTILINE)


def test_no_row_of_the_fault_tables_is_missing_or_without_a_test() -> None:
    there = {id_ for ids, _ in ROWS for id_ in ids.split(", ")}
    wanted = {f"{letter}{n}" for letter, last in LETTERS.items() for n in range(1, last + 1)}
    assert wanted - there == set()
    assert [ids for ids, row in ROWS if "::test_" not in row] == []


def test_each_row_of_the_fault_tables_is_in_the_table_of_its_letter_and_in_order() -> None:
    first = [ids.split(", ")[0] for ids, _ in ROWS]
    assert first == sorted(first, key=lambda id_: ("CDSK".index(id_[0]), int(id_[1:])))


def test_each_fault_of_the_short_list_has_its_rows() -> None:
    there = {id_ for ids, _ in ROWS for id_ in ids.split(", ")}
    missing = {what for what, ids in SHORT_LIST.items() if not there.issuperset(ids.split())}
    assert missing == set()


def test_no_row_of_a_table_is_without_its_number() -> None:
    """Rows below a head with an empty first cell have a number there."""
    tables = re.findall(r"^\| \| What happens .*\n\| --- .*\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    lines = [line for table in tables for line in table.splitlines()]
    bare = [line for line in lines if not re.match(r"\| [CDSK]\d", line)]
    assert bare == [], "give it the next number of its table's letter, and put it at its end"


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
    field = setting.removeprefix("--").replace("-", "_").lower()
    assert Settings.model_fields[field].default == float(default)
    assert f" {setting} " in help_text("rxmcp", has_details=True)


def test_the_page_has_all_deadlines_that_are_settings() -> None:
    told = {setting.removeprefix("--").replace("-", "_").lower() for setting, _ in DEADLINES}
    ends = ("_timeout", "_timeout_max", "silence", "_first_token", "retry_total", "_drain")
    settable = {name for name in Settings.model_fields if name.endswith(ends)}
    assert settable - told == {"oauth_timeout", "webhook_timeout"}


def test_the_table_has_a_row_for_each_case() -> None:
    table = PAGE.partition(f"<!-- {BLOCK}: begin -->")[2].partition(f"<!-- {BLOCK}: end -->")[0]
    for case in CASES:
        assert f"| {case.words} |" in table, "run `python -m bench.faults`"

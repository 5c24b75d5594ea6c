"""docs/security.md names tests that exist, and no row of it is without one."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text("utf-8")
NAMED = sorted(set(re.findall(r"`([a-z_/]+\.py)::(test_[a-z0-9_]+)`", PAGE)))
ROWS = re.findall(r"^\| (?!Attack|---)(.+?) \| (.+?) \| (.+?) \|$", PAGE, re.MULTILINE)


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_each_test_that_the_page_names_is_there(path: str, name: str) -> None:
    source = (ROOT / "tests" / path).read_text("utf-8")
    assert re.search(rf"^(async )?def {name}\(", source, re.MULTILINE)


def test_each_attack_has_its_test() -> None:
    attacks = [row for row in ROWS if row[0].startswith(("orders", "a ", "an ")) or "::" in row[2]]
    assert len(attacks) > 20
    tables = PAGE.partition("## What servers try with words")[2].splitlines()
    rows = [
        line for line in tables if line.startswith("| ") and not line.startswith(("| At", "| -"))
    ]
    assert [row for row in rows if "::test_" not in row] == []

"""The list of mechanisms that `bench.broken` breaks is up to date."""

from pathlib import Path

import pytest

from bench.broken import broken, main, table
from bench.broken_list import MECHANISMS, Mechanism
from bench.page import write_block

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("mechanism", MECHANISMS, ids=lambda each: each.promise)
def test_each_mechanism_stands_where_the_list_says_and_can_be_broken(mechanism: Mechanism) -> None:
    source = (ROOT / mechanism.path).read_text("utf-8")
    compile(broken(mechanism, source), mechanism.path, "exec")


@pytest.mark.parametrize("mechanism", MECHANISMS, ids=lambda each: each.promise)
def test_the_tests_that_are_to_notice_are_there(mechanism: Mechanism) -> None:
    assert mechanism.tests
    for test in mechanism.tests:
        assert (ROOT / "tests" / test).is_file()


def test_a_place_that_is_not_there_once_is_told() -> None:
    mechanism = Mechanism("p", "a.py", "one", "two", ("b.py",))
    assert broken(mechanism, "one, please") == "two, please"
    with pytest.raises(ValueError, match=r"a\.py: found 'one' 2 times, expected it once"):
        broken(mechanism, "one and one")


def test_a_word_that_no_promise_has_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nonesuch"]) == 1
    assert capsys.readouterr().err == "found no promise with nonesuch\n"


def test_the_page_has_a_row_for_each_mechanism() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text("utf-8")
    assert [each.promise for each in MECHANISMS if f"| {each.promise} |" not in page] == []


def test_a_block_of_the_page_is_replaced_and_the_rest_stays(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- x: begin -->\nold\n<!-- x: end -->\nafter\n")
    write_block("x", table([], []), page)
    assert page.read_text().splitlines()[2:4] == table([], []).splitlines()
    assert page.read_text().startswith("before\n<!-- x: begin -->\n")
    assert page.read_text().endswith("\n<!-- x: end -->\nafter\n")
    with pytest.raises(ValueError, match="found no block 'y'"):
        write_block("y", "", page)

"""Words of the command line to values by name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.flags import Flag, Scanned, UsageError, is_text, scan, shown

FLAGS = {
    "model": Flag("", "NAME", "--model", "-m"),
    "sinks": Flag("", "SINK", "--sink", is_repeatable=True),
    "quiet": Flag("", name="--quiet", short="-q"),
    "verbose": Flag("", name="--verbose", short="-v"),
}


@pytest.mark.parametrize(
    ("argv", "values", "words"),
    [
        ([], {}, []),
        (["--model", "x"], {"model": "x"}, []),
        (["--model=x"], {"model": "x"}, []),
        (["--model="], {"model": ""}, []),
        (["--model=a=b"], {"model": "a=b"}, []),
        (["-m", "x"], {"model": "x"}, []),
        (["-mx"], {"model": "x"}, []),
        (["-m=x"], {"model": "=x"}, []),
        (["--model", "a", "--model", "b"], {"model": "b"}, []),
        (["--sink", "a", "--sink=b"], {"sinks": ("a", "b")}, []),
        (["-qv"], {"quiet": True, "verbose": True}, []),
        (["-qmx"], {"quiet": True, "model": "x"}, []),
        (["a", "--quiet", "b"], {"quiet": True}, ["a", "b"]),
        (["--model", "-x"], {"model": "-x"}, []),
        (["--model", "- a list"], {"model": "- a list"}, []),
        (["--model", "-"], {"model": "-"}, []),
        (["-"], {}, ["-"]),
        (["a", "--", "--quiet", "--"], {}, ["a", "--quiet", "--"]),
        (["--model=--", "a"], {"model": "--"}, ["a"]),
    ],
)
def test_words_are_read_as_getopt_reads_them(
    argv: list[str], values: dict[str, object], words: list[str]
) -> None:
    scanned = scan(argv, FLAGS)
    assert (scanned.values, scanned.words) == (values, words)


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["--modle", "x"], "unknown option '--modle'; did you mean '--model'?"),
        (["--mod", "x"], "unknown option '--mod'; did you mean '--model'?"),
        (["--zzzz"], "unknown option '--zzzz'; --help-all shows them all"),
        (["--zzzz=secret"], "unknown option '--zzzz'; --help-all shows them all"),
        (["-qx"], "unknown option '-x'; --help-all shows them all"),
        (["--sink"], "option '--sink' needs a value, found the end of the line"),
        (
            ["--model", "--quiet"],
            "option '--model' needs a value, found the option '--quiet'; "
            "if that is the value, join them: '--model=--quiet'",
        ),
        (
            ["-m", "-q"],
            "option '-m' needs a value, found the option '-q'; "
            "if that is the value, join them: '-m-q'",
        ),
        (
            ["--model", "--"],
            "option '--model' needs a value, found the option '--'; "
            "if that is the value, join them: '--model=--'",
        ),
        (["--quiet=1"], "option '--quiet' takes no value, found '1'"),
        (["a\udcff"], r"found 'a\udcff', which holds bytes that are no UTF-8 text"),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line(argv: list[str], text: str) -> None:
    with pytest.raises(UsageError) as caught:
        scan(argv, FLAGS)
    assert str(caught.value) == text


def test_the_spelling_that_was_used_is_kept_for_errors() -> None:
    assert scan(["-m", "x", "--sink", "y"], FLAGS).spelled == {"model": "-m", "sinks": "--sink"}


@given(st.lists(st.text(max_size=8), max_size=6))
def test_any_words_give_values_or_a_usage_error(argv: list[str]) -> None:
    try:
        told = scan(argv, FLAGS)
    except UsageError as exc:
        told = str(exc)
    assert isinstance(told, Scanned) or "\n" not in told


@given(st.lists(st.text(alphabet=st.characters(codec="utf-8"), max_size=8), max_size=6))
def test_all_words_behind_two_dashes_come_back_verbatim(words: list[str]) -> None:
    assert scan(["--", *words], FLAGS).words == words


def test_foreign_text_is_shown_short_and_on_one_line() -> None:
    assert shown("a\nb\x1b") == r"'a\nb\x1b'"
    assert len(shown("x" * 1000)) < 70


def test_surrogates_are_not_text() -> None:
    assert is_text("grüße 🎉")
    assert not is_text("a\udcffb")

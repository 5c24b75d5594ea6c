"""Logs: one line, no secrets, nothing that moves a terminal."""

import io
import logging
import sys
from collections.abc import Iterator

import pytest
from loguru import logger

from config.logs import REDACTED, harmless, redact, start_logging

SECRET = "s3cr3t/value+1"


class Lines:
    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._text = ""

    def getvalue(self) -> str:
        self._text += self._capsys.readouterr().err
        return self._text


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Iterator[Lines]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield Lines(capsys)
    logger.remove()
    logger.configure(patcher=lambda _: None)
    root.handlers[:] = handlers
    root.setLevel(level)


def fail() -> None:
    raise ValueError(f"the key {SECRET} is \x1b[31mbad")


def test_a_message_is_one_short_line_with_time_and_level(lines: Lines) -> None:
    start_logging("WARNING")
    logger.warning("trouble")
    time, level, text = lines.getvalue().split()
    assert (len(time), level, text) == (12, "WARNING", "trouble")
    assert lines.getvalue().endswith("trouble\n")


def test_what_is_below_the_level_is_not_written(lines: Lines) -> None:
    start_logging("WARNING")
    logger.info("not this")
    logging.getLogger("other").info("nor this")
    assert lines.getvalue() == ""


def test_secrets_and_control_characters_of_a_message_are_hidden(lines: Lines) -> None:
    start_logging("DEBUG", [SECRET])
    logger.info("found {!s} and\r\nmore\x1b]0;title\x07", SECRET)
    assert SECRET not in lines.getvalue()
    assert lines.getvalue().endswith(rf"found {REDACTED} and\x0d\x0amore\x1b]0;title\x07" + "\n")


def test_a_traceback_has_lines_but_no_secret_and_no_escape(lines: Lines) -> None:
    start_logging("DEBUG", [SECRET])
    try:
        fail()
    except ValueError:
        logger.exception("failed")
    assert "\n" in lines.getvalue().strip()
    assert f"ValueError: the key {REDACTED} is \\x1b[31mbad\n" in lines.getvalue()
    assert SECRET not in lines.getvalue()
    assert "\x1b" not in lines.getvalue()


def test_logs_of_libraries_take_the_same_road(lines: Lines) -> None:
    start_logging("INFO", [SECRET])
    library = logging.getLogger("library")
    library.info("key %s {braces}", SECRET)
    library.log(45, "a level of its own")
    try:
        fail()
    except ValueError:
        library.exception("failed")
    text = lines.getvalue()
    assert f"INFO    library: key {REDACTED} {{braces}}\n" in text
    assert "a level of its own" in text
    assert "ValueError" in text
    assert SECRET not in text


def test_starting_again_starts_over(lines: Lines) -> None:
    start_logging("DEBUG")
    start_logging("WARNING")
    logger.warning("once")
    logger.info("not this")
    assert lines.getvalue().count("\n") == 1


def test_standard_error_is_looked_up_at_each_line(
    lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_logging("WARNING")
    other = io.StringIO()
    monkeypatch.setattr(sys, "stderr", other)
    logger.warning("to the other")
    monkeypatch.setattr(sys, "stderr", None)
    logger.warning("to nobody")
    assert (lines.getvalue(), other.getvalue().count("\n")) == ("", 1)


@pytest.mark.parametrize(
    ("text", "secrets", "expected"),
    [
        ("a key here", ["key-9"], "a key here"),
        ("key-9 key-9", ["key-9"], f"{REDACTED} {REDACTED}"),
        ("?t=s3cr3t%2Fvalue%2B1", [SECRET], f"?t={REDACTED}"),
        ("long-and-longer", ["long", "long-and-longer"], REDACTED),
        ("tenant 1", ["1", ""], "tenant 1"),
    ],
)
def test_redact(text: str, secrets: list[str], expected: str) -> None:
    assert redact(text, secrets) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("grüße 🎉", "grüße 🎉"),
        ("\x1b[2J", r"\x1b[2J"),
        ("\x9b31m\x7f", r"\x9b31m\x7f"),
        ("a\u202eb\u2066c\u2028", r"a\u202eb\u2066c\u2028"),
        ("a\nb\t", r"a\x0ab\x09"),
    ],
)
def test_harmless(text: str, expected: str) -> None:
    assert harmless(text) == expected


def test_harmless_keeps_what_is_asked_for() -> None:
    assert harmless("a\nb\t", keep="\n") == "a\nb\\x09"

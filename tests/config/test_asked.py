"""What servers may ask, and what is asked of them besides tools: flags, variables, words."""

import pytest

from config.command_line import UsageError, read_command_line
from config.commands import REQUESTS
from config.settings import Settings


def read(*argv: str, **environ: str) -> Settings:
    return read_command_line(argv, environ, None)


def refuse(*argv: str, **environ: str) -> str:
    with pytest.raises(UsageError) as caught:
        read(*argv, **environ)
    return str(caught.value)


# --- what servers may ask -----------------------------------------------------------------------


def test_what_was_not_said_depends_on_who_is_there() -> None:
    settings = read()
    assert (settings.elicit, settings.sampling) == ("auto", "auto")
    assert (settings.answers, settings.roots) == ((), ())
    assert (settings.question_timeout, settings.server_log_level) == (300, None)


def test_all_of_it_is_what_was_said() -> None:
    said = ["--elicit", "defaults", "--answer", "a=1,2", "--answer", "b=", "--sampling", "always"]
    settings = read(*said, "--root", "a", "--root", "b", "--question-timeout", "5")
    assert (settings.elicit, settings.answers) == ("defaults", ("a=1,2", "b="))
    assert (settings.sampling, settings.roots) == ("always", ("a", "b"))
    assert settings.question_timeout == 5
    environ = {"RXMCP_ELICIT": "never", "RXMCP_ROOT": "a,b", "RXMCP_SERVER_LOG_LEVEL": "emergency"}
    settings = read(RXMCP_ANSWER="a=1,b=x=y", **environ)
    assert (settings.elicit, settings.answers) == ("never", ("a=1", "b=x=y"))
    assert settings.roots == ("a", "b")
    assert settings.server_log_level == "emergency"


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["--elicit", "x"], "--elicit: found 'x', expected 'auto', 'never', 'ask' or 'defaults'"),
        (["--sampling", "x"], "--sampling: found 'x', expected 'auto', 'never', 'ask' or 'always'"),
        (["--answer", "yes"], "--answer: found 'yes', expected NAME=VALUE"),
        (["--answer", "=yes"], "--answer: found '=yes', expected NAME=VALUE"),
        (["--root", ""], "--root: found an empty name, expected a folder"),
        (["--root", "a", "--root", "a"], "--root: the same folder was given twice"),
        (
            ["--question-timeout", "0"],
            "--question-timeout: found '0', expected a number of seconds above 0",
        ),
        (["--server-log-level", "x"], "--server-log-level: found 'x', expected 'debug'"),
        (["show", "f", "--elicit", "ask"], "option '--elicit' goes with chat, tools, call"),
    ],
)
def test_what_is_wrong_is_told_with_what_was_expected(argv: list[str], text: str) -> None:
    assert text in refuse(*argv)


# --- what they are asked ------------------------------------------------------------------------


@pytest.mark.parametrize("command", REQUESTS)
def test_the_words_behind_such_a_command_are_its_own(command: str) -> None:
    settings = read(command, "@docs", "a b", "key=value", "--", "-x")
    assert settings.command == command
    assert settings.request_words == ("@docs", "a b", "key=value", "-x")


def test_json_is_one_object_a_line_with_these_commands() -> None:
    assert read("resources", "--json").output_format == "json"
    assert "expected text or json for read" in refuse("read", "a", "--output-format", "stream-json")

"""What goes with `replay --against live`, and what only goes without it."""

import pytest

from config.command_line import Shown, UsageError, read_command_line
from config.settings import Settings

LIVE = ("replay", "run.jsonl", "--against", "live")
SERVER = ("--server", "http://localhost:3001/sse")


def read(*argv: str, **environ: str) -> Settings:
    return read_command_line(argv, environ, None)


def refuse(*argv: str) -> str:
    with pytest.raises(UsageError) as caught:
        read(*argv)
    return str(caught.value)


def test_what_connects_to_servers_goes_with_a_replay_against_them() -> None:
    words = (*SERVER, "--model", "claude-x", "--call-timeout", "5", "-H", "A: b")
    settings = read(*LIVE, *words, "--sink", "jsonl=now.jsonl", "--output-format", "json")
    assert (settings.command, settings.against) == ("replay", "live")
    assert (settings.servers, settings.model) == ((SERVER[1],), "claude-x")
    assert read("replay", "run.jsonl").against is None


def test_flags_may_stand_before_the_one_that_lets_them_in() -> None:
    assert read("--model", "claude-x", *LIVE).model == "claude-x"


@pytest.mark.parametrize("words", [SERVER, ("--model", "x"), ("--call-timeout", "5")])
def test_a_replay_offline_takes_none_of_that_and_says_what_would(words: tuple[str, str]) -> None:
    assert refuse("replay", "run.jsonl", *words) == (
        f"option {words[0]!r} goes with chat, tools, call, resources, templates, read, "
        "prompts, prompt, skills, complete, resume, fork, not with replay without --against live"
    )


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("-p", "hi"), "option '-p' goes with chat, resume, fork, not with replay"),
        (("--port", "1"), "option '--port' goes with serve, not with replay"),
        (
            ("--output-format", "stream-json"),
            "--output-format: found 'stream-json', expected text or json for replay --against",
        ),
    ],
)
def test_what_is_for_other_commands_stays_refused(words: tuple[str, str], text: str) -> None:
    assert refuse(*LIVE, *words) == text


@pytest.mark.parametrize(
    "words", [("--check",), ("--until", "3"), ("--speed", "max"), ("--fault", "drop@3")]
)
def test_what_is_offline_does_not_go_with_the_real_thing(words: tuple[str, ...]) -> None:
    assert refuse(*LIVE, *words) == (
        f"found --against and {words[0]}, expected one of them: "
        "the one asks the real servers and model, the other is offline"
    )


def test_only_the_real_thing_can_be_replayed_against() -> None:
    assert refuse("replay", "run.jsonl", "--against", "x") == (
        "--against: found 'x', expected 'live'"
    )
    assert refuse("resume", "run.jsonl", "--against", "live") == (
        "option '--against' goes with replay, not with resume"
    )


def test_a_key_makes_no_model_the_default_of_a_replay() -> None:
    """Else nobody could tell what was said from what goes without saying."""
    settings = read(*LIVE, ANTHROPIC_API_KEY="k")
    assert "model" not in settings.model_fields_set
    assert "model" in read(*LIVE, RXMCP_MODEL="direct").model_fields_set


def test_the_page_of_replay_says_that_tools_are_really_called() -> None:
    with pytest.raises(Shown) as caught:
        read("replay", "--help")
    words = " ".join(str(caught.value).split())
    assert "it really calls tools" in words
    assert "--against live" in words

"""What a server asks of a person who sits at a terminal."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pipeline.core.events import QuestionAsked, QuestionClosed, ToolEnded, ToolStarted
from tests.support.program import run
from tests.support.real_servers import Real, asking, config_of, started
from tests.support.recordings import read_run
from tests.support.terminal import CTRL_C, CTRL_D, Terminal

RECORDED = ("--sink", "console", "--sink", "jsonl=run.jsonl")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ...]]:
    """A server of 2026-07-28: it holds nothing of a call while a person is asked."""
    real = Real("asking", serve=asking("http", "PORT"), ready="Uvicorn running")
    with started(real, tmp_path_factory.mktemp("server")) as url:
        yield ("--mcp-config", config_of({"asking": url}))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """A program on a terminal of its own."""
    with ExitStack() as stack:

        def begin(*words: str) -> Terminal:
            chat = Terminal(*words, cwd=tmp_path)
            stack.callback(chat.stop)
            return chat

        yield begin


@pytest.fixture
def asked(server: tuple[str, ...], start: Callable[..., Terminal]) -> Terminal:
    """A chat in which a server has just asked for the first field of its form."""
    chat = start(*server, *RECORDED)
    chat.shows("you>")
    chat.type(b"book city=Rome\r")
    chat.shows("asking asks: How long in Rome?")
    chat.shows("Nights (a whole number from 1 up to 30):")
    return chat


def test_a_form_is_filled_in_looked_at_changed_and_sent(asked: Terminal) -> None:
    asked.type(b"31\r")
    asked.shows("found 31, expected a whole number from 1 up to 30")
    asked.type(b"3\r")
    asked.shows("With Breakfast (yes or no) [yes]:")
    asked.type(b"n\r")
    asked.shows("With Breakfast: no")
    asked.shows("send it? [Y/n/edit]")
    asked.type(b"e\r")
    asked.shows("[3]:")
    asked.type(b"4\r")
    asked.shows("[no]:")
    asked.type(b"\r")
    asked.shows("send it? [Y/n/edit]")
    asked.type(b"\r")
    asked.shows("Rome, 4 nights, breakfast: False")
    asked.shows("you>")
    asked.type(CTRL_D)
    assert asked.ended() == 0
    assert "Traceback" not in asked.seen


def test_ctrl_c_cancels_a_question_and_not_the_chat(asked: Terminal, tmp_path: Path) -> None:
    asked.type(CTRL_C)
    asked.shows("< book failed")
    asked.shows("you>")
    asked.type(b"folders\r")
    asked.shows("Client did not declare the roots capability")
    asked.shows("you>")
    asked.type(CTRL_D)
    assert asked.ended() == 0
    assert "Traceback" not in asked.seen
    (closed,) = read_run(tmp_path / "run.jsonl").only(QuestionClosed)
    assert closed.action == "cancel"
    assert is_clean(tmp_path)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_what_is_asked_and_the_run(
    number: signal.Signals, code: int, asked: Terminal, tmp_path: Path
) -> None:
    asked.process.send_signal(number)
    assert asked.ended() == code
    assert "Traceback" not in asked.seen
    assert is_clean(tmp_path)


def test_a_run_that_was_killed_while_it_asked_asks_again_when_it_goes_on(
    asked: Terminal,
    server: tuple[str, ...],
    start: Callable[..., Terminal],
    tmp_path: Path,
) -> None:
    asked.process.send_signal(signal.SIGKILL)
    asked.ended()
    again = start("resume", "run.jsonl", *server)
    again.shows("asking asks: How long in Rome?")
    again.shows("Nights (a whole number from 1 up to 30):")
    again.type(b"2\r")
    again.shows("[yes]:")
    again.type(b"\r")
    again.shows("send it? [Y/n/edit]")
    again.type(b"\r")
    again.shows("Rome, 2 nights, breakfast: True")
    again.shows("you>")
    again.type(CTRL_D)
    assert again.ended() == 0
    assert "Traceback" not in again.seen
    recorded = read_run(tmp_path / "run.jsonl")
    counts = [len(recorded.only(kind)) for kind in (ToolStarted, ToolEnded, QuestionAsked)]
    assert counts == [1, 1, 2], "it is the same call, and its question was put twice"
    assert [closed.action for closed in recorded.only(QuestionClosed)] == ["cancel", "accept"]
    assert is_clean(tmp_path)


def is_clean(folder: Path) -> bool:
    """What was recorded replays, and has no loose end."""
    checked = asyncio.run(run("replay", "run.jsonl", "--check", cwd=folder))
    linted = asyncio.run(run("lint", "run.jsonl", cwd=folder))
    assert (checked.code, linted.code) == (0, 0), (checked.err, linted.out)
    return True

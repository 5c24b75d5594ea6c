"""The chat as a person has it: on a real terminal, with the keys that a person presses."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.terminal import CTRL_C, CTRL_D, Terminal


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    chat = Terminal(cwd=tmp_path)
    yield chat
    chat.stop()


def test_a_chat_greets_answers_and_ends_with_ctrl_d(terminal: Terminal) -> None:
    terminal.shows("6 tools: add, echo, fail, now, search_text, wait")
    terminal.shows("you>")
    terminal.type(b"add a=2 b=3\r")
    terminal.shows("\n> add a=2 b=3")
    terminal.shows("< add ok")
    terminal.shows("5")
    terminal.shows("you>")
    terminal.type(b"nope\r")
    terminal.shows("There is no tool 'nope'")
    terminal.shows("you>")
    terminal.type(CTRL_D)
    assert terminal.ended() == 0
    assert "Traceback" not in terminal.seen


def test_ctrl_c_at_the_prompt_is_exit_status_130(terminal: Terminal) -> None:
    terminal.shows("you>")
    terminal.type(b"half a word" + CTRL_C)  # with something typed it only clears the line
    terminal.type(b"add a=2 b=3\r")
    terminal.shows("< add ok")
    terminal.shows("you>")
    terminal.type(CTRL_C)
    assert terminal.ended() == 130
    assert "Traceback" not in terminal.seen


def test_ctrl_c_during_a_call_ends_the_call_and_the_chat_goes_on(terminal: Terminal) -> None:
    terminal.shows("you>")
    terminal.type(b"wait seconds=50\r")
    terminal.shows("\n> wait seconds=50")
    terminal.type(CTRL_C)
    terminal.shows(": cancelled by the user")  # unknown, or not sent: it may not have left yet
    terminal.shows("! cancelled")
    terminal.shows("you>")
    terminal.type(b"add a=2 b=3\r")
    terminal.shows("< add ok")
    terminal.shows("you>")
    terminal.type(b"/exit\r")
    assert terminal.ended() == 0
    assert "Traceback" not in terminal.seen


def test_the_end_of_the_terminal_is_the_end_of_the_chat(terminal: Terminal) -> None:
    terminal.shows("you>")
    terminal.process.send_signal(signal.SIGHUP)
    assert terminal.ended() == 129
    assert "Traceback" not in terminal.seen

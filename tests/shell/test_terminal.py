"""Prompts from a person: keys in, events out."""

import asyncio
import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.input.base import PipeInput
from prompt_toolkit.output import DummyOutput
from prompt_toolkit.patch_stdout import StdoutProxy

from pipeline.core.events import (
    InputEnded,
    PromptCancelled,
    PromptRejected,
    PromptSubmitted,
    QuestionAnswered,
    QuestionAsked,
    RequestSubmitted,
)
from pipeline.shell.prompts import PromptEvent
from pipeline.shell.terminal import TerminalReader

ROOT = Path(__file__).parents[2]
ESC, CTRL_C, CTRL_D, UP, TAB = "\x1b", "\x03", "\x04", "\x1b[A", "\t"


@pytest.fixture
def keys() -> Iterator[PipeInput]:
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        yield keys


async def read(reader: TerminalReader) -> PromptEvent:
    async with asyncio.timeout(10):
        return await reader.read()


@pytest.mark.parametrize(
    ("typed", "event"),
    [
        ("hello\r", PromptSubmitted(text="hello")),
        ("hello\n", PromptSubmitted(text="hello")),
        ("grüße 🎉\r", PromptSubmitted(text="grüße 🎉")),
        (f"one{ESC}\rtwo\r", PromptSubmitted(text="one\ntwo")),
        (f"{ESC}[200~pasted\nlines{ESC}[201~\r", PromptSubmitted(text="pasted\nlines")),
        ("\r \rhello\r", PromptSubmitted(text="hello")),
        ("/help\r", PromptSubmitted(text="/help")),
        ("/prompts\r", RequestSubmitted(method="prompts/list")),
        ("/read\r", PromptRejected(reason="found '/read', expected /read URI")),
        ("/exit\r", InputEnded()),
        (" /quit \r", InputEnded()),
        (CTRL_D, InputEnded()),
        (CTRL_C, PromptCancelled()),
        (f"typed{CTRL_C}again\r", PromptSubmitted(text="again")),
        (f"typed{CTRL_C}{CTRL_C}", PromptCancelled()),
        ("123456789012345678901\r", PromptRejected(
            reason="found a prompt of 21 characters, expected at most 20 "
            "(--max-prompt-chars); it was skipped: split it, or let a tool read the file")),
        ("a\udcffb\r", PromptSubmitted(text="a\ufffdb", repaired=True)),
    ],
)  # fmt: skip
async def test_what_is_typed_becomes_an_event(
    typed: str, event: PromptEvent, keys: PipeInput
) -> None:
    reader = TerminalReader(max_chars=20)
    keys.send_bytes(typed.encode("utf-8", "surrogateescape"))
    assert await read(reader) == event


@pytest.mark.parametrize(
    ("typed", "text"), [("ech", "echo"), ("a fs.r", "a fs.read"), ("/h", "/help")]
)
async def test_tab_completes_with_the_words_there_are_by_then(
    typed: str, text: str, keys: PipeInput
) -> None:
    words: list[str] = []
    reader = TerminalReader(words=lambda: words)
    keys.send_text("x\r")
    await read(reader)
    words += ["echo", "fs.read", "/help"]
    completed = asyncio.Event()
    session = reader._session  # pyright: ignore[reportPrivateUsage]
    assert session is not None
    buffer = session.default_buffer

    def look(_: object) -> None:
        if buffer.text == text:
            completed.set()

    buffer.on_text_changed += look
    reading = asyncio.create_task(read(reader))
    keys.send_text(f"{typed}{TAB}")
    async with asyncio.timeout(10):
        await completed.wait()
    keys.send_text("\r")
    assert await reading == PromptSubmitted(text=text)


async def test_history_goes_back_to_earlier_prompts(keys: PipeInput) -> None:
    reader = TerminalReader()
    keys.send_text("first\r")
    await read(reader)
    keys.send_text(f"{UP}!\r")
    assert await read(reader) == PromptSubmitted(text="first!")


async def test_after_the_end_there_is_only_the_end(keys: PipeInput) -> None:
    reader = TerminalReader()
    keys.send_text(CTRL_D)
    assert await read(reader) == InputEnded()
    keys.send_text("more\r")
    assert await read(reader) == InputEnded()


async def test_a_cancelled_read_loses_nothing_at_any_step(keys: PipeInput) -> None:
    """Cancelled after any number of steps, the line comes out once, whole."""
    reader = TerminalReader()
    for steps in range(40):
        reading = asyncio.create_task(reader.read())
        keys.send_text(f"line {steps}")
        for _ in range(steps // 2):
            await asyncio.sleep(0)
        keys.send_text("\r")
        for _ in range(steps // 2):
            await asyncio.sleep(0)
        reading.cancel()
        try:
            event = await reading
        except asyncio.CancelledError:
            event = await read(reader)
        assert event == PromptSubmitted(text=f"line {steps}")


async def test_half_a_line_is_still_there_after_a_cancelled_read(keys: PipeInput) -> None:
    arrived = asyncio.Event()
    reader = TerminalReader(words=lambda: arrived.set() or ())
    keys.send_text(f"half{TAB}")
    reading = asyncio.create_task(reader.read())
    async with asyncio.timeout(10):
        await arrived.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    keys.send_text(" a line\r")
    assert await read(reader) == PromptSubmitted(text="half a line")


async def test_a_line_that_was_sent_is_not_asked_for_again(keys: PipeInput) -> None:
    """The window between Enter and the end of `prompt_async`, made as wide as can be."""
    reader = TerminalReader()
    keys.send_text("x\r")
    await read(reader)
    session = reader._session  # pyright: ignore[reportPrivateUsage]
    assert session is not None
    sent = asyncio.Event()

    async def prompt_async(**_: object) -> str:
        reader._sent = "sent"  # pyright: ignore[reportPrivateUsage]
        sent.set()
        await asyncio.Event().wait()
        raise AssertionError("never reached")

    session.prompt_async = prompt_async  # type: ignore[method-assign]
    reading = asyncio.create_task(reader.read())
    await sent.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert await read(reader) == PromptSubmitted(text="sent")


# --- questions of servers -----------------------------------------------------------------------

VISIT = QuestionAsked(
    question="q1", server="s", form="url", message="log in", url="https://a.example/"
)
YES = QuestionAnswered(question="q1", action="accept")


class Asking(TerminalReader):
    """A reader that knows of one question; `reached`: it is that question's turn."""

    def __init__(self) -> None:
        super().__init__(asked=self._look_up)
        self.reached = asyncio.Event()

    def _look_up(self, question: str) -> QuestionAsked | None:
        self.reached.set()
        return {"q1": VISIT}.get(question)

    async def is_asked(self) -> None:
        async with asyncio.timeout(10):
            await self.reached.wait()


async def ask(reader: TerminalReader) -> QuestionAnswered:
    async with asyncio.timeout(10):
        return await reader.ask("q1")


async def editing(reader: TerminalReader, text: str) -> None:
    """Wait until this stands in the line that is being typed."""
    session = reader._session  # pyright: ignore[reportPrivateUsage]
    assert session is not None
    typed = asyncio.Event()
    buffer = session.default_buffer

    def changed(_: object) -> None:
        if buffer.text == text:
            typed.set()

    buffer.on_text_changed += changed
    async with asyncio.timeout(10):
        while buffer.text != text:
            await typed.wait()


async def test_a_question_is_asked_while_nothing_is_typed(keys: PipeInput) -> None:
    keys.send_text("y\r")
    assert await ask(Asking()) == YES


@pytest.mark.parametrize("leaving", [CTRL_C, CTRL_D])
async def test_whoever_leaves_a_question_has_cancelled_it(leaving: str, keys: PipeInput) -> None:
    keys.send_text(leaving)
    assert await ask(Asking()) == QuestionAnswered(question="q1", action="cancel")


async def test_a_question_that_is_closed_by_then_is_cancelled() -> None:
    assert await ask(TerminalReader()) == QuestionAnswered(question="q1", action="cancel")


async def test_what_is_being_typed_waits_for_a_question_and_then_goes_on(keys: PipeInput) -> None:
    reader = Asking()
    keys.send_text("x\r")
    await read(reader)
    reading = asyncio.create_task(read(reader))
    keys.send_text("half")
    await editing(reader, "half")
    answering = asyncio.create_task(ask(reader))
    await reader.is_asked()
    keys.send_text("y\r")
    assert await answering == YES
    keys.send_text(" a line\r")
    assert await reading == PromptSubmitted(text="half a line")


async def test_a_question_that_is_taken_back_at_once_leaves_the_line_as_it_was(
    keys: PipeInput,
) -> None:
    """At any step of its way: what is being typed goes on, and the next question comes."""
    reader = Asking()
    keys.send_text("x\r")
    await read(reader)
    for steps in range(12):
        reading = asyncio.create_task(read(reader))
        keys.send_text(f"half {steps}")
        await editing(reader, f"half {steps}")
        answering = asyncio.create_task(reader.ask("q1"))
        for _ in range(steps):
            await asyncio.sleep(0)
        answering.cancel()
        await asyncio.wait([answering])
        keys.send_text("!\r")
        assert await reading == PromptSubmitted(text=f"half {steps}!")
    keys.send_text("y\r")
    assert await ask(reader) == YES


async def test_a_read_that_is_cancelled_while_a_question_waits_loses_nothing(
    keys: PipeInput,
) -> None:
    reader = Asking()
    keys.send_text("x\r")
    await read(reader)
    reading = asyncio.create_task(reader.read())
    keys.send_text("half")
    await editing(reader, "half")
    answering = asyncio.create_task(ask(reader))
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait([reading])
    assert reading.cancelled()
    await reader.is_asked()
    keys.send_text("y\r")
    assert await answering == YES
    keys.send_text(" a line\r")
    assert await read(reader) == PromptSubmitted(text="half a line")


async def test_help_is_shown_and_is_no_prompt(
    keys: PipeInput, capsys: pytest.CaptureFixture[str]
) -> None:
    keys.send_text(" /help \rhello\r")
    assert await read(TerminalReader(help="what there is")) == PromptSubmitted(text="hello")
    assert capsys.readouterr().err == "what there is\n"


async def test_a_server_drives_no_terminal(
    keys: PipeInput, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = replace(VISIT, url="https://\u202emoc.elgoog/")
    keys.send_text("y\r")
    assert await ask(TerminalReader(asked=lambda _: evil)) == YES
    assert "\\u202e" in capsys.readouterr().err


async def test_the_handlers_of_signals_and_of_the_loop_stay(keys: PipeInput) -> None:
    loop = asyncio.get_running_loop()
    got = asyncio.Event()
    loop.add_signal_handler(signal.SIGINT, got.set)
    try:
        keys.send_text("x\r")
        await read(TerminalReader())
        os.kill(os.getpid(), signal.SIGINT)
        async with asyncio.timeout(10):
            await got.wait()
    finally:
        loop.remove_signal_handler(signal.SIGINT)


async def test_while_patched_standard_output_writes_above_the_prompt(keys: PipeInput) -> None:
    before = sys.stdout
    with TerminalReader().patch():
        assert isinstance(sys.stdout, StdoutProxy)
    assert sys.stdout is before


async def test_nothing_is_imported_before_a_terminal_is_used() -> None:
    code = "import sys; from pipeline.shell.terminal import TerminalReader; TerminalReader()\n"
    code += "assert 'prompt_toolkit' not in sys.modules"
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", code], cwd=ROOT, check=False, timeout=60
    )
    assert done.returncode == 0


CHAT = """
import asyncio
from pipeline.core.events import InputEnded
from pipeline.shell.terminal import TerminalReader
async def main():
    reader = TerminalReader(words=lambda: ("echo",))
    with reader.patch():
        while (event := await reader.read()) != InputEnded():
            print(f"got {event!r}")
    print("bye")
asyncio.run(main())
"""


class Screen:
    """A real terminal with a program in it."""

    def __init__(self, program: str) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=theirs, stdout=theirs, stderr=theirs, cwd=ROOT,
            env={**os.environ, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"},
        )  # fmt: skip
        os.close(theirs)
        self._seen = b""

    def type(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def wait_for(self, text: bytes) -> None:
        """Read until the text was shown; the program's end or 20 s of silence fail."""
        while text not in self._seen:
            ready, _, _ = select.select([self._ours], [], [], 20)
            assert ready, f"{text!r} did not come after {self._seen!r}"
            self._seen += os.read(self._ours, 4096)
        self._seen = self._seen.partition(text)[2]

    def close(self) -> None:
        self.process.kill()
        self.process.wait(10)
        os.close(self._ours)


@pytest.fixture
def screen() -> Iterator[Screen]:
    made = Screen(CHAT)
    yield made
    made.close()


async def test_a_chat_on_a_real_terminal(screen: Screen) -> None:
    def scenario() -> int:
        screen.wait_for(b"you>")
        screen.type(b"ec\t")
        screen.wait_for(b"ho")
        screen.type(b" hi\r")
        screen.wait_for(b"got PromptSubmitted(text='echo hi'")
        screen.wait_for(b"you>")
        screen.type(b"\x03")
        screen.wait_for(b"got PromptCancelled(")
        screen.wait_for(b"you>")
        screen.type(b"\x04")
        screen.wait_for(b"bye")
        return screen.process.wait(30)

    async with asyncio.timeout(60):
        assert await asyncio.to_thread(scenario) == 0

"""The console, on real pipes and terminals."""

import asyncio
import io
import os
import re
import struct
import subprocess
import sys
import termios
import tty
from fcntl import ioctl
from typing import Any, TextIO, get_args

import pytest

from pipeline.core.codec import Entry
from pipeline.core.commands import Ask, Item, PinTools
from pipeline.core.events import (
    AnswerCompleted,
    AnswerDelta,
    CallRejected,
    ChangedTool,
    ModelSpoke,
    OffersChanged,
    Outcome,
    Problem,
    PromptSubmitted,
    QuestionAsked,
    QuestionClosed,
    RequestEnded,
    RequestStarted,
    ResourceUpdated,
    Route,
    RunEnded,
    ServerLogged,
    ServersSettled,
    SessionClosed,
    SessionReady,
    StreamLost,
    StreamOpened,
    Tokens,
    Tool,
    ToolDelayed,
    ToolEnded,
    ToolProgress,
    ToolRepeated,
    ToolsApproved,
    ToolsChanged,
    ToolsHeld,
    ToolStarted,
    Usage,
)
from pipeline.core.plan import ToolPin
from sinks.base import SinkError
from sinks.console import ConsoleSink

AT = "2026-11-24T06:28:23.000001Z"
STARTED = ToolStarted(call="c", server="s", tool="wait")
EVIL = "\x1b[31m\x1b]0;t\x07\x9b2J\r\x7f\x00\u202e\u2066\u200b\u200d\ufeff\U000e0041\ud800"
ESCAPES = "".join(f"\\x{c:02x}" for c in (0x1B, 0x07, 0x9B, 0x0D, 0x7F, 0x00))


def text_stream(fd: int) -> TextIO:
    return open(fd, "w", encoding="utf-8")


def entries(*items: Item) -> list[Entry]:
    return [Entry(seq, AT, item) for seq, item in enumerate(items, 1)]


def evil_results() -> dict[str, Any]:
    """What servers answer to requests, with evil text in all of it."""
    block = {"type": "text", "text": EVIL}
    item = {"uri": EVIL, "name": EVIL, "title": EVIL, "description": EVIL, "mimeType": EVIL}
    return {
        "resources/list": {"resources": [item]},
        "resources/templates/list": {"resourceTemplates": [{**item, "uriTemplate": EVIL}]},
        "prompts/list": {"prompts": [{**item, "arguments": [{"name": EVIL}]}]},
        "skills/list": {"skills": [{**item, "frontmatter": item}]},
        "resources/read": {
            "contents": [{"uri": EVIL, "text": EVIL}, {"uri": EVIL, "blob": "aGk="}]
        },
        "prompts/get": {"messages": [{"role": EVIL, "content": [block]}]},
        "completion/complete": {"completion": {"values": [EVIL]}},
        "resources/subscribe": {},
        "other": {"x": EVIL.replace("\ud800", "")},
    }


def evil_items() -> list[Item]:
    """Every kind of event that is shown, with evil text in every field that takes text."""
    route = Route(server=EVIL, url=EVIL, dialect="sse", session_id=EVIL)
    ready = SessionReady(
        server=EVIL,
        route=route,
        protocol=EVIL,
        server_name=EVIL,
        server_version=EVIL,
        instructions=EVIL,
    )
    changed = ChangedTool(name=EVIL, digest=EVIL, approved=EVIL, difference=(EVIL,))
    tool = Tool(server=EVIL, name=EVIL, alias=EVIL, title=EVIL, description=EVIL)
    block = {"type": "text", "text": EVIL}
    odd: dict[str, Any] = {"type": EVIL.replace("\ud800", "")}  # to_text makes JSON of it
    outcomes: list[Any] = ["answered", "unknown", "not_sent"]
    forms: list[Any] = ["form", "url", "sample"]
    return [
        StreamOpened(server=EVIL),
        ready,
        ToolsChanged(server=EVIL, tools=(tool,)),
        ToolsChanged(server=EVIL, tools=(), added=(EVIL,), removed=(EVIL,), changed=(EVIL,)),
        SessionClosed(server="other", reason=EVIL),
        StreamLost(server=EVIL, reason=EVIL, retry_in=1.0, attempt=1),
        ready,
        ToolsChanged(server=EVIL, tools=(tool,)),
        ServersSettled(ready=(EVIL,), failed=(EVIL,), starting=(EVIL,)),
        ToolsHeld(server=EVIL, tools=(changed,)),
        ToolsApproved(server=EVIL, tools=(changed,), by="setting"),
        PinTools(server=EVIL, pins={EVIL: ToolPin(digest=EVIL)}),
        *(
            QuestionAsked(question=EVIL, server=EVIL, form=form, message=EVIL, url=EVIL)
            for form in forms
        ),
        Ask(question=EVIL),
        QuestionAsked(
            question="approve",
            server=EVIL,
            form="approve",
            message=EVIL,
            detail={"tools": [{"name": EVIL, "difference": [EVIL]}]},
        ),
        Ask(question="approve"),
        QuestionClosed(question=EVIL, server=EVIL, action="refused", reason=EVIL),
        ResourceUpdated(server=EVIL, uri=EVIL),
        OffersChanged(server=EVIL, what="prompts"),
        *(
            item
            for method, result in evil_results().items()
            for item in (
                RequestStarted(request=EVIL, server=EVIL, method=method, params={"uri": EVIL}),
                RequestEnded(
                    request=EVIL,
                    server=EVIL,
                    method=method,
                    outcome="answered",
                    result=result,
                    reason=EVIL,
                ),
            )
        ),
        *(
            RequestEnded(
                request=EVIL, server=EVIL, method=EVIL, outcome=outcome, error=EVIL, reason=EVIL
            )
            for outcome in outcomes
        ),
        CallRejected(tool=EVIL, reason=EVIL, hint=EVIL),
        ToolStarted(call=EVIL, server=EVIL, tool=EVIL, arguments={EVIL: EVIL, "x": [EVIL]}),
        AnswerDelta(text=EVIL),
        ToolDelayed(call=EVIL, server=EVIL, tool=EVIL, reason=EVIL, retry_in=1.0),
        ToolRepeated(call=EVIL, server=EVIL, tool=EVIL, reason=EVIL),
        ToolProgress(call=EVIL, progress=1, message=EVIL),
        ToolProgress(call="unknown" + EVIL, progress=1, message=EVIL),
        *(
            ToolEnded(
                call=EVIL,
                server=EVIL,
                tool=EVIL,
                outcome=outcome,
                is_error=is_error,
                content=(block, odd),
                reason=reason,
            )
            for outcome in outcomes
            for is_error in (False, True)
            for reason in ("", EVIL)
        ),
        AnswerCompleted(text=EVIL, turns=1),
        AnswerCompleted(text=EVIL, turns=1, stop="refusal"),
        Usage(model=EVIL, tokens=Tokens()),
        ServerLogged(server=EVIL, level=EVIL, text=EVIL),
        ServerLogged(server=EVIL, level="info", text=EVIL),
        Problem(where=EVIL, detail=EVIL, hint=EVIL),
        RunEnded(code=4, reason=EVIL),
    ]


async def shown(*items: Item, **options: Any) -> tuple[str, str]:
    """What comes on the two streams, which are no terminal."""
    out, err = io.StringIO(), io.StringIO()
    sink = ConsoleSink(out, err, **{"colour": False, "is_terminal": False, **options})
    await sink.open()
    await sink.emit(entries(*items))
    await sink.close()
    return out.getvalue(), err.getvalue()


async def on_terminal(*items: Item, columns: int = 80, **options: Any) -> str:
    """What comes on a real terminal that both streams go to."""
    far, near = os.openpty()
    tty.setraw(near)
    ioctl(near, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    out, err = text_stream(near), text_stream(os.dup(near))
    reading = asyncio.create_task(asyncio.to_thread(read_to_end, far))
    sink = ConsoleSink(out, err, **{"colour": False, "is_terminal": True, **options})
    await sink.open()
    await sink.emit(entries(*items))
    await sink.close()
    out.close()
    err.close()
    async with asyncio.timeout(10):
        return (await reading).decode()


def read_to_end(far: int) -> bytes:
    got = b""
    while True:
        try:
            block = os.read(far, 1 << 16)
        except OSError:  # a terminal's way to say that nobody has it open any more
            block = b""
        if not block:
            os.close(far)
            return got
        got += block


async def test_letters_are_there_as_soon_as_they_are_emitted() -> None:
    out = io.StringIO()
    sink = ConsoleSink(out, io.StringIO(), colour=False, is_terminal=False)
    await sink.emit(entries(AnswerDelta(text="It ")))
    assert out.getvalue() == "It "
    await sink.emit(entries(AnswerDelta(text="is 5.\n"), AnswerDelta(text="\n")))
    assert out.getvalue() == "It is 5."
    await sink.emit(entries(AnswerCompleted(text="It is 5.\n\n", turns=1)))
    assert out.getvalue() == "It is 5.\n"
    await sink.close()
    assert out.getvalue() == "It is 5.\n"


async def test_an_answer_that_did_not_stream_is_written_when_it_is_complete() -> None:
    whole = AnswerCompleted(text="whole", turns=1)
    streamed = AnswerCompleted(text="a b", turns=1)
    out, err = await shown(
        whole, AnswerDelta(text="a "), AnswerDelta(text="b"), streamed, AnswerDelta(text=""), whole
    )
    assert out == "whole\na b\nwhole\n"
    assert err == ""


async def test_an_answer_that_was_cut_off_still_ends_its_line() -> None:
    out, err = await shown(AnswerDelta(text="half an ans"), RunEnded(code=1, reason="it broke"))
    assert out == "half an ans\n"
    assert err == "! it broke\n"


async def test_notices_go_to_standard_error() -> None:
    progress = ToolProgress(call="c", progress=1, total=2)
    out, err = await shown(STARTED, progress, progress, Problem(where="s", detail="d", hint="h"))
    assert out == ""
    assert err == "> wait\n· wait 1/2\n· wait 1/2\n! s: d\n  h\n"


async def test_quiet_leaves_answers_and_trouble() -> None:
    failed = ToolEnded(call="c", server="s", tool="wait", outcome="answered", is_error=True)
    fine = ToolEnded(call="c", server="s", tool="wait", outcome="answered")
    out, err = await shown(
        STARTED,
        fine,
        failed,
        Problem(where="s", detail="d"),
        AnswerCompleted(text="5", turns=1),
        quiet=True,
    )
    assert out == "5\n"
    assert err == "< wait failed: it gave no reason\n! s: d\n"


async def test_quiet_or_not_whoever_is_asked_sees_what_for_and_nobody_else_does() -> None:
    asks = QuestionAsked(question="q1", server="s", form="form", message="who?")
    closed = QuestionClosed(question="q1", server="s", action="accept")
    assert await shown(asks, Ask(question="q1"), closed, quiet=True) == ("", "= s asks: who?\n")
    assert await shown(asks, closed, quiet=True) == ("", "")


async def test_verbose_tells_usage() -> None:
    usage = Usage(model="m", tokens=Tokens(input=1))
    assert (await shown(usage))[1] == ""
    assert (await shown(usage, verbose=True))[1] == "= m: 1 tokens in, 0 out\n"


async def test_what_is_shown_on_a_terminal_keeps_answers_and_notices_apart() -> None:
    text = await on_terminal(
        AnswerDelta(text="Wait"),
        STARTED,
        ToolProgress(call="c", progress=1, total=10),
        ToolProgress(call="c", progress=2, total=10),
        ToolEnded(call="c", server="s", tool="wait", outcome="answered"),
        AnswerDelta(text="Done"),
        AnswerCompleted(text="Wait Done", turns=2),
    )
    assert text == "Wait\n> wait\n\r· wait 1/10\r· wait 2/10\n< wait ok\nDone\n"


@pytest.mark.parametrize(("columns", "width"), [(20, 19), (0, 79)])
async def test_progress_fits_the_terminal(columns: int, width: int) -> None:
    """A terminal of no width is one that does not know it."""
    text = await on_terminal(ToolProgress(call="c", progress=1, message="m" * 300), columns=columns)
    assert len(text.strip()) == width


@pytest.mark.parametrize("colour", [False, True])
async def test_no_text_from_outside_drives_a_terminal(colour: bool) -> None:
    for verbose in (False, True):
        text = await on_terminal(*evil_items(), colour=colour, verbose=verbose)
        ours = re.sub(r"\x1b\[(2|31|32|33|36|0)m", "", text) if colour else text
        assert ("\x1b" in text) is colour
        # The only carriage return is our own, in front of progress.
        assert set(re.findall(r"\r(..)", ours)) == {"· "}
        assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", ours)
        assert not re.search("[\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]", ours)
        assert not re.search("[\U000e0000-\U000e0fff\ud800-\udfff]", ours)
        assert r"\x1b[31m" in ours


async def test_text_is_as_harmless_where_there_is_no_terminal() -> None:
    out, err = await shown(*evil_items(), verbose=True)
    for text in (out, err):
        assert not set(text) & set(EVIL.replace("[", "").replace("]", "")) - set("31m0;t2J"), (
            "an evil character came through"
        )
    assert "\\x1b[31m" in out


def test_every_outcome_is_in_the_list_of_evil_events() -> None:
    """An event that is added later must be added there, too."""
    assert set(get_args(Outcome)) <= {type(item) for item in evil_items()}


async def test_an_encoding_that_lacks_a_character_is_no_failure() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    sink = ConsoleSink(out, out, colour=False, is_terminal=False)
    await sink.emit(
        entries(
            AnswerCompleted(text="grüße \ud800", turns=1),
            ToolProgress(call="c", progress=1),
        )
    )
    await sink.close()
    assert raw.getvalue() == b"gr\\xfc\\xdfe \\ud800\n\\xb7 c 1\n"


async def test_a_reader_that_has_gone_ends_the_sink_in_words() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with text_stream(writer) as out:
        sink = ConsoleSink(out, io.StringIO(), colour=False, is_terminal=False)
        with pytest.raises(SinkError, match="whoever read standard output has gone"):
            await sink.emit(entries(AnswerDelta(text="x")))
        await sink.close()


def test_what_may_need_words_is_wanted_and_the_rest_is_not() -> None:
    sink = ConsoleSink(io.StringIO(), io.StringIO(), colour=False, is_terminal=False)
    assert all(map(sink.wants, evil_items()))
    unwanted: list[Item] = [PromptSubmitted(text="x"), ModelSpoke(call="c", text="x")]
    assert not any(map(sink.wants, unwanted))
    assert sink.name == "console"


PROGRAM = """
import asyncio, sys
from pipeline.core.codec import Entry
from pipeline.core.events import AnswerDelta
from sinks.base import SinkError
from sinks.console import ConsoleSink

async def run():
    sink = ConsoleSink(sys.stdout, sys.stderr, colour=False, is_terminal=False)
    await sink.open()
    try:
        for seq in range(1, 1000):
            async with asyncio.timeout(1):
                await sink.emit([Entry(seq, "", AnswerDelta(text="x" * 10_000))])
    except (SinkError, TimeoutError) as exc:
        return type(exc).__name__
    finally:
        await sink.close()

sys.exit({"SinkError": 41, "TimeoutError": 42}.get(asyncio.run(run()), 0))
"""


@pytest.mark.parametrize(
    ("is_reader_gone", "status"), [(True, 41), (False, 42)], ids=["gone", "stopped"]
)
def test_a_reader_that_is_gone_or_stopped_neither_holds_up_the_exit_nor_makes_a_traceback(
    is_reader_gone: bool, status: int
) -> None:
    """A process that writes to `head`, or to a pager that nobody scrolls."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(10)
        if is_reader_gone:
            process.stdout.close()
        assert process.wait(30) == status
        assert process.stderr.read() == b""

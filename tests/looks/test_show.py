"""A session as text."""

import unicodedata
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.commands import ReadPrompt
from pipeline.core.events import (
    AnswerCompleted,
    CallSubmitted,
    Problem,
    PromptCancelled,
    PromptSubmitted,
    QuestionAsked,
    QuestionClosed,
    RequestEnded,
    RequestStarted,
    RequestSubmitted,
    ResourceUpdated,
    RunEnded,
    RunResumed,
    ToolEnded,
    ToolsChanged,
)
from pipeline.looks.show import show
from pipeline.shell.recordings import RecordingError, last_run
from sinks.terminal_text import harmless
from tests.support.play import finished
from tests.support.sample_session import (
    HEADER,
    LOGS,
    SCRIPT,
    Script,
    asked,
    called,
    ended,
    text,
    write,
)

EVIL = "\x1b[2J\u202eevil\x07\nnext"


def shown(folder: Path, script: Script = SCRIPT, *, colour: bool = False, width: int = 80) -> str:
    return show(write(folder / "r.jsonl", script), colour=colour, width=width)


def cells(line: str) -> int:
    return sum(1 + (unicodedata.east_asian_width(char) in "WF") for char in line)


def test_it_begins_with_who_was_there(tmp_path: Path) -> None:
    assert shown(tmp_path).splitlines()[:9] == [
        "Session c0ffee0123456789                                             rxmcp 0.1.0",
        "  when   2026-11-24 06:28:23 UTC, for 5 min 11 s",
        "  model  claude-sonnet-5-5",
        "  server logs: log-server 2.1, 2024-11-05, ready after 34 ms,",
        "         http://127.0.0.1:3001/sse",
        "         2 tools: search, tail",
        "  server git: git-server 0.9, 2024-11-05, ready after 310 ms,",
        "         https://git.example.org/sse",
        "         2 tools: log, show",
    ]


def test_each_tool_is_named_with_its_digest_when_more_is_asked_for(tmp_path: Path) -> None:
    run = write(tmp_path / "r.jsonl", SCRIPT)
    (first, *_) = (each.item for each in run.entries() if isinstance(each.item, ToolsChanged))
    digests = [tool.digest[:19] for tool in first.tools]
    lines = show(run, colour=False, width=80, verbose=True).splitlines()
    assert lines[6:8] == [f"         {digests[0]}  search", f"         {digests[1]}  tail"]
    assert len(digests[0]) == len("sha256:") + 12


def test_a_turn_has_prompt_words_calls_and_troubles_in_their_places(tmp_path: Path) -> None:
    text = shown(tmp_path)
    parts = [
        "Turn 1                                                    at 2.00 s, took 10.4 s\n",
        "  you    Which service failed last night, and which change broke it?\n",
        "  model  I look at the logs and at the history.        first word 1.20 s, 1.90 s\n",
        "         3,340 tokens in (1,500 to cache), 131 out, $0.0120\n",
        '  >      logs: search query=level:error since="yesterday 22:00"           3.00 s\n',
        "  <      search ok: checkout: 312 errors between 02:14 and 02:31\n",
        "  ?      log outcome unknown: the connection to 'git' was lost before the\n",
        "  !      git: connection lost: connection reset by peer; trying again  at 6.30 s\n",
        "  =      git: git-server 0.9 ready again                               at 8.60 s\n",
        "  =      git: tools - revert                                           at 8.60 s\n",
        "  <      show failed: no such commit: HEAD\n",
        "\n  !      logs: warning: disk 91 % full                                 at 13.0 s\n\n",
        "Turn 2                                                 at 5 min 5 s, took 4.00 s\n",
        "         (fails: overloaded_error)\n",
        "  !      stopped by Ctrl-C                                          at 5 min 9 s\n",
        "End\n         exit status 0 after 5 min 11 s\n",
        "6 tool calls (1 failed, 2 unknown), 1 outage;",
        "         11,260 tokens in (6,020 from cache, 2,410 to cache), 453 out, $0.0600\n",
    ]
    places = [text.find(part) for part in parts]
    assert -1 not in places, parts[places.index(-1)]
    assert places == sorted(places)


@pytest.mark.parametrize("width", [40, 80, 133])
def test_no_line_is_wider_than_the_terminal(tmp_path: Path, width: int) -> None:
    script: Script = [
        *SCRIPT,
        (400.0, [PromptSubmitted(text="寿司" * 300), asked(9), finished(9, "x" * 500 + " y")]),
        (401.0, [AnswerCompleted(text="", turns=1, stop="max_turns")]),
    ]
    assert max(map(cells, shown(tmp_path, script, width=width).splitlines())) <= width


def test_a_terminal_that_is_hardly_there_gets_forty_columns(tmp_path: Path) -> None:
    assert shown(tmp_path, width=1) == shown(tmp_path, width=40)


def test_colour_adds_nothing_but_colour(tmp_path: Path) -> None:
    import re

    coloured = shown(tmp_path, colour=True)
    assert "\x1b[1m" in coloured
    assert re.sub(r"\x1b\[\d*m", "", coloured) == shown(tmp_path)


def test_foreign_text_drives_nothing(tmp_path: Path) -> None:
    header = type(HEADER)(rxmcp="\x1b", session=EVIL, at=EVIL, plan=HEADER.plan)
    script: Script = [
        (0.0, [PromptSubmitted(text=EVIL), asked(1), finished(1, EVIL)]),
        (0.1, [*called("c1", EVIL, EVIL, **{EVIL: EVIL}), ended("c1", EVIL, EVIL, EVIL)]),
        (0.2, [Problem(where=EVIL, detail=EVIL, hint=EVIL), RunEnded(code=1, reason=EVIL)]),
    ]
    told = show(write(tmp_path / "r.jsonl", script, header), colour=False, width=80)
    assert told == harmless(told)


def test_what_is_long_is_shortened_and_says_so(tmp_path: Path) -> None:
    script: Script = [
        (0.0, [PromptSubmitted(text="p" * 3000), asked(1), finished(1, "a" * 9000)]),
        (0.1, [*called("c1", LOGS, "tail"), ended("c1", LOGS, "tail", "r" * 90_000)]),
    ]
    told = shown(tmp_path, script)
    told = " ".join(told.split())
    for words in ("2.0 KB more", "5.0 KB more", "89.8 KB more"):
        assert words in told, words
    assert len(told) < 8000


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    script: Script = [
        (0.0, [PromptSubmitted(text="one"), PromptSubmitted(text="two"), asked(1)]),
        (1.0, [*called("c1", LOGS, "tail")]),
    ]
    told = shown(tmp_path, script)
    for words in (
        "logs: never ready; http://127.0.0.1:3001/sse",
        "no tools",
        "(does not finish)",
        "no end in this recording",
        "never taken up",
        "the recording stops after 1.00 s, before the end of the run",
    ):
        assert words in told, words


def test_a_persons_own_call_and_a_run_that_went_on_are_told(tmp_path: Path) -> None:
    script: Script = [
        (0.0, [CallSubmitted(tool="tail", arguments="n=3"), *called("c1", LOGS, "tail", n=3)]),
        (0.1, [RunResumed(goal="call", servers=()), ToolEnded(
            call="c1", server=LOGS, tool="tail", outcome="not_sent", reason="gone",
        )]),
        (0.2, [PromptCancelled(signal="SIGTERM")]),
        (0.3, [AnswerCompleted(text="", turns=1), RunEnded(code=4, reason="no server")]),
    ]  # fmt: skip
    told = shown(tmp_path, script)
    for words in (
        "you    call tail n=3",
        "=      the recording went on here, in another process",
        "!      tail not sent: gone",
        "!      SIGTERM",
        "(what was asked is not in this recording)",
        "exit status 4 after 300 ms: no server",
        "1 unsent",
    ):
        assert words in told, words


def test_what_was_asked_for_besides_tools_is_told_and_what_servers_asked(tmp_path: Path) -> None:
    read: dict[str, Any] = {"server": LOGS, "method": "resources/read"}
    wish = RequestSubmitted(method="resources/read", params={"uri": "demo://a"})
    url = "https://a.example/login"
    script: Script = [
        (0.0, [wish, RequestStarted(request="r1", **read, params=wish.params)]),
        (0.1, [QuestionAsked(question="q1", server=LOGS, form="url", message="log in", url=url)]),
        (0.2, [QuestionClosed(question="q1", server=LOGS, action="accept")]),
        (0.3, [RequestEnded(request="r1", **read, outcome="answered", result={}), ReadPrompt()]),
        (0.4, [wish, RequestStarted(request="r2", **read, params=wish.params)]),
        (0.5, [RequestEnded(request="r2", **read, outcome="answered", error="gone")]),
        (0.6, [ResourceUpdated(server=LOGS, uri="demo://a"), RunEnded(code=0)]),
    ]
    told = shown(tmp_path, script)
    for words in (
        "you    resources/read demo://a",
        ">      resources/read demo://a at logs",
        f"=      logs wants you to visit {url}",
        "=      logs: question answered",
        "<      resources/read at logs ok",
        "!      resources/read at logs: gone",
        "=      logs: demo://a has changed",
    ):
        assert words in told, told


def test_a_system_prompt_is_shown(tmp_path: Path) -> None:
    import msgspec

    plan = msgspec.structs.replace(HEADER.plan, system_prompt="Be brief.")
    header = msgspec.structs.replace(HEADER, plan=plan, at="")
    told = show(write(tmp_path / "r.jsonl", [], header), colour=False, width=80)
    assert "  system Be brief.\n" in told
    assert "  when   at an unknown time, for 0 ms\n" in told


def test_the_model_says_nothing_at_all(tmp_path: Path) -> None:
    script: Script = [
        (0.0, [PromptSubmitted(text="go"), asked(1)]),
        (0.5, [finished(1), AnswerCompleted(text="", turns=1)]),
    ]
    assert "  model  (says nothing)" in shown(tmp_path, script)
    assert text("x")["text"] == "x"


def test_a_time_that_is_none_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    write(path)
    path.write_bytes(path.read_bytes().replace(b"2026-11-24T06:28:23.021000Z", b"soon"))
    with pytest.raises(RecordingError, match=r"r\.jsonl: found 'soon'.*lint"):
        show(last_run(path), colour=False, width=80)

"""Pins without a secret have the digest of what they say now, and others keep theirs."""

import pytest

from pipeline.core.codec import Entry, Header, decode_header, encode_entry, encode_header
from pipeline.core.events import AnswerDelta, RunResumed
from pipeline.core.pins import pin_of
from pipeline.core.plan import Plan, ServerPlan, ToolPin
from pipeline.core.tools import read_tool
from pipeline.looks.redact_pins import with_own_digests

SECRET, MARK = "canary-4711", "[redacted:given:1]"


def pin(name: str, text: str) -> ToolPin:
    return pin_of(read_tool("s", {"name": name, "description": text}))


def servers(**pins: ToolPin) -> tuple[ServerPlan, ...]:
    return ServerPlan(name="s", url="", pins=pins), ServerPlan(name="t", url="http://t.test/")


def header(**pins: ToolPin) -> bytes:
    return encode_header(Header(plan=Plan(servers=servers(**pins))))


def resumed(**pins: ToolPin) -> bytes:
    item = RunResumed(goal="chat", servers=servers(**pins))
    return encode_entry(Entry(1, "2026-11-24T13:00:00Z", item))


def clean(line: bytes) -> bytes:
    return line.replace(SECRET.encode(), MARK.encode())


def test_a_pin_that_held_a_secret_is_of_what_is_left_and_the_others_stay() -> None:
    line = header(add=pin("add", f"Add {SECRET}."), sub=pin("sub", "Subtract."))
    plan = decode_header(with_own_digests(line, clean(line))).plan
    assert plan.servers[0].pins == {
        "add": pin("add", f"Add {MARK}."),
        "sub": pin("sub", "Subtract."),
    }


def test_so_it_is_where_a_run_goes_on() -> None:
    line = resumed(add=pin("add", SECRET))
    assert with_own_digests(line, clean(line)) == resumed(add=pin("add", MARK))


def test_a_secret_in_the_name_of_a_tool_counts_too() -> None:
    line = header(**{SECRET: pin(SECRET, "Add.")})
    plan = decode_header(with_own_digests(line, clean(line))).plan
    assert plan.servers[0].pins == {MARK: pin(MARK, "Add.")}


def test_what_was_not_kept_whole_cannot_be_put_right() -> None:
    long = pin("add", f"{SECRET}{'x' * 5000}")
    line = header(add=long)
    assert with_own_digests(line, clean(line)) == clean(line)


@pytest.mark.parametrize(
    "line",
    [
        header(add=pin("add", "Add.")),
        header(),
        encode_entry(Entry(1, "x", AnswerDelta(text=f'"pins":{{{SECRET}'))),
        b'{"pins":{' + SECRET.encode(),
    ],
)
def test_other_lines_stay_as_they_are(line: bytes) -> None:
    assert with_own_digests(line, clean(line)) == clean(line)

"""Old formats: what a line of format 1 is today, and how a step is written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.codec import (
    Entry,
    NotARecordingError,
    Upgrade,
    decode_entry,
    decode_header,
    encode_entry,
)
from pipeline.core.commands import CallModel
from pipeline.core.events import Json, Tool, ToolsChanged
from pipeline.core.migrations import (
    FORMAT,
    MIGRATIONS,
    Step,
    UnknownFormatError,
    migrated,
    steps_from,
)
from pipeline.core.tools import digest
from tests.core.test_canonical import JSON, TEXT

FORMAT_1 = b'{"kind":"recording","format":1,'
RECORDINGS = sorted((Path(__file__).parents[1] / "recordings").glob("*.jsonl"))
KEPT = [path for path in RECORDINGS if path.read_bytes().startswith(FORMAT_1)]
"""Those that were recorded before there was a format 2."""
FIRST = b'{"kind":"recording","format":1,"session":"5e55"}'
ADD = Tool(server="s", name="add", alias="mcp__s__add", description="größer", input_schema={"a": 1})
BARE = msgspec.json.encode(ADD)
WHOLE = msgspec.structs.replace(ADD, digest=digest(ADD))


def line(kind: str, tools: bytes = b"[%b]" % BARE) -> bytes:
    call = b'"call":"m","messages":[],' if kind == "call_model" else b'"server":"s",'
    return b'{"seq":2,"at":"x","kind":"%b",%b"tools":%b}\n' % (kind.encode(), call, tools)


# --- from 1 to 2 ------------------------------------------------------------------------------


def test_each_line_of_format_1_names_its_session_after_its_place() -> None:
    upgrade = Upgrade(FIRST)
    assert upgrade(b'{"seq":1,"at":"x","kind":"run_started"}\n') == (
        b'{"seq":1,"at":"x","session":"5e55","kind":"run_started"}'
    )


def test_a_run_of_format_1_without_an_id_has_none_on_its_lines() -> None:
    upgrade = Upgrade(b'{"kind":"recording","format":1}')
    assert decode_entry(upgrade(b'{"seq":1,"at":"x","kind":"run_started"}')).session == ""


def test_tools_of_format_1_get_the_digests_that_they_have_today() -> None:
    upgrade = Upgrade(FIRST)
    changed = ToolsChanged(server="s", tools=(WHOLE,))
    assert upgrade(line("tools_changed")) == encode_entry(Entry(2, "x", changed, "5e55"))
    item = decode_entry(upgrade(line("call_model"))).item
    assert isinstance(item, CallModel)
    assert item.tools == (WHOLE,)


@pytest.mark.parametrize("tools", [b"[5]", b'"none"', b'[{"name":7}]', b"null"])
def test_what_is_no_list_of_tools_is_left_to_the_decoder(tools: bytes) -> None:
    upgraded = Upgrade(FIRST)(line("tools_changed", tools))
    with pytest.raises(NotARecordingError, match="not a line of a recording"):
        decode_entry(upgraded)


@pytest.mark.parametrize("torn", [b"", b"[1]", b"7", b"{", b"\xff", b'{"a":' * 5000])
def test_what_is_no_line_stays_as_it_is(torn: bytes) -> None:
    assert Upgrade(FIRST)(torn) == torn


def test_members_of_tomorrow_in_an_old_line_stay() -> None:
    upgraded = Upgrade(FIRST)(b'{"seq":1,"at":"x","kind":"run_started","of_tomorrow":[1,2.50]}')
    assert msgspec.json.decode(upgraded)["of_tomorrow"] == [1, 2.5]


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_a_kept_recording_becomes_to_the_byte_what_this_version_writes(path: Path) -> None:
    first, *lines = path.read_bytes().splitlines(keepends=True)
    upgrade = Upgrade(first)
    assert (decode_header(first).format, upgrade.is_needed) == (1, True)
    digests = 0
    for old in lines:
        new = upgrade(old)
        entry = decode_entry(new)
        assert encode_entry(entry) == new
        assert entry.session == upgrade.header.session != ""
        digests += new.count(b'"digest":"sha256:')
    assert digests
    assert decode_header(upgrade.first).format == FORMAT


@given(st.lists(st.dictionaries(st.sampled_from(["seq", "at", "kind", "tools", "x"]), JSON)), TEXT)
def test_no_old_line_is_too_odd_to_be_migrated(lines: list[dict[str, Any]], session: str) -> None:
    steps = steps_from(1)
    migrated({"kind": "recording", "session": session}, steps)
    for each in lines:
        for kind in (each.get("kind"), "tools_changed"):
            assert isinstance(migrated({**each, "kind": kind}, steps), dict)


def test_lines_of_this_format_are_not_touched() -> None:
    upgrade = Upgrade(b'{"kind":"recording","format":%d}' % FORMAT)
    odd = b'{ "kind" : "run_started" }\n'
    assert upgrade(odd) is odd
    assert not upgrade.is_needed


# --- the table --------------------------------------------------------------------------------


def test_there_is_a_step_from_each_format_to_the_next() -> None:
    assert [*MIGRATIONS] == [*range(1, FORMAT)]


def notes(number: int) -> Callable[[], Step]:
    """A step that writes down that it was there, and how many lines it has seen."""

    def make() -> Step:
        seen = 0

        def step(each: Json) -> Json:
            nonlocal seen
            seen += 1
            return {**each, "been": [*each.get("been", []), f"{number}:{seen}"]}

        return step

    return make


TABLE = {1: notes(1), 2: notes(2), 3: notes(3)}


def test_steps_follow_each_other_from_the_format_found_and_each_run_begins_anew() -> None:
    assert migrated({}, steps_from(1, TABLE)) == {"been": ["1:1", "2:1", "3:1"]}
    steps = steps_from(3, TABLE)
    assert [migrated({}, steps), migrated({}, steps)] == [{"been": ["3:1"]}, {"been": ["3:2"]}]
    assert steps_from(4, TABLE) == []


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (5, "found format 5, expected 4 or older: a newer rxmcp wrote this"),
        (0, "found format 0, expected 1 to 4"),
        (-3, "found format -3, expected 1 to 4"),
    ],
)
def test_a_format_without_a_way_here_is_told_in_words(found: int, words: str) -> None:
    with pytest.raises(UnknownFormatError, match=words):
        steps_from(found, TABLE)

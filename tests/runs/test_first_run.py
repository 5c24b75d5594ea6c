"""The main job: what somebody sees who has only just got the program."""

from pathlib import Path

from pipeline.core.codec import Entry, decode_entry, decode_header
from tests.support.program import run, shell

TOLD = ["prompt_submitted", "tools_changed", "tool_started", "tool_ended", "answer_completed"]


def read_runs(path: Path) -> list[list[Entry]]:
    """The runs of a recording; each of its lines must be one that a replay could read."""
    runs: list[list[Entry]] = []
    for line in path.read_bytes().splitlines():
        if b'"kind":"recording"' in line:
            decode_header(line)
            runs.append([])
        else:
            runs[-1].append(decode_entry(line))
    return runs


def kind_of(entry: Entry) -> str:
    return str(type(entry.item).__struct_config__.tag)

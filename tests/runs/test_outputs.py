"""Which sinks a command line makes."""

from pathlib import Path

import pytest

from pipeline.core.codec import Header
from pipeline.outputs import make_sinks
from sinks.base import Sink
from tests.support.in_process import settings_of


def sinks_of(*argv: str) -> list[Sink]:
    return make_sinks(settings_of(*argv), Header(session="s1"), lambda _sink, _words: None)


@pytest.mark.parametrize(
    ("argv", "names"),
    [
        ([], ["console"]),
        (["-p", "hi"], ["console"]),
        (["tools"], ["console", "tools"]),
        (["call", "add"], ["console", "call"]),
        (["resources"], ["console", "requests"]),
        (["read", "a", "--json"], ["console", "requests"]),
        (["--json"], ["stream-json"]),
        (["--output-format", "json"], ["json"]),
        (["--json", "--sink", "jsonl=a.jsonl"], ["stream-json", "jsonl=a.jsonl"]),
        (["--sink", "jsonl=a.jsonl"], ["jsonl=a.jsonl"]),
        (["--sink", "jsonl=a.jsonl", "--sink", "console"], ["jsonl=a.jsonl", "console"]),
    ],
)
def test_the_words_of_the_command_line_choose_the_sinks(argv: list[str], names: list[str]) -> None:
    assert [sink.name for sink in sinks_of(*argv)] == names


def test_two_webhooks_of_one_host_have_two_names() -> None:
    hooks = [word for path in "ab" for word in ("--sink", f"webhook=http://127.0.0.1/{path}")]
    one, two = sinks_of(*hooks)
    assert one.name != two.name
    assert one.name.startswith("webhook=http://127.0.0.1/")


async def test_a_recording_that_had_to_be_mended_is_told_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    told: list[tuple[str, str]] = []
    path.write_bytes(b'{"kind":"recording","format":1}\n{"seq":1,"a')
    settings = settings_of("--sink", f"jsonl={path}")
    (sink,) = make_sinks(settings, Header(), lambda name, words: told.append((name, words)))
    await sink.open()
    await sink.close()
    ((name, words),) = told
    assert name == f"jsonl={path}"
    assert "ended in the middle of a line" in words

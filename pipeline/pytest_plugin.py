"""The pytest plugin: `recording("name.jsonl")` in a test is a server that answers as recorded.

    async def test_the_sum_is_told(recording):
        tape = recording("add.jsonl")            # recordings/add.jsonl, beside the test
        assert await my_agent("2 + 3?", mcp=tape.url, model=tape.model_url) == "5"

`docs/testing-with-recordings.md` tells the rest. Loaded by every pytest where rxmcp is installed,
so nothing heavy is imported before a test asks for it.
"""

import os
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from pipeline.cassette import Cassette, Mode

__all__ = ["Recording", "pytest_addoption", "pytest_runtest_call", "recording"]

_MODES = ("none", "once", "new", "all")
_FOLDER = "recordings"
_OPENED: "pytest.StashKey[list[tuple[Cassette, str | None]]]" = pytest.StashKey()


class Recording(Protocol):
    """The type of the fixture `recording`."""

    def __call__(self, name: str, *, server: str | None = None) -> "Cassette":
        """Play, or make, `recordings/name`; `server` is the URL of the real server."""
        ...


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--record-mode`; pytest-recording has the same option, which then serves both."""
    if find_spec("pytest_recording") is None:
        parser.getgroup("rxmcp", "recordings of MCP sessions (rxmcp)").addoption(
            "--record-mode",
            choices=_MODES,
            default="none",
            help="none: only play recordings; once: record what is missing; new: add calls that "
            "are not recorded; all: record everything anew (default: none)",
        )


@pytest.fixture
def recording(request: pytest.FixtureRequest) -> Iterator[Recording]:
    """Recordings that answer until the test ends; a miss that the test does not read fails it."""
    from pipeline.cassette import CassetteError, cassette  # noqa: PLC0415  see above

    mode = _mode(request.config)
    opened = request.node.stash.setdefault(_OPENED, [])
    with ExitStack() as stack:

        def open_(name: str, *, server: str | None = None) -> "Cassette":
            path = request.path.parent / _FOLDER / name
            try:
                one = stack.enter_context(cassette(path, mode, server=server, environ=os.environ))
            except CassetteError as exc:
                pytest.fail(str(exc), pytrace=False)
            opened.append((one, server))
            return one

        yield open_
    if report := _report(request.node):
        pytest.fail(report, pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fail a test whose requests were not recorded; one that failed anyway is told why, too."""
    try:
        result = yield
    except BaseException:
        if report := _report(item):
            item.add_report_section("call", "rxmcp", report)
        raise
    if report := _report(item):
        pytest.fail(report, pytrace=False)
    return result


def _mode(config: pytest.Config) -> "Mode":
    match config.getoption("record_mode", default="none"):
        case "once" | "new" | "all" as mode:
            return mode
        case "new_episodes":  # as pytest-recording calls it
            return "new"
        case "rewrite":
            return "all"
        case _:
            return "none"


def _report(item: pytest.Item) -> str:
    """What was asked for and is not recorded, with what to do; empty if there is no such thing."""
    parts: list[str] = []
    nothing: list[tuple[Cassette, str | None]] = []
    for one, server in item.stash.get(_OPENED, nothing):
        misses = one.unread_misses()
        if not misses:
            continue
        count = "1 request" if len(misses) == 1 else f"{len(misses)} requests"
        parts.append(f"{_shown(one.path)} does not answer {count} of this test")
        parts += [f"\n{miss}" for miss in misses]
        parts.append(f"\n{_advice(one.path, server)}")
    return "\n".join(parts)


def _advice(path: Path, server: str | None) -> str:
    if server is None:
        return (
            f'to record it, say recording({path.name!r}, server="http://…/sse") with the address '
            "of the real server, and run pytest --record-mode=new"
        )
    return "to record it, run pytest --record-mode=new (or all, to record everything anew)"


def _shown(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)

"""The pytest plugin in other people's projects: from the wheel, and as it lies here."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from pipeline.background import in_background
from server.options import ServerOptions
from server.run import serve
from tests.house.test_wheel import ROOT, run
from tests.mocks.tapes import record

pytest_plugins = ["pytester"]

Pytest: TypeAlias = Callable[..., pytest.RunResult]

EXAMPLE = """
import asyncio
from mcp import ClientSession
from mcp.client.sse import sse_client

async def added(url, **arguments):
    async with asyncio.timeout(20), sse_client(url) as pipes, ClientSession(*pipes) as session:
        await session.initialize()
        return (await session.call_tool("add", arguments)).content[0].text

async def test_sum(recording):
    tape = recording("add.jsonl")
    assert await added(tape.url, a=2, b=3) == "5"
    tape.assert_all_used()
"""
SYNC = EXAMPLE.replace("async def test_sum", "def test_sum").replace(
    "await added(tape.url, a=2, b=3)", "asyncio.run(added(tape.url, a=2, b=3))"
)
MISSED = SYNC.replace("b=3", "b=4")
SETTINGS = """\
[pytest]
filterwarnings = error
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
"""
REPORT = [
    "*recordings/add.jsonl does not answer 1 request of this test*",
    '*asked:   add {"a":2,"b":4}*',
    '*closest: add {"a":2,"b":3}*',
    "*differs: arguments.b: asked 4, recorded 3*",
    "*to record it, *--record-mode=new*",
]


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """`add a=2 b=3`, recorded of the reference server."""
    path = tmp_path_factory.mktemp("tape") / "add.jsonl"
    with in_background(serve(ServerOptions())) as real:
        asyncio.run(record(path, "--server", real.url, prompts=["add a=2 b=3"]))
    return path.read_bytes()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with rxmcp as it comes out of its wheel."""
    folder = tmp_path_factory.mktemp("dist")
    build = (sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", str(folder), ".")
    built = run(*build, cwd=ROOT)
    assert built.returncode == 0, built.stdout + built.stderr
    wheel, place = next(folder.glob("*.whl")), folder / "site"
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index")
    installed = run(*pip, "--target", str(place), str(wheel), cwd=folder)
    assert installed.returncode == 0, installed.stderr
    return place


@pytest.fixture
def project(tmp_path: Path, tape: bytes) -> Path:
    """Somebody else's tests."""
    (tmp_path / "pytest.ini").write_text(SETTINGS)
    (tmp_path / "recordings").mkdir()
    (tmp_path / "recordings" / "add.jsonl").write_bytes(tape)
    return tmp_path


@pytest.mark.parametrize("test", [EXAMPLE, SYNC])
def test_it_works_from_the_wheel_in_another_project(site: Path, project: Path, test: str) -> None:
    (project / "test_it.py").write_text(test)
    command = (sys.executable, "-m", "pytest", "-p", "pytest_asyncio.plugin")
    command = (*command, "-p", "rxmcp.pipeline.pytest_plugin")
    env = {"PYTHONPATH": str(site), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    passed = run(*command, cwd=project, **env)
    assert passed.returncode == 0, passed.stdout + passed.stderr
    assert "1 passed" in passed.stdout
    (project / "test_it.py").write_text(test.replace("b=3", "b=4"))
    failed = run(*command, cwd=project, **env)
    assert failed.returncode == 1, failed.stdout + failed.stderr
    for words in (
        "recordings/add.jsonl does not answer 1 request of this test",
        'asked:   add {"a":2,"b":4}',
        'closest: add {"a":2,"b":3}',
        "differs: arguments.b: asked 4, recorded 3",
        "say recording('add.jsonl', server=\"http://…/sse\")",
    ):
        assert words in failed.stdout


def test_pytest_finds_it_in_an_installed_wheel_by_itself(site: Path, project: Path) -> None:
    (project / "test_it.py").write_text(SYNC)
    passed = run(sys.executable, "-m", "pytest", cwd=project, PYTHONPATH=str(site))
    assert passed.returncode == 0, passed.stdout + passed.stderr


def test_nothing_heavy_is_imported_before_a_test_asks_for_it(site: Path, project: Path) -> None:
    look = (
        "import sys, rxmcp.pipeline.pytest_plugin; print({'aiohttp', 'pydantic'} & {*sys.modules})"
    )
    names = run(sys.executable, "-c", look, cwd=project, PYTHONPATH=str(site))
    assert names.stdout.strip() == "set()", names.stdout + names.stderr


# --- as it lies in the checkout ------------------------------------------------


@pytest.fixture
def inner(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tape: bytes) -> Pytest:
    """Runs pytest in a project of its own; the plugin is the checkout's."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    folder = pytester.mkdir("recordings")
    (folder / "add.jsonl").write_bytes(tape)

    def inner(test: str, *words: str) -> pytest.RunResult:
        pytester.makepyfile(test)
        plugin = ("-p", "pipeline.pytest_plugin")
        # Not in this process, where the outer pytest has it already, by its entry point.
        return pytester.runpytest_subprocess(*plugin, "-W", "error", *words)

    return inner


def test_a_test_whose_requests_are_recorded_passes(inner: Pytest) -> None:
    inner(SYNC).assert_outcomes(passed=1)


def test_a_miss_that_breaks_the_test_is_explained_in_its_report(inner: Pytest) -> None:
    result = inner(MISSED.replace('"add.jsonl"', '"add.jsonl", server="http://127.0.0.1:9/sse"'))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(REPORT)


def test_a_miss_that_the_client_swallows_fails_the_test(inner: Pytest) -> None:
    swallowed = """
    tape = recording("add.jsonl")
    try:
        asyncio.run(added(tape.url, a=2, b=4))
    except Exception:
        pass
"""
    head = SYNC.partition("    tape = ")[0]
    result = inner(head + swallowed)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([*REPORT[:-1], '*say recording(*server="http://…/sse")*'])
    inner(head + swallowed + "    assert len(tape.misses) == 1\n").assert_outcomes(passed=1)


def test_a_miss_while_fixtures_end_is_an_error(inner: Pytest) -> None:
    test = (
        SYNC
        + """
import pytest

@pytest.fixture
def asks_late(recording):
    tape = recording("add.jsonl")
    yield tape
    try:
        asyncio.run(added(tape.url, a=2, b=4))
    except Exception:
        pass

def test_late(asks_late):
    pass
"""
    )
    result = inner(test)
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*does not answer 1 request*"])


def test_several_misses_are_counted_and_each_is_told(inner: Pytest) -> None:
    test = (
        SYNC.partition("    tape = ")[0]
        + """
    tape = recording("add.jsonl")
    for b in (4, 5):
        try:
            asyncio.run(added(tape.url, a=2, b=b))
        except Exception:
            pass
    other = recording("add.jsonl")
"""
    )
    result = inner(test)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*answer 2 requests*", "*asked 4*", "*asked 5*"])


def test_what_was_not_asked_for_can_be_a_failure(inner: Pytest) -> None:
    result = inner("def test_it(recording):\n    recording('add.jsonl').assert_all_used()\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*add.jsonl: recorded, but not asked for:*", '*add {"a":2,"b":3}*']
    )


def test_a_recording_that_is_not_there_is_told_with_what_to_do(inner: Pytest) -> None:
    result = inner("def test_it(recording):\n    recording('none.jsonl')\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*there is no recording *none.jsonl; record it with *=once*"])


@pytest.mark.parametrize("mode", ["once", "new", "all"])
def test_the_option_chooses_what_is_recorded(
    inner: Pytest, pytester: pytest.Pytester, mode: str
) -> None:
    with in_background(serve(ServerOptions())) as real:
        test = SYNC.replace('"add.jsonl"', f'"fresh.jsonl", server="{real.url}"')
        inner(test, f"--record-mode={mode}").assert_outcomes(passed=1)
    inner(test).assert_outcomes(passed=1)
    assert (pytester.path / "recordings" / "fresh.jsonl").is_file()


def test_a_mode_that_does_not_exist_is_refused(inner: Pytest) -> None:
    result = inner(SYNC, "--record-mode=sometimes")
    result.stderr.fnmatch_lines(["*--record-mode: invalid choice: 'sometimes'*none*once*new*all*"])


@pytest.mark.parametrize(
    ("word", "is_recorded"), [("new_episodes", True), ("rewrite", True), ("none", False)]
)
def test_the_option_of_pytest_recording_serves_both(
    inner: Pytest, pytester: pytest.Pytester, word: str, is_recorded: bool
) -> None:
    """Where it is installed, `--record-mode` and its words are its own."""
    pytester.makepyfile(
        pytest_recording="",
        other="def pytest_addoption(parser):\n    parser.addoption('--record-mode')\n",
    )
    pytester.syspathinsert()
    with in_background(serve(ServerOptions())) as real:
        test = SYNC.replace('"add.jsonl"', f'"fresh.jsonl", server="{real.url}"')
        inner(test, "-p", "other", f"--record-mode={word}")
    assert (pytester.path / "recordings" / "fresh.jsonl").is_file() == is_recorded


def test_the_wheel_says_where_the_plugin_is(site: Path) -> None:
    (names,) = site.glob("rxmcp-*.dist-info/entry_points.txt")
    assert "[pytest11]\nrxmcp = rxmcp.pipeline.pytest_plugin\n" in names.read_text()

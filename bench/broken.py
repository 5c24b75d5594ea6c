"""Break each mechanism once, on purpose, and see that a test fails for it.

    python -m bench.broken            # all of them; writes the table in docs/reliability.md
    python -m bench.broken silent     # those whose promise has this word; writes nothing

Each mechanism of `bench.broken_list` is broken in a copy of this checkout, one at a time, and the
tests that are named for it run there until the first one fails. All of them run first with nothing
broken, so that a failure is the break's. Exit status 1 if a break goes unnoticed.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench.broken_list import MECHANISMS, Mechanism
from bench.page import ROOT, write_block

_PATIENCE = 300.0  # seconds for the tests of one mechanism
_FAILED = re.compile(r"^FAILED tests/(\S+?)(?:\[| - |$)", re.MULTILINE)
_ALL_PASSED, _SOME_FAILED = 0, 1
_LEFT_BEHIND = (".git", ".venv", ".*_cache", "__pycache__", "node_modules", ".venv-*")


class Found(NamedTuple):
    """What became of the tests: the one that failed, or why that cannot be said."""

    test: str = ""
    trouble: str = ""


UNNOTICED = Found(trouble="nobody noticed")


def copy_of_checkout(folder: Path) -> Path:
    """A copy to break things in; the servers of other languages are those of the original."""
    copy = folder / "checkout"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*_LEFT_BEHIND), symlinks=True)
    return copy


def broken(mechanism: Mechanism, source: str) -> str:
    """The source with the mechanism broken.

    Raises:
        ValueError: If the place is not there exactly once.
    """
    count = source.count(mechanism.text)
    if count != 1:
        raise ValueError(
            f"{mechanism.path}: found {mechanism.text!r} {count} times, expected it once"
        )
    return source.replace(mechanism.text, mechanism.broken)


def break_once(mechanism: Mechanism, checkout: Path) -> Found:
    """Run its tests with the mechanism broken, and mend it again."""
    path = checkout / mechanism.path
    source = path.read_text("utf-8")
    path.write_text(broken(mechanism, source), "utf-8")
    try:
        return run_tests(mechanism.tests, checkout)
    finally:
        path.write_text(source, "utf-8")


def run_tests(tests: Sequence[str], checkout: Path) -> Found:
    """Run these until the first one fails."""
    words = (sys.executable, "-m", "pytest", "-x", "-q", "--tb=no", "-p", "no:cacheprovider")
    files = [f"tests/{test}" for test in tests]
    try:
        done = subprocess.run(
            (*words, *files),
            cwd=checkout,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Found(trouble=f"no end within {_PATIENCE:g} s")
    failed = _FAILED.search(done.stdout)
    if done.returncode == _SOME_FAILED and failed is not None:
        return Found(test=failed[1])
    if done.returncode == _ALL_PASSED:
        return UNNOTICED
    return Found(trouble=f"pytest ended with {done.returncode}: {done.stdout[-300:]}")


def table(mechanisms: Sequence[Mechanism], found: Sequence[Found]) -> str:
    """The page's table."""
    lines = ["| Mechanism | Broken in | The test that fails |", "| --- | --- | --- |"]
    for each, result in zip(mechanisms, found, strict=True):
        shown = f"`{result.test}`" if result.test else f"**{result.trouble}**"
        lines.append(f"| {each.promise} | `{each.path}` | {shown} |")
    return "\n".join(lines)


def main(words: Sequence[str]) -> int:
    """Break all that were asked for; how it went is printed on the way."""
    chosen = [each for each in MECHANISMS if all(word in each.promise for word in words)]
    if not chosen:
        print(f"found no promise with {' and '.join(words)}", file=sys.stderr)
        return 1
    found: list[Found] = []
    with tempfile.TemporaryDirectory(prefix="broken-") as folder:
        checkout = copy_of_checkout(Path(folder))
        whole = run_tests(
            list(dict.fromkeys(test for each in chosen for test in each.tests)), checkout
        )
        if whole != UNNOTICED:
            print(f"with nothing broken: {whole.test or whole.trouble}", file=sys.stderr)
            return 1
        for each in chosen:
            found.append(break_once(each, checkout))
            print(f"{each.promise}: {found[-1].test or found[-1].trouble}", flush=True)
    if not words:
        write_block("bench.broken", table(chosen, found))
    return 0 if all(each.test for each in found) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

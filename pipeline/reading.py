"""The commands that read recordings, and need neither server nor model."""

import shutil
import sys
from pathlib import Path
from typing import TextIO

from loguru import logger

from config.settings import Settings
from pipeline.core.codec import Header
from pipeline.looks.diff import diff
from pipeline.looks.lint import lint
from pipeline.looks.page import page
from pipeline.looks.show import show
from pipeline.outputs import make_sinks
from pipeline.replay import Replayed, ReplayOptions, replay
from pipeline.shell.recordings import RecordedRun, RecordingError, last_run

DIFFERS = 6
_WIDTH, _WIDEST = 80, 120


async def replay_file(settings: Settings) -> int:
    """`replay FILE`: into the sinks of the command line; 6 where `--check` finds a difference."""
    run = last_run(Path(settings.files[0]))
    options = ReplayOptions(check=settings.check, until=settings.until, speed=settings.speed)
    header = Header(rxmcp=run.header.rxmcp, session=run.header.session, plan=run.header.plan)
    # A check is about the comparison: what the run had to say is not said again.
    is_silent = settings.check and settings.output_format == "text"
    sinks = [
        sink
        for sink in make_sinks(settings, header, _log)
        if not (is_silent and sink.name == "console")
    ]
    done = await replay(run, sinks, options)
    if settings.check:
        _say(sys.stderr if done.difference else sys.stdout, _verdict(run, done))
    return DIFFERS if done.difference else 0


def show_file(settings: Settings) -> int:
    """`show FILE`: as text, or with `--html` as a page in a new file."""
    run = last_run(Path(settings.files[0]))
    if settings.html:
        _write_page(Path(settings.html), page(run))
        _say(sys.stderr, f"written: {settings.html}")
        return 0
    is_terminal = sys.stdout.isatty()
    colour = settings.color == "always" or (settings.color == "auto" and is_terminal)
    _say(sys.stdout, show(run, colour=colour, width=_width()).rstrip("\n"))
    return 0


def diff_files(settings: Settings) -> int:
    """`diff FILE FILE`: 6 at the first event that differs in meaning."""
    one, other = (last_run(Path(name)) for name in settings.files)
    report = diff(one, other)
    _say(sys.stdout, report.text.rstrip("\n"))
    return 0 if report.is_same else DIFFERS


def lint_file(settings: Settings) -> int:
    """`lint FILE`: a line for each finding; 1 if there is any."""
    path = Path(settings.files[0])
    findings = lint(path)
    for finding in findings:
        _say(sys.stdout, str(finding))
    if not findings:
        _say(sys.stdout, f"{path}: nothing found")
    return 1 if findings else 0


def _width() -> int:
    return min(shutil.get_terminal_size((_WIDTH, 24)).columns, _WIDEST)


def _write_page(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as exc:
        raise RecordingError(f"cannot write {str(path)!r}: {exc.strerror}") from exc


def _log(sink: str, words: str) -> None:
    logger.warning("sink {}: {}", sink, words)


def _verdict(run: RecordedRun, done: Replayed) -> str:
    name = run.path.name
    if done.difference is None:
        end = "to its end" if done.ended is not None else "as far as it goes"
        return f"{name}: {done.events} events, {end}, all as recorded"
    found = done.difference
    kind = (found.recorded or found.now).__class__.__name__
    lines = "\n".join(f"  {line}" for line in str(found).splitlines())
    return (
        f"{name}: event {found.seq} ({kind}) is not as recorded:\n{lines}\n"
        f"All {found.seq - 1} events before it are. Look at them with: replay {name} --until "
        f"{found.seq}"
    )


def _say(stream: TextIO, text: str) -> None:
    print(text, file=stream)

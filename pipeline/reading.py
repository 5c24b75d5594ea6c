"""The commands that read recordings, and need neither server nor model."""

import shutil
import sys
from pathlib import Path
from typing import TextIO

from loguru import logger
from msgspec.structs import replace

from config.settings import Settings
from config.streams import write
from pipeline.bending.bend import bend, bent_header
from pipeline.bending.report import report
from pipeline.core.codec import FORMAT
from pipeline.core.known_values import SHORTEST
from pipeline.headers import now
from pipeline.looks.diff import diff
from pipeline.looks.lint import lint
from pipeline.looks.page import page
from pipeline.looks.redact import KNOWN, in_words, named_by, redact
from pipeline.looks.show import show
from pipeline.looks.words import count
from pipeline.migrate import migrate
from pipeline.outputs import make_sinks
from pipeline.plans import version
from pipeline.replay import Replayed, ReplayOptions, replay
from pipeline.shell.recordings import RecordedRun, RecordingError, last_run

DIFFERS = 6
_WIDTH, _WIDEST = 80, 120


async def replay_file(settings: Settings) -> int:
    """`replay FILE`: into the sinks of the command line; 6 where `--check` finds a difference."""
    run = last_run(Path(settings.files[0]))
    if settings.fault:
        return await _bend_file(settings, run)
    options = ReplayOptions(check=settings.check, until=settings.until, speed=settings.speed)
    header = replace(run.header, format=FORMAT)
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


async def _bend_file(settings: Settings, run: RecordedRun) -> int:
    """`replay FILE --fault …`: the exit status is that of the bent run, 1 if it does not end."""
    if settings.check or settings.until is not None:
        other = "--check" if settings.check else "--until"
        raise RecordingError(
            f"found --fault and {other}, expected one of them: a bent run is not the recorded one; "
            "record it with --sink jsonl=NEW, and replay that"
        )
    sinks = make_sinks(settings, bent_header(run.header, settings.fault), _log)
    bent = await bend(run, sinks, settings.fault, speed=settings.speed)
    _say(sys.stderr, report(run, bent))
    return 1 if bent.ended is None else bent.ended.code


def show_file(settings: Settings) -> int:
    """`show FILE`: as text, or with `--html` as a page in a new file."""
    run = last_run(Path(settings.files[0]))
    if settings.html:
        _write_page(Path(settings.html), page(run))
        _say(sys.stderr, f"written: {settings.html}")
        return 0
    is_terminal = sys.stdout.isatty()
    colour = settings.color == "always" or (settings.color == "auto" and is_terminal)
    text = show(run, colour=colour, width=_width(), verbose=settings.verbose)
    _say(sys.stdout, text.rstrip("\n"))
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


def migrate_file(settings: Settings) -> int:
    """`migrate FILE --out NEW`: the same runs in the current format, in a new file."""
    done = migrate(Path(settings.files[0]), Path(settings.out))
    formats = ", ".join(str(number) for number in sorted(set(done.formats)))
    runs, lines = count(len(done.formats), "run"), count(done.lines, "line")
    found = f"{runs}, {lines}; found format {formats}, wrote {FORMAT}"
    _say(sys.stderr, f"written: {settings.out} ({found})")
    return 0


def redact_file(settings: Settings) -> int:
    """`redact FILE --out NEW`: 0, or 1 if `lint` finds a secret in it, or 6 if it replays worse."""
    path, target = Path(settings.files[0]), Path(settings.out)
    known = {value: KNOWN for value in settings.secrets() if len(value) >= SHORTEST}
    named = zip(settings.secret_env, settings.named_secrets, strict=True)
    known |= {secret.get_secret_value(): named_by(name) for name, secret in named}
    done = redact(path, target, known=known, patterns=settings.pattern, at=now(), version=version())
    _say(sys.stdout, in_words(target, done))
    left = [each for each in lint(target) if each.rule in ("secret", "manifest")]
    for finding in left:
        _say(sys.stdout, str(finding))
    if left:
        return 1
    return DIFFERS if done.trouble and not done.is_old_trouble else 0


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
    write(stream, f"{text}\n")

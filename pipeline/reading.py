"""The commands that read recordings, and need neither server nor model."""

import sys
from pathlib import Path
from typing import TextIO

from loguru import logger

from config.settings import Settings
from pipeline.core.codec import Header
from pipeline.outputs import make_sinks
from pipeline.replay import Replayed, ReplayOptions, replay
from pipeline.shell.recordings import RecordedRun, last_run

DIFFERS = 6


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

"""Recorded runs that go on: `resume` in the same file, `fork` in a new one from some event on.

The recorded inputs rebuild the core; then `RunResumed` tells it that connections and timers are
gone. What the recording holds up to then is known, and is neither done nor told again.
"""

from pathlib import Path

import msgspec

from config.settings import Settings
from pipeline.core.codec import FORMAT, Header, encode_entry, encode_header
from pipeline.core.plan import Plan
from pipeline.shell.recordings import RecordedRun, RecordingError, last_run


class Earlier(msgspec.Struct, frozen=True):
    """What a run goes on from: its recording up to event `known`; it is written on `into`.

    `session` is the id of the run from now on: a resumed one keeps its own, a fork has another.
    """

    run: RecordedRun
    known: int
    into: Path | None
    session: str

    @property
    def plan(self) -> Plan:
        """The plan that the recorded inputs were answered under."""
        return self.run.header.plan


def earlier_run(settings: Settings, header: Header) -> Earlier:
    """Read the recording of the command line; for `fork`, begin the new file that `--sink` names.

    Raises:
        RecordingError: If it cannot be read, or the sinks of the command line do not fit.
    """
    path = Path(settings.files[0])
    run = last_run(path)
    targets = [Path(wish.target) for wish in settings.sinks if wish.kind == "jsonl"]
    if settings.command == "resume":
        if targets:
            raise RecordingError(f"a resumed run is recorded in {path.name}: leave out jsonl=…")
        if run.header.format != FORMAT:
            raise RecordingError(
                f"found format {run.header.format} in {str(path)!r}, expected {FORMAT}: a resumed "
                "run writes on in its file; `migrate FILE --out NEW` makes one that can be resumed"
            )
        return Earlier(run, _last_seq(run, None), path, run.header.session)
    if len(targets) > 1:
        raise RecordingError("found several sinks jsonl, expected one at most for a fork")
    known = _last_seq(run, settings.at)
    if settings.at is not None and known < settings.at:
        raise RecordingError(f"{path.name} ends at event {known}, expected {settings.at} or more")
    if targets:
        _copy(run, known, targets[0], header)
    return Earlier(run, known, targets[0] if targets else None, header.session)


def without_recordings(settings: Settings) -> Settings:
    """The same, with the sinks that write no recording."""
    others = tuple(wish for wish in settings.sinks if wish.kind != "jsonl")
    return settings.model_copy(update={"sinks": others})


def _last_seq(run: RecordedRun, at: int | None) -> int:
    seq = 0
    for entry in run.entries():
        if at is not None and entry.seq > at:
            break
        seq = entry.seq
    return seq


def _copy(run: RecordedRun, known: int, target: Path, header: Header) -> None:
    header = msgspec.structs.replace(header, plan=run.header.plan)
    lines = [encode_header(header)]
    for entry in run.entries():
        if entry.seq > known:
            break
        lines.append(encode_entry(msgspec.structs.replace(entry, session=header.session)))
    try:
        with target.open("xb") as file:
            target.chmod(0o600)
            file.write(b"".join(line + b"\n" for line in lines))
    except OSError as exc:
        raise RecordingError(f"cannot begin {str(target)!r}: {exc.strerror}") from exc

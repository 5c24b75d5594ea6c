"""Recorded runs that go on: `resume` in the same file, `fork` in a new one from some event on.

The recorded inputs rebuild the core; then `RunResumed` tells it that connections and timers are
gone. What the recording holds up to then is known, and is neither done nor told again.
"""

from collections.abc import Mapping, Set
from pathlib import Path
from types import MappingProxyType

import msgspec

from config.settings import Settings
from pipeline.core.codec import FORMAT, Header, encode_entry, encode_header
from pipeline.core.events import RunResumed
from pipeline.core.plan import Plan
from pipeline.plans import SHARED, WishError
from pipeline.shell.recordings import RecordedRun, RecordingError, last_run

_ANEW: Mapping[str, str] = MappingProxyType(
    {
        **{name: name for name in SHARED},
        "price": "price",
        "elicit": "elicitation",
        "answers": "answers",
        "sampling": "sampling",
        "roots": "roots",
        "server_log_level": "log_level",
        "changed_tools": "changed_tools",
        "approve": "approve",
    }
)
"""Settings that a run which goes on may be given anew, and the fields of the plan that they are."""

_WHO: Mapping[str, str] = MappingProxyType(
    {"elicit": "elicitation", "sampling": "sampling", "changed_tools": "changed_tools"}
)


class Earlier(msgspec.Struct, frozen=True):
    """What a run goes on from: its recording up to event `known`; it is written on `into`.

    `plan` is the one in force there. `session` is the id of the run from now on: a resumed one
    keeps its own, a fork has another.
    """

    run: RecordedRun
    known: int
    plan: Plan
    into: Path | None
    session: str

    @property
    def begun(self) -> Plan:
        """The plan that the run began with, and that the core begins with again."""
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
        known, plan = _end(run, None)
        return Earlier(run, known, plan, path, run.header.session)
    if len(targets) > 1:
        raise RecordingError("found several sinks jsonl, expected one at most for a fork")
    known, plan = _end(run, settings.at)
    if settings.at is not None and known < settings.at:
        raise RecordingError(f"{path.name} ends at event {known}, expected {settings.at} or more")
    if targets:
        _copy(run, known, targets[0], header)
    return Earlier(run, known, plan, targets[0] if targets else None, header.session)


def plan_from_here(earlier: Earlier, made: Plan, told: Set[str]) -> Plan:
    """The plan of a run that goes on: what was `told` now as it was `made` of that, else as before.

    Who answers servers is told by `made` as well where nobody ever said so: that depends on who is
    there. `told` are names of settings.

    Raises:
        WishError: If the money may have a limit, and nobody knows what the model costs.
    """
    names = {field for name, field in _ANEW.items() if name in told}
    names |= {field for name, field in _WHO.items() if _depends_on_who_is_there(earlier, name)}
    if "model" in told:
        names.add("price")
    plan = msgspec.structs.replace(
        earlier.plan,
        goal=made.goal,
        servers=made.servers,
        interactive=made.interactive,
        **{name: getattr(made, name) for name in names},
    )
    if plan.max_budget_usd is not None and plan.price is None and plan.model != "direct":
        raise WishError(
            f"--max-budget-usd: no price is known for {plan.model!r}, so the budget cannot be "
            "kept; give --price INPUT/OUTPUT (USD per million tokens)"
        )
    return plan


def _depends_on_who_is_there(earlier: Earlier, setting: str) -> bool:
    """Did nobody say it, or is it the person, who may not be there any more?"""
    was_said = setting in earlier.run.header.settings
    policy = getattr(earlier.plan, _WHO[setting])
    return policy == "ask" or (policy in ("never", "hold") and not was_said)


def without_recordings(settings: Settings) -> Settings:
    """The same, with the sinks that write no recording."""
    others = tuple(wish for wish in settings.sinks if wish.kind != "jsonl")
    return settings.model_copy(update={"sinks": others})


def _end(run: RecordedRun, at: int | None) -> tuple[int, Plan]:
    """The last event, at most the one at `at`, and the plan that is in force there."""
    seq, plan = 0, run.header.plan
    for entry in run.entries():
        if at is not None and entry.seq > at:
            break
        seq = entry.seq
        if isinstance(entry.item, RunResumed):
            plan = entry.item.plan_after(plan)
    return seq, plan


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

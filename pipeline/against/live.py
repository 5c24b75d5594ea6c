"""`replay FILE --against live`: the recorded prompts again, to the real servers and the real model.

The run is an ordinary one, so its tools are really called; but its prompts come from a recording,
and what it does is compared with what was done then.
"""

import asyncio
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from config.mcp_entry import McpEntry
from config.settings import Settings
from config.streams import write
from pipeline.against.behaviour import Behaviour
from pipeline.against.comparison import can_be_asked, compare
from pipeline.against.report import as_json, in_words
from pipeline.against.verdict import Comparison
from pipeline.assembly import Run
from pipeline.core.events import Input, InputEnded, RunEnded
from pipeline.core.plan import Goal, Plan, ServerPlan
from pipeline.core.run import DONE, LIMIT_REACHED, TOOL_ERROR, USAGE
from pipeline.looks.words import count, names
from pipeline.plans import as_recorded, make_plan
from pipeline.queued_prompts import QueuedPrompts
from pipeline.reading import DIFFERS
from pipeline.servers import reach, withheld
from pipeline.shell.recordings import last_run
from pipeline.tool_pins import ToolPins
from sinks.base import Sink
from sinks.console import ConsoleSink
from sinks.tap import Tap
from sinks.terminal_text import one_line


class LiveReplay:
    """One recording against the real thing: made from settings, then `run`, then `finish`.

    `settings` are those of the new run, `servers` the recorded ones.

    Raises:
        RecordingError: If there is no such recording, or it cannot be read.
    """

    def __init__(self, settings: Settings) -> None:
        run = last_run(Path(settings.files[0]))
        self._recorded = Behaviour(run.header.plan)
        for entry in run.entries():
            self._recorded.read(entry.item)
        self._name = run.path.name
        self._told = settings
        self._now: Behaviour | None = None
        self.settings = _as_recorded(settings, run.header.plan, self._recorded.goal)

    @property
    def servers(self) -> tuple[ServerPlan, ...]:
        """Where the recorded run went."""
        return self._recorded.planned

    def notices(self, entries: Sequence[McpEntry]) -> Iterator[str]:
        """What to tell a person before it starts; `entries` are its servers. Harmless."""
        turns = filter(can_be_asked, self._recorded.turns)
        calls = [call for turn in turns for call in turn.calls if not call.only_reads]
        if calls:
            tools = names(list(dict.fromkeys(call.tool for call in calls)))
            yield one_line(
                f"tools are really called; in the recording {count(len(calls), 'call')} went to "
                f"tools that do not say that they only read: {tools}"
            )
        if words := withheld(entries, self.settings):
            yield one_line(words)

    def run(
        self,
        entries: Sequence[McpEntry],
        *,
        is_terminal: bool,
        say: Callable[[str], None],
        pins: ToolPins | None = None,
    ) -> Run:
        """The new run, to begin with `RunStarted`; the rest is as for `pipeline.servers.reach`.

        `pins` are what was approved of the servers' tools; None: they are used whatever they say.

        Raises:
            ServersError: If the address or a header of a server cannot be used.
        """
        plans, links = reach(entries, self.settings, is_terminal=is_terminal, say=say)
        plans = plans if pins is None else pins.with_pins(plans)
        plan = make_plan(self.settings, plans, goal=self._recorded.goal, is_interactive=False)
        self._now = Behaviour(plan)
        queue: asyncio.Queue[Input] = asyncio.Queue()
        for turn in filter(can_be_asked, self._recorded.turns):
            queue.put_nowait(turn.wish)
        queue.put_nowait(InputEnded())
        also = [Tap("against", self._now.read), *_screen(self._told)]
        prompts, keep = QueuedPrompts(queue), None if pins is None else pins.keep
        return Run(self.settings, plan, links, prompts=prompts, also=also, keep_pins=keep)

    def finish(self, ended: RunEnded) -> int:
        """Print what came of it on standard output; the exit status."""
        assert self._now is not None, "it ran"
        found = compare(self._recorded, self._now)
        code = _status(ended, found)
        tell = in_words if self._told.output_format == "text" else as_json
        write(sys.stdout, f"{tell(self._name, found, ended, code)}\n")
        return code


def _as_recorded(settings: Settings, plan: Plan, goal: Goal) -> Settings:
    """The settings of the run: what is not told now comes from the recording."""
    settings = as_recorded(settings, plan)
    sinks = tuple(wish for wish in settings.sinks if wish.kind != "console")
    command = goal if goal in ("tools", "call") else "chat"
    return settings.model_copy(update={"command": command, "sinks": sinks, "output_format": "text"})


def _screen(settings: Settings) -> list[Sink]:
    """The run is shown on standard error: standard output is for what comes of the comparison."""
    is_shown = any(wish.kind == "console" for wish in settings.sinks)
    if not is_shown or settings.output_format != "text":
        return []
    is_terminal = sys.stderr.isatty()
    colour = settings.color == "always" or (settings.color == "auto" and is_terminal)
    console = ConsoleSink(
        sys.stderr,
        sys.stderr,
        colour=colour,
        is_terminal=is_terminal,
        verbose=settings.verbose,
        quiet=settings.quiet,
    )
    return [console]


def _status(ended: RunEnded, found: Comparison) -> int:
    """A run that failed keeps its status, but not for calls and answers that ended as recorded."""
    if ended.code in (DONE, USAGE, TOOL_ERROR):
        return DONE if found.is_same else DIFFERS
    return DONE if ended.code == LIMIT_REACHED and found.is_same else ended.code

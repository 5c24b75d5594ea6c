"""`replay FILE --against live`: the recorded prompts again, to the real servers and the real model.

The run is an ordinary one, so its tools are really called; but its prompts come from a recording,
and what it does is compared with what was done then.
"""

import asyncio
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from msgspec.structs import asdict

from config.mcp_entry import McpEntry
from config.prices import Price
from config.servers import EMBEDDED
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
from pipeline.plans import make_plan
from pipeline.queued_prompts import QueuedPrompts
from pipeline.reading import DIFFERS
from pipeline.servers import reach
from pipeline.shell.recordings import last_run
from sinks.base import Sink
from sinks.console import ConsoleSink
from sinks.tap import Tap
from sinks.terminal_text import one_line

_AS_RECORDED = (
    *("model", "system_prompt", "max_turns", "max_budget_usd", "allowed_tools", "disallowed_tools"),
    *("start_timeout", "connect_timeout", "call_timeout", "call_timeout_max", "repeat_calls"),
    "ignore_tool_error",
)
"""Fields that settings and plan share: what nobody says now is as it was then."""


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
        strangers = [entry.name for entry in entries if self._is_from_recording(entry)]
        if strangers and self.settings.api_key is not None:
            yield one_line(
                f"MCP_API_KEY is not sent to what only the recording names ({names(strangers)}); "
                "give --server URL to have it sent"
            )

    def run(
        self, entries: Sequence[McpEntry], *, is_terminal: bool, say: Callable[[str], None]
    ) -> Run:
        """The new run, to begin with `RunStarted`; the rest is as for `pipeline.servers.reach`.

        Raises:
            ServersError: If the address or a header of a server cannot be used.
        """
        entries = [self._without_key(entry) for entry in entries]
        plans, links = reach(entries, self.settings, is_terminal=is_terminal, say=say)
        plan = make_plan(self.settings, plans, goal=self._recorded.goal, is_interactive=False)
        self._now = Behaviour(plan)
        queue: asyncio.Queue[Input] = asyncio.Queue()
        for turn in filter(can_be_asked, self._recorded.turns):
            queue.put_nowait(turn.wish)
        queue.put_nowait(InputEnded())
        also = [Tap("against", self._now.read), *_screen(self._told)]
        return Run(self.settings, plan, links, prompts=QueuedPrompts(queue), also=also)

    def _without_key(self, entry: McpEntry) -> McpEntry:
        """A recording may be anybody's: where it leads does not get a key that it cannot hold."""
        return replace(entry, source=self._name) if self._is_from_recording(entry) else entry

    def _is_from_recording(self, entry: McpEntry) -> bool:
        return not (entry.source or self.settings.servers or entry.name == EMBEDDED)

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
    told = settings.model_fields_set
    same = {name: getattr(plan, name) for name in _AS_RECORDED if name not in told}
    if "model" in same and "price" not in told and plan.price is not None:
        same["price"] = Price(**asdict(plan.price))
    sinks = tuple(wish for wish in settings.sinks if wish.kind != "console")
    command = goal if goal in ("tools", "call") else "chat"
    return settings.model_copy(
        update={**same, "command": command, "sinks": sinks, "output_format": "text"}
    )


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

"""Puts a run together: which sources, stages, effects and sinks, and who closes what.

The only place that knows all the parts. It decides nothing about a session: that is the core's.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial

from loguru import logger
from msgspec.structs import replace

from config.settings import Settings
from pipeline.core.codec import Entry
from pipeline.core.commands import PinTools
from pipeline.core.events import (
    CallSubmitted,
    Input,
    InputEnded,
    PromptCancelled,
    PromptSubmitted,
    QuestionAnswered,
    RunEnded,
    RunResumed,
    RunStarted,
    SinkFailed,
)
from pipeline.core.plan import Goal, Plan
from pipeline.core.weight import weight_of_entry
from pipeline.deadline import Deadline
from pipeline.going_on import Earlier, without_recordings
from pipeline.graph import stages
from pipeline.guards import make_guard
from pipeline.headers import new_header, now
from pipeline.links import Links, Server
from pipeline.mailbox import Mailbox
from pipeline.outputs import make_sinks
from pipeline.plans import requests_of
from pipeline.replay import ReplayOptions, Tape
from pipeline.runtime import EFFECTS, Runtime, is_command
from pipeline.shell.claude import ClaudeModel
from pipeline.shell.coroutine import Spawn
from pipeline.shell.direct import DirectModel
from pipeline.shell.doors import DoorIn, DoorOut
from pipeline.shell.effects import Effects, Prompts
from pipeline.shell.http import make_post_session, make_stream_session
from pipeline.shell.models import Model, Models
from pipeline.shell.streams import Streams
from pipeline.shell.timers import Timers
from sinks.base import Sink, SinkActor
from sinks.jsonl import JsonlSink
from sinks.tool_pins import PinsSink
from sinks.webhook import WebhookSink

_CLOSING = 2.0  # seconds for the model's connections
_LAST = 1.0  # seconds for a sink to let go of what it holds, when there is no time left


class Run:
    """One run of the client: made from settings, fed from outside by `put`, run once.

    `keep_pins` remembers what was approved of tools, or says why it could not; None: nobody does.
    """

    def __init__(
        self,
        settings: Settings,
        plan: Plan,
        targets: Sequence[Server],
        *,
        prompts: Prompts | None,
        also: Sequence[Sink] = (),
        earlier: Earlier | None = None,
        keep_pins: Callable[[PinTools], str] | None = None,
    ) -> None:
        self._settings = settings
        self._targets = targets
        self._prompts = prompts
        self._is_interrupted = False
        self._guard = make_guard(settings, targets)
        self._inbox: Mailbox[Input] = DoorIn(settings.mailbox, self._guard)
        self._shutdown = Deadline(settings.shutdown_timeout)
        self._earlier = earlier
        if keep_pins is not None:
            also = (*also, PinsSink(keep_pins, on_trouble=partial(self._tell, PinsSink.name)))
        self._also = also
        header = self._guard.header(new_header(settings, plan))
        self._plan = header.plan
        policies = (header.plan.elicitation, header.plan.sampling, header.plan.changed_tools)
        self._is_watched = header.plan.interactive or "ask" in policies
        sinks: list[Sink] = [*also]
        if earlier is None:
            sinks += make_sinks(settings, header, self._tell)
        else:
            header = replace(header, session=earlier.session)
            sinks += make_sinks(without_recordings(settings), header, self._tell)
            if earlier.into is not None:
                on_notice = partial(self._tell, f"jsonl={earlier.into}")
                options = settings.recording
                sinks.append(JsonlSink(earlier.into, None, on_notice=on_notice, options=options))
        self._session = header.session
        self._sinks = [self._actor(sink) for sink in sinks]

    @property
    def is_interrupted(self) -> bool:
        """An `interrupt` is still under way."""
        return self._is_interrupted

    @property
    def untold(self) -> list[str]:
        """Why sinks failed, if none was left to show it."""
        failures = [f"{s.name}: {s.failure}" for s in self._sinks if s.failure is not None]
        return failures if self._is_unheard() else []

    def interrupt(self, signal: str) -> None:
        """Have the core end what is under way, be it the turn or the run."""
        self._is_interrupted = True
        self._inbox.put(PromptCancelled(signal=signal))

    async def read(self) -> Input:
        """The next prompt: when one is asked for, nothing is under way any more."""
        self._is_interrupted = False
        assert self._prompts is not None, "only a run with prompts asks for one"
        return await self._prompts.read()

    async def ask(self, question: str) -> QuestionAnswered:
        """What the person answers to a server's question."""
        assert self._prompts is not None, "only a run with prompts asks"
        return await self._prompts.ask(question)

    async def run(self, *inputs: Input) -> RunEnded:
        """Start with these inputs (after those of an earlier run) and run to the end.

        Raises:
            SinkError: If a sink could not be opened.
            CoreFaultError, ShutdownError: As `Runtime.run`.
        """
        for item in inputs:
            self._inbox.put(item)
        async with AsyncExitStack() as stack:
            effects = await self._effects(stack)
            targets = {EFFECTS: is_command} | {sink.name: sink.sink.wants for sink in self._sinks}
            known, inbox, clock, plan = 0, self._inbox, now, self._plan
            if self._earlier is not None:
                known, plan = self._earlier.known, self._earlier.begun
                tape = Tape(self._earlier.run.entries(), ReplayOptions(until=known))
                inbox = _Chained(tape, self._inbox)
                clock = inbox.now
            runtime = Runtime(
                stages(plan, targets, now=clock, session=self._session),
                inbox,
                effects=effects,
                sinks=self._sinks,
                shutdown=self._shutdown,
                known=known,
            )
            ended = await runtime.run()
            assert ended is not None, "nobody closes the inbox of a live run before its end"
            return ended

    async def _effects(self, stack: AsyncExitStack) -> Effects:
        settings, inbox = self._settings, self._inbox
        stream_http = await stack.enter_async_context(make_stream_session())
        post_http = await stack.enter_async_context(make_post_session())
        before = self._plan if self._earlier is None else self._earlier.plan
        is_asked_by_servers = {self._plan.sampling, before.sampling} != {"never"}
        model = _model(settings, self._plan.goal, is_asked_by_servers=is_asked_by_servers)
        stack.push_async_callback(self._close_model, model)

        links = Links(
            self._targets,
            settings,
            inbox,
            stream_http=stream_http,
            post_http=post_http,
            shutdown=self._shutdown,
        )
        return Effects(
            DoorOut(settings.mailbox, self._guard),
            streams=Streams(links.make, put=inbox.put, room=inbox.room),
            senders=links.senders,
            timers=Timers(inbox.put),
            models=partial(_models, model, inbox),
            prompts=None if self._prompts is None else self,
            put=inbox.put,
            is_written=self._is_written,
        )

    async def _close_model(self, model: Model) -> None:
        try:
            async with asyncio.timeout(self._shutdown.part(_CLOSING)):
                await model.close()
        except TimeoutError:
            logger.debug("= the model's connections did not close in time")

    async def _is_written(self, seq: int) -> None:
        """Before anything is done: recordings and outboxes have what led to it, screens show it."""
        for sink in self._sinks:
            if isinstance(sink.sink, JsonlSink | WebhookSink) or self._is_watched:
                await sink.written(seq)

    def _actor(self, sink: Sink) -> SinkActor:
        has_to_stop = self._settings.on_recording_failure == "stop"
        return SinkActor(
            sink,
            Mailbox[Entry](self._settings.mailbox, weigh=weight_of_entry),
            on_failure=self._on_sink_failure,
            patience=lambda: max(self._shutdown.left(), _LAST),
            is_needed=has_to_stop and isinstance(sink, JsonlSink),
        )

    def _on_sink_failure(self, sink: str, reason: str) -> None:
        ends_run = any(each.is_needed for each in self._sinks if each.name == sink)
        self._tell(sink, reason, is_final=True, ends_run=ends_run)
        if self._is_unheard():
            # Nobody is left who would hear an answer.
            self._inbox.put(PromptCancelled(signal="SIGPIPE"))

    def _is_unheard(self) -> bool:
        shown = [sink for sink in self._sinks if sink.sink not in self._also]
        return all(sink.failure is not None for sink in shown)

    def _tell(
        self, sink: str, words: str, *, is_final: bool = False, ends_run: bool = False
    ) -> None:
        if self._inbox.is_closed:
            if not self._is_unheard():  # else `untold` has it
                logger.error("sink {}: {}", sink, words)
        else:
            failed = SinkFailed(sink=sink, reason=words, is_final=is_final, ends_run=ends_run)
            self._inbox.put(failed)


class _Chained:
    """The inputs of a recording, then those of the live run."""

    def __init__(self, tape: Tape, live: Mailbox[Input]) -> None:
        self._tape = tape
        self._live = live

    async def take(self) -> Input | None:
        """The next input."""
        item = None if self._tape.is_over else await self._tape.take()
        return await self._live.take() if item is None else item

    def close(self) -> None:
        """Give no more."""
        self._tape.close()
        self._live.close()

    def now(self) -> str:
        """What the recording did not come to write down happened when its last input came."""
        return now() if self._tape.is_over else self._tape.at


def first_inputs(
    settings: Settings,
    plan: Plan,
    *,
    context: PromptSubmitted | None = None,
    before: Plan | None = None,
) -> tuple[Input, ...]:
    """What a run begins with: nothing more in a chat, else its one wish, `context` below it.

    `before` is the plan that was in force until now, of a run that goes on.

    Raises:
        WishError: If the words of a request do not fit.
    """
    start: Input = RunStarted()
    if before is not None:
        start = _resumed(before, plan)
    if settings.prompt is not None:
        prompt = PromptSubmitted(text=settings.prompt)
        if context is not None:
            text = f"{settings.prompt}\n\n{context.text}"
            prompt = PromptSubmitted(text=text, repaired=context.repaired)
        return start, prompt, InputEnded()
    if settings.command == "call":
        call = CallSubmitted(tool=settings.call_tool, arguments=settings.call_text)
        return start, call, InputEnded()
    if wishes := requests_of(settings):
        return start, *wishes, InputEnded()
    return (start,) if plan.goal == "chat" else (start, InputEnded())


def _resumed(before: Plan, plan: Plan) -> RunResumed:
    """What says that a run goes on under `plan`, as short as can be."""
    resumed = RunResumed(goal=plan.goal, servers=plan.servers, interactive=plan.interactive)
    if resumed.plan_after(before) == plan:
        return resumed
    # What the event says itself, it need not say twice.
    return replace(resumed, plan=replace(plan, goal="chat", servers=(), interactive=False))


def _model(settings: Settings, goal: Goal, *, is_asked_by_servers: bool) -> Model:
    # Without a prompt only a server may ask the model: nobody else waits for Claude's SDK.
    is_asked = goal in ("chat", "prompt") or is_asked_by_servers
    if settings.model == "direct" or not is_asked:
        return DirectModel()
    return ClaudeModel(settings.model_options, system_prompt=settings.system_prompt)


def _models(model: Model, inbox: Mailbox[Input], spawn: Spawn) -> Models:
    return Models(model, push=inbox.put, room=inbox.room, spawn=spawn)

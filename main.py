"""rxmcp: chat with MCP servers, call their tools, record what happens.

The composition root: reads the command line, chooses servers, sinks and prompts, runs, and gives
the exit status. `python main.py --help` tells the rest.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from config.streams import open_standard_streams, write
from pipeline.failures import tell_end, tell_failure, tell_line, tell_untold

if TYPE_CHECKING:  # heavy: only a real run pays for them
    from config.mcp_entry import McpEntry
    from config.settings import Settings
    from pipeline.assembly import Run
    from pipeline.core.plan import ServerPlan

USAGE, FAILED = 2, 1
_DOTENV = Path(".env")
_DIRECT = """\
= no model is set: `direct` takes `tool key=value …`, and `help` lists the tools
  for Claude set ANTHROPIC_API_KEY; for a local model ANTHROPIC_BASE_URL and --model NAME
"""


class UnfitInputError(Exception):
    """Something that the run was given cannot be used; the text says what, and why."""


def run() -> None:
    """The `rxmcp` command."""
    open_standard_streams()
    try:
        status = main(sys.argv[1:], os.environ)
    except KeyboardInterrupt:  # Ctrl-C, where nothing has to be ended in order
        status = 128 + signal.SIGINT
    # All is done: one more Ctrl-C ends what Python has left to do, without a word.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(status)


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Do what the command line says; the exit status."""
    from config.command_line import Shown, UsageError, read_command_line

    program = "rxmcp" if Path(sys.argv[0]).name.startswith("rxmcp") else "python main.py"
    try:
        settings = read_command_line(argv, environ, _DOTENV, program=program)
    except Shown as shown:
        write(sys.stdout, str(shown))
        return 0
    except UsageError as exc:
        write(sys.stderr, f"{program}: {exc}\n")
        return USAGE
    from config.logs import start_logging
    from config.variables import claude_variables, read_dotenv
    from pipeline.shell.loop import new_loop

    # Claude's SDK reads its variables itself, but knows nothing of the file `.env`.
    os.environ.update(claude_variables(environ, read_dotenv(_DOTENV)))
    start_logging(settings.logs_from, settings.secrets())
    for notice in settings.notices:
        tell_line(f"! {notice}")
    try:
        command = _client if settings.against else _COMMANDS.get(settings.command, _client)
        with asyncio.Runner(loop_factory=new_loop) as runner:
            return runner.run(command(settings))
    except Exception as exc:  # noqa: BLE001  a bug of ours: told in words, whole in the log
        from loguru import logger

        logger.opt(exception=exc).debug("! a fault of rxmcp itself")
        return tell_failure(settings, FAILED, f"a fault of rxmcp itself: {exc!r}; please report it")


async def _serve(settings: "Settings") -> int:
    return await _until_signalled(settings, _serve_until_cancelled)


async def _outbox(settings: "Settings") -> int:
    return await _until_signalled(settings, _look_into_outbox)


async def _until_signalled(
    settings: "Settings", work: "Callable[[Settings], Awaitable[int]]"
) -> int:
    """Work that a signal ends in order, and a second one at once."""
    this = asyncio.current_task()
    assert this is not None, "inside asyncio.run"
    caught: list[int] = []

    def stop(number: int) -> None:
        if caught:
            os._exit(128 + number)
        caught.append(number)
        this.cancel()

    _on_signals(stop)
    try:
        return await work(settings)
    except UnfitInputError as exc:
        return tell_failure(settings, USAGE, str(exc))
    except asyncio.CancelledError:
        if not caught:
            raise
        this.uncancel()
    return 128 + caught[0]


async def _look_into_outbox(settings: "Settings") -> int:
    from pipeline.outboxes import outbox
    from sinks.outbox_place import OutboxError

    try:
        return await outbox(settings)
    except OutboxError as exc:
        raise UnfitInputError(str(exc)) from exc


async def _serve_until_cancelled(settings: "Settings") -> int:
    host, port = settings.serve_host, settings.serve_port
    if settings.serve_from:
        from pipeline.mocks.serve import serve_file
        from pipeline.shell.recordings import RecordingError

        try:
            await serve_file(Path(settings.serve_from), host=host, port=port, log=tell_line)
        except RecordingError as exc:
            raise UnfitInputError(str(exc)) from exc
    from server.options import ServerOptions
    from server.run import ServerStartError, serve_until_cancelled

    key = None if settings.api_key is None else settings.api_key.get_secret_value()
    options = ServerOptions(host=host, port=port, folder=settings.serve_folder, api_key=key)
    try:
        await serve_until_cancelled(options, log=tell_line)
    except ServerStartError as exc:
        raise UnfitInputError(str(exc)) from exc
    return 0


async def _client(settings: "Settings") -> int:
    from pipeline.plans import WishError
    from pipeline.runtime import CoreFaultError, ShutdownError
    from pipeline.servers import ServersError
    from pipeline.shell.consents_file import ConsentsError
    from pipeline.shell.pins_file import PinsError
    from pipeline.shell.recordings import RecordingError
    from pipeline.standard_input import ContextError
    from sinks.base import SinkError

    unusable = (
        *(ContextError, ConsentsError, PinsError, RecordingError),
        *(ServersError, UnfitInputError, WishError),
    )
    run_client = _run_client if settings.against is None else _run_against
    async with AsyncExitStack() as stack:
        try:
            return await run_client(settings, stack)
        except unusable as exc:
            return tell_failure(settings, USAGE, str(exc))
        except SinkError as exc:
            return tell_failure(settings, USAGE, f"a sink cannot be opened: {exc}")
        except (CoreFaultError, ShutdownError) as exc:
            return tell_failure(settings, FAILED, str(exc))


async def _run_client(settings: "Settings", stack: AsyncExitStack) -> int:
    from pipeline.assembly import Run, first_inputs
    from pipeline.going_on import earlier_run, plan_from_here
    from pipeline.headers import new_header
    from pipeline.plans import as_recorded, goal_of, make_plan, requests_of
    from pipeline.servers import reach, withheld
    from pipeline.standard_input import is_person_there, may_ask, read_context, read_prompts
    from pipeline.tool_pins import tool_pins
    from sinks.questions import OpenQuestions
    from sinks.tool_names import ToolNames

    requests_of(settings)  # words that do not fit start no server
    goes_on = settings.command in ("resume", "fork")
    earlier = earlier_run(settings, new_header(settings)) if goes_on else None
    told = settings.model_fields_set
    if earlier is not None:
        settings = as_recorded(settings, earlier.plan)
    known = () if earlier is None else earlier.plan.servers
    entries = await _servers(settings, () if settings.servers else known, stack)
    if words := withheld(entries, settings):
        tell_line(f"! {words}")
    goal = goal_of(settings, None if earlier is None else earlier.plan.goal)
    is_interactive = goal == "chat" and sys.stdin.isatty() and sys.stdout.isatty()
    if is_interactive and settings.model == "direct" and not settings.quiet:
        write(sys.stderr, _DIRECT)
    servers, links = reach(entries, settings, is_terminal=is_person_there(), say=tell_line)
    pins = tool_pins(settings, entries, Path.cwd())
    servers = pins.with_pins(servers)
    plan = make_plan(settings, servers, goal=goal, is_interactive=is_interactive, may_ask=may_ask())
    if earlier is not None:
        plan = plan_from_here(earlier, plan, told)
    names, questions = ToolNames(), OpenQuestions()
    client = Run(
        settings,
        plan,
        links,
        prompts=read_prompts(
            plan, stack, names.words, questions.get, max_chars=settings.max_prompt_chars
        ),
        also=[names, questions],
        earlier=earlier,
        keep_pins=pins.keep,
    )
    _interrupt(client)
    context = None if settings.prompt is None else await read_context(settings.max_prompt_chars)
    before = None if earlier is None else earlier.plan
    ended = await client.run(*first_inputs(settings, plan, context=context, before=before))
    tell_untold(client)
    code = tell_end(settings, ended)
    # Nobody got the answers: that is no success, however well they came about.
    return FAILED if code == 0 and client.untold else code


async def _run_against(settings: "Settings", stack: AsyncExitStack) -> int:
    from pipeline.against.live import LiveReplay
    from pipeline.core.events import RunStarted
    from pipeline.standard_input import is_person_there
    from pipeline.tool_pins import tool_pins

    replay = LiveReplay(settings)
    entries = await _servers(settings, () if settings.servers else replay.servers, stack)
    for notice in replay.notices(entries):
        tell_line(f"! {notice}")
    pins = tool_pins(settings, entries, Path.cwd())
    client = replay.run(entries, is_terminal=is_person_there(), say=tell_line, pins=pins)
    _interrupt(client)
    ended = await client.run(RunStarted())
    tell_untold(client)
    code = replay.finish(ended)
    return tell_end(settings, ended) if code == ended.code else code


async def _read(settings: "Settings") -> int:
    from pipeline.reading import (
        diff_files,
        lint_file,
        migrate_file,
        redact_file,
        replay_file,
        show_file,
    )
    from pipeline.shell.recordings import RecordingError
    from sinks.base import SinkError

    try:
        match settings.command:
            case "show":
                return show_file(settings)
            case "diff":
                return diff_files(settings)
            case "lint":
                return lint_file(settings)
            case "migrate":
                return migrate_file(settings)
            case "redact":
                return redact_file(settings)
            case _:
                return await _until_signalled(settings, replay_file)
    except (RecordingError, SinkError) as exc:
        return tell_failure(settings, USAGE, str(exc))


async def _servers(
    settings: "Settings", known: "Sequence[ServerPlan]", stack: AsyncExitStack
) -> "Sequence[McpEntry]":
    """Those of the settings and configurations, else the one that is inside."""
    from config.mcp_entry import McpEntry
    from config.servers import EMBEDDED
    from pipeline.servers import choose, configured, consents
    from pipeline.standard_input import may_start

    entries = configured(settings, os.environ, Path.cwd())
    allow = partial(may_start, consents=consents(settings, Path.cwd()))
    for notice in (words for entry in entries for words in entry.notices):
        tell_line(f"! {notice}")
    chosen = choose(settings, entries, known, allow=allow)
    if chosen and not any(plan.name == EMBEDDED for plan in known):
        return chosen
    from server.options import ServerOptions
    from server.run import ServerStartError, serve

    key = None if settings.api_key is None else settings.api_key.get_secret_value()
    options = ServerOptions(api_key=key, folder=settings.serve_folder)
    try:
        running = await stack.enter_async_context(serve(options))
    except ServerStartError as exc:
        raise UnfitInputError(str(exc)) from exc
    return [*chosen, McpEntry(EMBEDDED, url=running.url)]


def _interrupt(client: "Run") -> None:
    """Once: the core ends the turn, or the run. Again before that is done: leave at once."""

    def stop(number: int) -> None:
        if client.is_interrupted:
            os._exit(128 + number)
        client.interrupt(signal.Signals(number).name)

    _on_signals(stop)


def _on_signals(stop: Callable[[int], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop, number)


_READERS = ("replay", "show", "diff", "lint", "migrate", "redact")
_COMMANDS = {"serve": _serve, "outbox": _outbox} | dict.fromkeys(_READERS, _read)


if __name__ == "__main__":
    run()

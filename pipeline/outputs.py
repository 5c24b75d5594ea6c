"""Which sinks a run has: one line of `_MADE` for each word of `--sink`."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from config.commands import ONE_THING, REQUESTS
from config.settings import Settings
from pipeline.core.codec import Header
from sinks.base import Sink
from sinks.console import ConsoleSink
from sinks.json_output import JsonSink, StreamJsonSink
from sinks.jsonl import JsonlSink
from sinks.requests import RequestSink
from sinks.results import CallSink, ToolsSink
from sinks.webhook import WebhookSink

Tell: TypeAlias = Callable[[str, str], None]
"""Takes the troubles of a sink that goes on all the same: (its name, words)."""


def make_sinks(settings: Settings, header: Header, tell: Tell) -> list[Sink]:
    """The sinks of a run, in the order of the command line.

    JSON that was asked for is printed even where `--sink` names no console.
    """
    wishes = [(wish.kind, wish.target) for wish in settings.sinks]
    if settings.output_format != "text" and ("console", "") not in wishes:
        wishes.insert(0, ("console", ""))
    return [sink for kind, target in wishes for sink in _MADE[kind](settings, target, header, tell)]


def _screen(settings: Settings, _target: str, header: Header, _tell: Tell) -> list[Sink]:
    """Standard output belongs to the one sink that suits the command and the format."""
    as_json = settings.output_format != "text"
    match settings.command, settings.output_format:
        case "tools", _:
            return [_console(settings), ToolsSink(sys.stdout, as_json=as_json)]
        case "call", _:
            return [_console(settings), CallSink(sys.stdout, as_json=as_json)]
        case command, _ if command in REQUESTS:
            as_it_is = command == "read" and not sys.stdout.isatty()
            sink = RequestSink(sys.stdout, as_json=as_json, as_it_is=as_it_is)
            return [_console(settings, shows_results=False), sink]
        case _, "json":
            return [JsonSink(sys.stdout, session=header.session)]
        case _, "stream-json":
            return [StreamJsonSink(sys.stdout)]
        case _:
            return [_console(settings)]


def _console(settings: Settings, *, shows_results: bool = True) -> Sink:
    is_terminal = sys.stdout.isatty() and sys.stderr.isatty()
    return ConsoleSink(
        sys.stdout,
        sys.stderr,
        colour=settings.color == "always" or (settings.color == "auto" and is_terminal),
        is_terminal=is_terminal,
        verbose=settings.verbose,
        # A script that calls a tool wants the result, and words only where something is wrong.
        quiet=settings.quiet or (settings.command in ONE_THING and not settings.verbose),
        shows_results=shows_results,
    )


def _recording(settings: Settings, target: str, header: Header, tell: Tell) -> list[Sink]:
    def on_notice(words: str) -> None:
        tell(f"jsonl={target}", words)

    return [JsonlSink(Path(target), header, on_notice=on_notice, options=settings.recording)]


def _webhook(settings: Settings, target: str, header: Header, tell: Tell) -> list[Sink]:
    secret = settings.webhook_secret
    return [
        WebhookSink(
            target,
            settings.webhook,
            session=header.session,
            on_problem=lambda words: tell("webhook", words),
            secret=None if secret is None else secret.get_secret_value(),
        )
    ]


_MADE = MappingProxyType({"console": _screen, "jsonl": _recording, "webhook": _webhook})

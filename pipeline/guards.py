"""Puts the guard of a run together: what it knows to be secret, and whose that is."""

from collections.abc import Sequence

from loguru import logger

from config.servers import url_secrets
from config.settings import Settings
from pipeline.core.guard import Guard
from pipeline.core.secrets import secret_spans
from pipeline.shell.process import Program
from pipeline.shell.targets import Target


def make_guard(settings: Settings, servers: Sequence[Target | Program]) -> Guard:
    """The guard of a run; with `--redact off` one that lets everything through."""
    own = {server.name: _secrets_of(server) for server in servers}
    known = [*settings.secrets(), *(value for values in own.values() for value in values)]
    values = list(dict.fromkeys(known)) if settings.redact == "known" else []
    return Guard(values, own=own, on_hit=_tell)


def _secrets_of(server: Target | Program) -> list[str]:
    """In an order that does not change; of a program's variables those that look secret."""
    if isinstance(server, Target):
        return [*server.secrets, *sorted(url_secrets(server.url))]
    return [
        value[start:stop]
        for name, value in sorted(server.env.items())
        for start, stop, _ in secret_spans(name, value)
    ]


def _tell(source: str, placeholder: str) -> None:
    logger.warning(
        "! {} holds a secret of this run; it is {} from here on (--redact off keeps it)",
        source,
        placeholder,
    )

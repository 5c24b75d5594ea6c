"""Puts the guard of a run together: what it knows to be secret, and whose that is."""

from collections.abc import Iterable, Iterator, Sequence, Set
from urllib.request import getproxies

from loguru import logger

from config.logs import clean_with
from config.servers import url_secrets
from config.settings import Settings
from pipeline.core.guard import Guard
from pipeline.core.secrets import secret_spans
from pipeline.shell.process import Program
from pipeline.shell.targets import Target


def make_guard(settings: Settings, servers: Sequence[Target | Program]) -> Guard:
    """The guard of a run; with `--redact off` one that lets everything through.

    It hears of the secrets that the servers' authorizers get. None of either is in the logs, in any
    case.
    """
    own = {server.name: _secrets_of(server) for server in servers}
    proxies = [each for url in sorted(getproxies().values()) for each in sorted(_of_proxy(url))]
    known = [*settings.secrets(), *(each for values in own.values() for each in values), *proxies]
    values = tuple(dict.fromkeys(known))
    guard = Guard(values, own=own, on_hit=_tell, is_off=settings.redact == "off")
    of_logs = Guard(values, own={}, on_hit=lambda _source, _placeholder: None)
    clean_with(of_logs.text)

    def learn(secrets: Iterable[str]) -> None:
        new = tuple(secrets)
        of_logs.learn(new)
        guard.learn(new)

    for server in servers:
        if isinstance(server, Target):
            server.authorizer.disclose(learn)
    return guard


def _secrets_of(server: Target | Program) -> list[str]:
    """In an order that does not change; of a program's variables and words those that look so."""
    if isinstance(server, Target):
        return [*server.secrets, *sorted(url_secrets(server.url))]
    named = [*sorted(server.env.items()), *_named(server.args)]
    return [
        value[start:stop] for name, value in named for start, stop, _ in secret_spans(name, value)
    ]


def _of_proxy(url: str) -> Set[str]:
    """Of a proxy that the environment names; one that is no URL is told when it is used."""
    try:
        return url_secrets(url)
    except ValueError:
        return frozenset()


def _named(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The words of a command, each with the flag that it belongs to: `--token X`, `--token=X`."""
    flag = ""
    for word in words:
        name, sign, value = word.partition("=")
        if word.startswith("-"):
            flag = "" if sign else name.lstrip("-")
            yield name.lstrip("-"), value
        else:
            yield flag, word
            flag = ""


def _tell(source: str, placeholder: str) -> None:
    logger.warning(
        "! {} holds a secret of this run; it is {} from here on (--redact off keeps it)",
        source,
        placeholder,
    )

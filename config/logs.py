"""Logs for people who look for a fault: one handler, to standard error, without secrets."""

import logging
import re
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING
from urllib.parse import quote

from loguru import logger

from config.unseen import UNSEEN, escaped

if TYPE_CHECKING:
    from loguru import Message, Record

REDACTED = "«redacted»"
MIN_SECRET = 4
"""A shorter value is no secret: hiding each `1` would hide the log, and tell what the `1` was."""

_cleaners: list[Callable[[str], str]] = []
_FORMAT = "{time:HH:mm:ss.SSS} {level.name:<7} {message}"  # loguru adds the traceback, if any
_NOT_IN_A_LINE = re.compile(rf"[\n\t]|{UNSEEN.pattern}")


def redact(text: str, secrets: Iterable[str]) -> str:
    """The text without the secrets, as they are and as they look inside a URL."""
    spellings = {form for secret in secrets for form in (secret, quote(secret, safe=""))}
    for spelling in sorted(spellings, key=len, reverse=True):
        if len(spelling) >= MIN_SECRET:
            text = text.replace(spelling, REDACTED)
    return text


def harmless(text: str, *, keep: str = "") -> str:
    r"""The text on one line, with all that is not seen as `\x1b` or `\u202e`; but for `keep`."""
    return _NOT_IN_A_LINE.sub(lambda it: it[0] if it[0] in keep else escaped(it[0]), text)


def start_logging(level: str, secrets: Iterable[str] = ()) -> None:
    """Send all logs, loguru's and the standard library's, to standard error from `level` up.

    A message is one line; only a traceback has several. Called again, it starts over. `secrets`
    are in none of it, nor is what the function of `clean_with` takes out.
    """
    hidden = frozenset(secrets)
    _cleaners.clear()

    def without_secrets(text: str) -> str:
        for cleaned in _cleaners:
            text = cleaned(text)
        return redact(text, hidden)

    def clean(record: "Record") -> None:
        record["message"] = harmless(without_secrets(record["message"]))

    def write(message: "Message") -> None:
        # Looked up each time: while a prompt is open, sys.stderr is one that writes above it. The
        # traceback has not passed `clean`, so the whole text is cleaned once more.
        if sys.stderr is not None:  # as under pythonw
            sys.stderr.write(harmless(without_secrets(message), keep="\n"))

    logger.remove()
    logger.configure(patcher=clean)
    logger.add(write, level=level, format=_FORMAT, diagnose=False, backtrace=False, enqueue=False)
    logging.basicConfig(handlers=[_ToLoguru()], level=level, force=True)


def clean_with(cleaned: Callable[[str], str]) -> None:
    """Have all logs pass this function from now on: a run knows more secrets than its settings.

    There is one at a time: the last one counts.
    """
    _cleaners[:] = [cleaned]


class _ToLoguru(logging.Handler):
    """Logs of the libraries take the same road, so the same rules hold for them."""

    def emit(self, record: logging.LogRecord) -> None:
        message = f"{record.name}: {record.getMessage()}"
        level = record.levelname if record.levelname in _LEVELS else record.levelno
        logger.opt(exception=record.exc_info).log(level, "{}", message)


_LEVELS = frozenset({"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"})

"""Logs for people who look for a fault: one handler, to standard error, without secrets."""

import logging
import re
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import quote

from loguru import logger

if TYPE_CHECKING:
    from loguru import Message, Record

REDACTED = "«redacted»"
MIN_SECRET = 4
"""A shorter value is no secret: hiding each `1` would hide the log, and tell what the `1` was."""

_FORMAT = "{time:HH:mm:ss.SSS} {level.name:<7} {message}"  # loguru adds the traceback, if any
# C0, DEL, C1, line and paragraph separators, and what turns the direction of text around.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def redact(text: str, secrets: Iterable[str]) -> str:
    """The text without the secrets, as they are and as they look inside a URL."""
    spellings = {form for secret in secrets for form in (secret, quote(secret, safe=""))}
    for spelling in sorted(spellings, key=len, reverse=True):
        if len(spelling) >= MIN_SECRET:
            text = text.replace(spelling, REDACTED)
    return text


def harmless(text: str, *, keep: str = "") -> str:
    r"""The text with control characters as `\x1b` or `\u202e`, so that a terminal only shows it."""
    return _CONTROL.sub(lambda found: found[0] if found[0] in keep else _escaped(found[0]), text)


def start_logging(level: str, secrets: Iterable[str] = ()) -> None:
    """Send all logs, loguru's and the standard library's, to standard error from `level` up.

    A message is one line; only a traceback has several. Called again, it starts over.
    """
    hidden = frozenset(secrets)

    def clean(record: "Record") -> None:
        record["message"] = harmless(redact(record["message"], hidden))

    def write(message: "Message") -> None:
        # Looked up each time: while a prompt is open, sys.stderr is one that writes above it. The
        # traceback has not passed `clean`, so the whole text is cleaned once more.
        if sys.stderr is not None:  # as under pythonw
            sys.stderr.write(harmless(redact(message, hidden), keep="\n"))

    logger.remove()
    logger.configure(patcher=clean)
    logger.add(write, level=level, format=_FORMAT, diagnose=False, backtrace=False, enqueue=False)
    logging.basicConfig(handlers=[_ToLoguru()], level=level, force=True)


class _ToLoguru(logging.Handler):
    """Logs of the libraries take the same road, so the same rules hold for them."""

    def emit(self, record: logging.LogRecord) -> None:
        message = f"{record.name}: {record.getMessage()}"
        level = record.levelname if record.levelname in _LEVELS else record.levelno
        logger.opt(exception=record.exc_info).log(level, "{}", message)


_LEVELS = frozenset({"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"})


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}"  # noqa: PLR2004  two digits

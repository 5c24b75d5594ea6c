"""Addresses of servers and webhooks, checked.

Text that may hold a secret, which is all behind the host, is never in an error.
"""

import re
from urllib.parse import SplitResult, urlsplit

from config.flags import shown

_UNFIT_FOR_URL = re.compile(r"[\s\x00-\x1f\x7f\\]")


def http_url(text: str, what: str) -> SplitResult:
    """Split an http(s) address with a host and without a password.

    Raises:
        ValueError: For anything else; the text shows nothing of the address behind its host.
    """
    unfit = _UNFIT_FOR_URL.search(text)
    if unfit is not None:
        raise ValueError(f"the address of {what} holds {unfit[0]!r}, which no URL can hold")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as exc:
        raise ValueError(f"the address of {what} is no URL: {_harmless(str(exc))}") from None
    if parts.scheme not in ("http", "https") or parts.netloc == "":
        raise ValueError(
            f"found {_start(text)} as the address of {what}, expected http://… or https://…"
        )
    if not parts.hostname or port == 0:
        raise ValueError(
            f"found {_start(text)} as the address of {what}, expected http(s)://HOST[:PORT]/…"
        )
    if "@" in parts.netloc:
        raise ValueError(
            f"the address of {what} holds a user or a password; "
            "leave them out and give a header: -H 'Authorization: Basic …'"
        )
    return parts


def _start(text: str) -> str:
    """As much of an address as cannot be a secret: at most scheme and host."""
    scheme, slashes, rest = text.partition("://")
    if not slashes:
        return shown(re.split(r"[/?#@=]", text)[0])
    return shown(f"{scheme}://{re.split(r'[/?#]', rest)[0].rpartition('@')[2]}")


def _harmless(reason: str) -> str:
    """What `urlsplit` says, without the piece of the address that it quotes."""
    return re.split("[:']", reason)[0].strip()

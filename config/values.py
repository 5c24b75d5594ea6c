"""Single words to checked values: sinks, server URLs, headers, prices.

Each reader raises `ValueError` with words that say what was found and what is expected. Text that
may hold a secret (a header's value, what follows the host of a URL) is never in them.
"""

import re
from collections.abc import Callable, Iterable
from typing import Literal, TypeVar
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, SecretStr

from config.flags import shown
from config.options import Options
from config.prices import Price

SinkKind = Literal["console", "jsonl", "webhook"]
A = TypeVar("A")

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VISIBLE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?")
_UNFIT_FOR_URL = re.compile(r"[\s\x00-\x1f\x7f\\]")


class SinkWish(Options):
    """One place results go: `target` is the path of `jsonl`, the URL of `webhook`, else empty."""

    kind: SinkKind
    target: str = Field(default="", repr=False)


class HeaderWish(Options):
    """One header for every request to a server."""

    name: str
    value: SecretStr


def read_each(read: Callable[[str], A]) -> Callable[[object], object]:
    """A reader of one word as a reader of a list; what is no list of words is left to pydantic."""

    def read_all(words: object) -> object:
        return tuple(read(word) if isinstance(word, str) else word for word in _items(words))

    return read_all


def sink_wish(word: str) -> SinkWish:
    """`console`, `jsonl=PATH` or `webhook=URL`."""
    kind, equals, target = word.partition("=")
    match kind:
        case "console" if not equals:
            return SinkWish(kind="console")
        case "console":
            raise ValueError(f"sink 'console' takes no value, found {shown(target)}")
        case "jsonl" if target:
            return SinkWish(kind="jsonl", target=target)
        case "jsonl":
            raise ValueError("sink 'jsonl' needs a path, expected jsonl=PATH")
        case "webhook" if target:
            http_url(target, "the webhook")
            return SinkWish(kind="webhook", target=target)
        case "webhook":
            raise ValueError("sink 'webhook' needs an address, expected webhook=URL")
        case _:
            raise ValueError(
                f"unknown sink {shown(kind)}; expected console, jsonl=PATH or webhook=URL"
            )


def server_url(word: str) -> str:
    """The address of a server's event stream, as it was given."""
    http_url(word, "the server")
    return word


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


def header(word: str) -> HeaderWish:
    """`Name: value`; neither may hold what would end the header."""
    name, colon, value = word.partition(":")
    name, value = name.strip(), value.strip(" \t")
    if not colon:
        raise ValueError("found no ':' in the header, expected 'Name: value'")
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"found {shown(name)} as a header's name, expected letters, digits or '-'")
    if not _VISIBLE.fullmatch(value):
        raise ValueError(
            f"the value of header {name!r} cannot be sent, expected printable ASCII on one line"
        )
    return HeaderWish(name=name, value=SecretStr(value))


def api_key(word: object) -> object:
    """A key as it can be sent: printable ASCII without spaces, white space around it taken off."""
    if isinstance(word, SecretStr):
        word = word.get_secret_value()
    if not isinstance(word, str) or not re.fullmatch(r"[\x21-\x7e]+", word.strip()):
        raise ValueError(
            "found a key that no header can carry, expected printable ASCII without spaces"
        )
    return word.strip()


def price(word: object) -> object:
    """`INPUT/OUTPUT`, US dollars per million tokens; a made `Price` passes."""
    if not isinstance(word, str):
        return word
    numbers = re.fullmatch(r"\$?(\d+(?:\.\d+)?)/\$?(\d+(?:\.\d+)?)", word.replace(" ", ""))
    if numbers is None:
        raise ValueError(
            f"found {shown(word)}, expected INPUT/OUTPUT in USD per million tokens, e.g. 2/10"
        )
    return Price.of(float(numbers[1]), float(numbers[2]))


def glob(word: str) -> str:
    """A pattern of tool names; `read_globs` splits at commas first."""
    if not word:
        raise ValueError("found an empty pattern, expected a tool's name or a glob such as 'fs_*'")
    return word


def read_globs(words: object) -> object:
    """Patterns, each word being one or several with commas between."""
    return tuple(
        glob(part.strip())
        for word in _items(words)
        for part in (word.split(",") if isinstance(word, str) else ())
    )


def without_repeats(values: tuple[A, ...], show: Callable[[A], str]) -> tuple[A, ...]:
    """The values, if no two are the same."""
    for place, value in enumerate(values):
        if value in values[:place]:
            raise ValueError(f"{show(value)} was given twice")
    return values


def _items(words: object) -> Iterable[object]:
    return words if isinstance(words, (list, tuple)) else ()  # pyright: ignore[reportUnknownVariableType]  (elements are checked by the readers)


def _start(text: str) -> str:
    """As much of an address as cannot be a secret: at most scheme and host."""
    scheme, slashes, rest = text.partition("://")
    if not slashes:
        return shown(re.split(r"[/?#@=]", text)[0])
    return shown(f"{scheme}://{re.split(r'[/?#]', rest)[0].rpartition('@')[2]}")


def _harmless(reason: str) -> str:
    """What `urlsplit` says, without the piece of the address that it quotes."""
    return reason.split(":")[0].split("'")[0].strip()

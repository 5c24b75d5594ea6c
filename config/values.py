"""Single words to checked values: sinks, server URLs, headers, prices.

Each reader raises `ValueError` with words that say what was found and what is expected. Text that
may hold a secret (a header's value, what follows the host of a URL) is never in them.
"""

import re
from typing import Literal

from pydantic import Field, SecretStr

from config.addresses import http_url
from config.flags import shown
from config.lists import items_of, read_each
from config.options import Options
from config.prices import Price

SinkKind = Literal["console", "jsonl", "webhook"]

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VISIBLE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?")
_SERVER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


class SinkWish(Options):
    """One place results go: `target` is the path of `jsonl`, the URL of `webhook`, else empty."""

    kind: SinkKind
    target: str = Field(default="", repr=False)


class HeaderWish(Options):
    """One header for every request to a server."""

    name: str
    value: SecretStr


def read_sinks(words: object) -> object:
    """A list of sinks, no two the same."""
    return read_each(words, _sink, "the same sink")


def read_servers(words: object) -> object:
    """A list of servers, each an address or the name of a configured one, no two the same."""
    return read_each(words, _server, "the same server")


def read_configs(words: object) -> object:
    """A list of files or JSON texts; a text has commas, so it is never split at them."""
    return (words,) if isinstance(words, str) else words


def read_headers(words: object) -> object:
    """A list of headers; a name may stand twice, as in HTTP."""
    return read_each(words, _header)


def read_globs(words: object) -> object:
    """A list of patterns, each word being one or several with commas between."""
    parts = [part for word in items_of(words) for part in str(word).split(",")]
    return read_each(parts, _glob)


def read_answers(words: object) -> object:
    """A list of `NAME=VALUE`."""
    return read_each(words, _answer)


def read_roots(words: object) -> object:
    """A list of folders, no two the same."""
    return read_each(words, _root, "the same folder")


def read_key(word: object) -> object:
    """A key that a header can carry: printable ASCII without spaces. None stays None."""
    if word is None:
        return None
    if not isinstance(word, str) or not re.fullmatch(r"[\x21-\x7e]+", word.strip()):
        raise ValueError(
            "found a key that no header can carry, expected printable ASCII without spaces"
        )
    return word.strip()


def read_price(word: object) -> object:
    """`INPUT/OUTPUT`, US dollars per million tokens; a made `Price` passes."""
    if not isinstance(word, str):
        return word
    numbers = re.fullmatch(r"\$?(\d+(?:\.\d+)?)/\$?(\d+(?:\.\d+)?)", word.replace(" ", ""))
    if numbers is None:
        raise ValueError(
            f"found {shown(word)}, expected INPUT/OUTPUT in USD per million tokens, e.g. 2/10"
        )
    return Price.of(float(numbers[1]), float(numbers[2]))


def _sink(word: str) -> SinkWish:
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


def _server(word: str) -> str:
    if _SERVER_NAME.fullmatch(word) is None:
        http_url(word, "the server")
    return word


def _header(word: str) -> HeaderWish:
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


def _glob(word: str) -> str:
    if not word.strip():
        raise ValueError("found an empty pattern, expected a tool's name or a glob such as 'fs_*'")
    return word.strip()


def _answer(word: str) -> str:
    if word.find("=") < 1:
        raise ValueError(f"found {shown(word)}, expected NAME=VALUE")
    return word


def _root(word: str) -> str:
    if not word.strip():
        raise ValueError("found an empty name, expected a folder")
    return word

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
FaultKind = Literal["drop", "delay", "500", "404", "duplicate", "silence"]
A = TypeVar("A")

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VISIBLE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?")
_LONGEST_PATTERN = 1000
_FAULT = re.compile(
    r"(?P<kind>drop|500|404|duplicate|silence|delay(?=:))(?::(?P<seconds>\d{1,6}(?:\.\d{1,3})?))?"
    r"@(?P<at>[1-9]\d{0,11})",
    re.ASCII,
)
_SIZE = re.compile(r"(?P<count>\d{1,12}(?:\.\d{1,3})?) ?(?P<unit>[A-Za-z]{0,3})", re.ASCII)
_UNITS = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
}
_SERVER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_UNFIT_FOR_URL = re.compile(r"[\s\x00-\x1f\x7f\\]")


class SinkWish(Options):
    """One place results go: `target` is the path of `jsonl`, the URL of `webhook`, else empty."""

    kind: SinkKind
    target: str = Field(default="", repr=False)


class HeaderWish(Options):
    """One header for every request to a server."""

    name: str
    value: SecretStr


class FaultWish(Options):
    """A bend of a recording at event `at`; only `delay` has `seconds`. `str()`: how it is said."""

    kind: FaultKind
    at: int
    seconds: float = 0.0

    def __str__(self) -> str:
        seconds = f":{self.seconds:.9g}" if self.kind == "delay" else ""
        return f"{self.kind}{seconds}@{self.at}"


def read_sinks(words: object) -> object:
    """A list of sinks, no two the same."""
    return _read_each(words, _sink, "the same sink")


def read_servers(words: object) -> object:
    """A list of servers, each an address or the name of a configured one, no two the same."""
    return _read_each(words, _server, "the same server")


def read_configs(words: object) -> object:
    """A list of files or JSON texts; a text has commas, so it is never split at them."""
    return (words,) if isinstance(words, str) else words


def read_headers(words: object) -> object:
    """A list of headers; a name may stand twice, as in HTTP."""
    return _read_each(words, _header)


def read_globs(words: object) -> object:
    """A list of patterns, each word being one or several with commas between."""
    parts = [part for word in _items(words) for part in str(word).split(",")]
    return _read_each(parts, _glob)


def read_faults(words: object) -> object:
    """A list of faults, `KIND@N` or `delay:SECONDS@N`, no two the same."""
    return _read_each(words, _fault, "the same fault")


def read_answers(words: object) -> object:
    """A list of `NAME=VALUE`."""
    return _read_each(words, _answer)


def read_roots(words: object) -> object:
    """A list of folders, no two the same."""
    return _read_each(words, _root, "the same folder")


def read_patterns(words: object) -> object:
    """A list of regular expressions; none is quoted in an error, for it may hold a secret."""
    return _read_each(words, _pattern)


def _answer(word: str) -> str:
    if word.find("=") < 1:
        raise ValueError(f"found {shown(word)}, expected NAME=VALUE")
    return word


def _root(word: str) -> str:
    if not word.strip():
        raise ValueError("found an empty name, expected a folder")
    return word


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


def _glob(word: str) -> str:
    if not word.strip():
        raise ValueError("found an empty pattern, expected a tool's name or a glob such as 'fs_*'")
    return word.strip()


def _read_each(words: object, read: Callable[[str], A], what: str = "") -> object:
    """Read the words of a list, leaving what is read already; `what` must not stand in it twice."""
    items = [read(word) if isinstance(word, str) else word for word in _items(words)]
    if what and any(item in items[:place] for place, item in enumerate(items)):
        raise ValueError(f"{what} was given twice")
    return tuple(items)


def _items(words: object) -> Iterable[object]:
    if isinstance(words, str):
        return (words,)
    if isinstance(words, (list, tuple)):
        return words  # pyright: ignore[reportUnknownVariableType]  (the readers check each)
    raise ValueError(f"found {shown(repr(words))}, expected a list")


def _start(text: str) -> str:
    """As much of an address as cannot be a secret: at most scheme and host."""
    scheme, slashes, rest = text.partition("://")
    if not slashes:
        return shown(re.split(r"[/?#@=]", text)[0])
    return shown(f"{scheme}://{re.split(r'[/?#]', rest)[0].rpartition('@')[2]}")


def _harmless(reason: str) -> str:
    """What `urlsplit` says, without the piece of the address that it quotes."""
    return re.split("[:']", reason)[0].strip()


def _fault(word: str) -> FaultWish:
    found = _FAULT.fullmatch(word)
    if found is None or (found["seconds"] is not None) != (found["kind"] == "delay"):
        raise ValueError(
            f"found {shown(word)}, expected drop@N, delay:SECONDS@N, 500@N, 404@N, duplicate@N or "
            "silence@N, N being the number of an event"
        )
    return FaultWish.model_validate(
        {"kind": found["kind"], "at": int(found["at"]), "seconds": float(found["seconds"] or 0)}
    )


def _pattern(word: str) -> str:
    if len(word) > _LONGEST_PATTERN:
        raise ValueError(
            f"found a pattern of {len(word)} characters, expected {_LONGEST_PATTERN} at most"
        )
    try:
        re.compile(word)
    except (re.error, RecursionError, OverflowError) as exc:
        reason = exc.msg if isinstance(exc, re.error) else "it is too large"
        raise ValueError(f"found no regular expression as Python has them: {reason}") from None
    return word


def read_speed(word: object) -> object:
    """A number, or `max` for as fast as it goes (None)."""
    return None if word == "max" else word


def read_size(word: object) -> object:
    """A size such as `64MiB` in bytes, `never` as None; a number passes."""
    if not isinstance(word, str):
        return word
    if word.strip().lower() == "never":
        return None
    found = _SIZE.fullmatch(word.strip())
    unit = _UNITS.get(found["unit"].lower()) if found is not None else None
    if found is None or unit is None:
        raise ValueError(
            f"found {shown(word)}, expected never, a number of bytes, or one with a unit: KiB, "
            "MiB, GiB (1024), kB, MB, GB (1000)"
        )
    return int(float(found["count"]) * unit)

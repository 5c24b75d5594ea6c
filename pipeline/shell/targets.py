"""Servers as the shell knows them: where they are, and the secrets to send there.

The core knows a server by name only. This is the one place where a name meets a key.
"""

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import parse_qsl

from multidict import CIMultiDict
from yarl import URL

from pipeline.shell.authorizer import Authorizer, NoAuthorizer

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_FRAMING = frozenset({"connection", "content-length", "host", "transfer-encoding"})
_SHORTEST_SECRET = 8  # hiding shorter words would eat into ordinary text


class Origin(NamedTuple):
    """Who is at the other end of a URL: what may be trusted with a server's headers."""

    scheme: str
    host: str
    port: int

    @property
    def place(self) -> str:
        """`host:port`, for texts."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.place}"


@dataclass(frozen=True, slots=True, repr=False)
class Target:
    """One server. `url` has no userinfo and no fragment; `headers` go with every request to it.

    Secrets are in `headers` and in the query of `url`, and nowhere else; `repr` shows neither.
    """

    name: str
    url: str
    headers: Mapping[str, str]
    secrets: tuple[str, ...] = ()
    authorizer: Authorizer = field(default_factory=NoAuthorizer)

    @property
    def place(self) -> str:
        """`host:port`, for texts."""
        return origin(self.url).place

    def __repr__(self) -> str:
        return f"Target({self.name!r}, {public_url(self.url)!r})"

    def hide(self, text: str) -> str:
        """Foreign text without the secrets that we sent: servers quote requests in their errors."""
        return hide_secrets(text, self.secrets)


def make_target(
    name: str,
    url: str,
    *,
    api_key: str | None = None,
    api_key_header: str = "Authorization",
    extra_headers: Mapping[str, str] = MappingProxyType({}),
) -> Target:
    """Gather what one server needs.

    An API key goes as `Authorization: Bearer KEY` (as it is if it names its own scheme, as in
    `Basic …`), and bare in any other `api_key_header`; a blank one counts as none. Userinfo in the
    URL becomes `Authorization: Basic …`. Of two values for one header the more explicit wins:
    `extra_headers`, then the key, then the URL.

    Raises:
        ValueError: If the URL or a header cannot be used; the text quotes no value.
    """
    where = _parse(url)
    headers: CIMultiDict[str] = CIMultiDict()
    secrets = [value for _, value in parse_qsl(where.raw_query_string)]
    secrets += [part.partition("=")[2] for part in where.raw_query_string.split("&")]
    if where.raw_user is not None:
        login = f"{where.user or ''}:{where.password or ''}"
        headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
        secrets.append(where.password or "")
    if api_key is not None and (key := api_key.strip()):
        is_bearer = api_key_header.lower() == "authorization" and " " not in key
        headers[api_key_header] = f"Bearer {key}" if is_bearer else key
    for header, value in extra_headers.items():
        headers[header] = value.strip()
    for header, value in headers.items():
        check_header(header, value)
    secrets += header_secrets(headers)
    return Target(
        name,
        str(where.with_user(None).with_fragment(None)),
        MappingProxyType(dict(headers)),
        _longest_first(secrets),
    )


def hide_secrets(text: str, secrets: Iterable[str]) -> str:
    """Foreign text without these values."""
    for secret in secrets:
        text = text.replace(secret, "«secret»")
    return text


def header_secrets(headers: Mapping[str, str]) -> tuple[str, ...]:
    """What must be hidden of headers with credentials: each value, and it without its scheme."""
    words = (word for value in headers.values() for word in (value, value.rpartition(" ")[2]))
    return _longest_first(words)


def public_url(url: str) -> str:
    """A URL that may be shown and recorded: without userinfo, query and fragment.

    Raises:
        ValueError: If it is no http or https URL; the text does not quote it.
    """
    return str(_parse(url).with_user(None).with_query(None).with_fragment(None))


def origin(url: str | URL) -> Origin:
    """Scheme, host (lower case, IDNA encoded) and port of a URL.

    It is read by the parser of the HTTP library itself (yarl), so that no difference between two
    parsers can let a request go elsewhere than where this says.

    Raises:
        ValueError: If it is no http or https URL; the text does not quote it.
    """
    where = _parse(url)
    return Origin(where.scheme, (where.raw_host or "").lower(), where.port or 0)


def _parse(url: str | URL) -> URL:
    try:
        where = URL(url)
    except (ValueError, TypeError):
        # `from None`: the parser's text may quote a password.
        raise ValueError(
            "found a malformed URL, expected http://HOST[:PORT]/PATH or https://…;"
            " signs such as / @ : in a password must be percent-encoded"
        ) from None
    if where.scheme not in ("http", "https") or not where.raw_host:
        raise ValueError(
            f"found a URL of scheme {where.scheme!r} {'with' if where.raw_host else 'without'} a"
            " host, expected http://HOST[:PORT]/PATH or https://…"
        )
    return where


def check_header(name: str, value: str) -> None:
    """See that a header can be sent as it is.

    Raises:
        ValueError: If it cannot; the text does not quote the value.
    """
    if _TOKEN.fullmatch(name) is None:
        raise ValueError(
            f"found {name!r} as the name of a header, expected letters, digits and dashes"
        )
    if name.lower() in _FRAMING:
        raise ValueError(f"the header {name!r} is set by the connection itself: leave it out")
    if _CONTROL.search(value) is not None:
        raise ValueError(f"the value of the header {name!r} has a control character in it")
    if _SURROGATE.search(value) is not None:
        raise ValueError(f"the value of the header {name!r} is not valid Unicode")


def _longest_first(secrets: Iterable[str]) -> tuple[str, ...]:
    """Longest first, so that hiding a part does not save the rest."""
    long_enough = {secret for secret in secrets if len(secret) >= _SHORTEST_SECRET}
    return tuple(sorted(long_enough, key=lambda secret: (-len(secret), secret)))

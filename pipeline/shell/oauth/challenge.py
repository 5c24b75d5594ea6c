"""What a server wants when it says 401 or 403: the `WWW-Authenticate` header (RFC 9110, 11.6.1)."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

UNAUTHORIZED, FORBIDDEN = 401, 403
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105  (RFC 9110, 5.6.2: no password)
_GAP = re.compile(r"[\s,]*")
_PARAM = re.compile(rf'({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}))(?=\s*(?:,|$))')
_SCHEME = re.compile(rf"({_TOKEN})(?=[\s,]|$)(?:[ ]+[0-9A-Za-z._~+/-]+=*(?=\s*(?:,|$)))?")
_OURS = ("bearer", "dpop")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One refusal: what is asked for. `schemes` are those of ours that were named, lower case.

    `error`, `scope` (space separated) and `resource_metadata` (a URL) are empty where not said.
    """

    status: int
    schemes: frozenset[str] = frozenset()
    error: str = ""
    scope: str = ""
    resource_metadata: str = ""

    @property
    def is_step_up(self) -> bool:
        """The token is fine, but allows too little (RFC 6750, 3.1)."""
        return self.status == FORBIDDEN


def read_challenge(status: int, headers: Mapping[str, str]) -> Challenge | None:
    """The challenge of an answer; None where other credentials would change nothing.

    That is any 401, and a 403 that says `insufficient_scope`. What Bearer and DPoP say is put
    together, for a server that takes both may say where its metadata is only once.
    """
    if status not in (UNAUTHORIZED, FORBIDDEN):
        return None
    text = ", ".join(value for name, value in headers.items() if name.lower() == "www-authenticate")
    schemes: set[str] = set()
    params: dict[str, str] = {}
    for scheme, name, value in _read(text):
        if scheme in _OURS:
            schemes.add(scheme)
            if name:
                params.setdefault(name, value)
    if status == FORBIDDEN and params.get("error") != "insufficient_scope":
        return None
    return Challenge(
        status,
        frozenset(schemes),
        params.get("error", ""),
        params.get("scope", ""),
        params.get("resource_metadata", ""),
    )


def _read(text: str) -> Iterator[tuple[str, str, str]]:
    """Scheme, parameter and value of each; a scheme alone comes with two empty texts."""
    scheme, at = "", 0
    while (at := _GAP.match(text, at).end()) < len(text):  # pyright: ignore[reportOptionalMemberAccess]  (matches nothing, too)
        if (param := _PARAM.match(text, at)) is not None:
            name, quoted, plain = param.groups()
            value = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            yield scheme, name.lower(), value
            at = param.end()
        elif (found := _SCHEME.match(text, at)) is not None:
            scheme = found[1].lower()
            yield scheme, "", ""
            at = found.end()
        else:  # no challenge as the RFC has them: go on behind the next comma
            comma = text.find(",", at)
            at = len(text) if comma < 0 else comma

"""What authorization servers say when they refuse, made fit to be shown."""

import json
import re
from collections.abc import Collection
from typing import Any, cast

from config.logs import harmless, redact
from pipeline.shell.authorizer import AuthorizationError

_CODE = re.compile(r"[a-z0-9_.-]{1,64}", re.IGNORECASE)
_LONGEST = 300  # characters of foreign text in an error


class UnknownClientError(AuthorizationError):
    """The authorization server may not know this client any more: the next try registers anew."""


def oauth_error(body: bytes) -> str:
    """The `error` of an OAuth error answer (RFC 6749, 5.2), empty where there is none."""
    code = members_of(body).get("error")
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ""


def said(body: bytes, secrets: Collection[str]) -> str:
    """What an OAuth error answer says, shown harmless and without `secrets`; empty for nothing."""
    description = members_of(body).get("error_description")
    text = shown(description, secrets) if isinstance(description, str) and description else ""
    return ": ".join(part for part in (oauth_error(body), text) if part)


def shown(text: str, secrets: Collection[str] = ()) -> str:
    """Foreign text for an error of ours: quoted, cut, on one line, without `secrets`."""
    text = harmless(redact(text, secrets))
    return repr(text if len(text) <= _LONGEST else text[:_LONGEST] + "…")


def members_of(body: bytes) -> dict[str, Any]:
    """The members of a JSON object; none where it is no such thing."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}

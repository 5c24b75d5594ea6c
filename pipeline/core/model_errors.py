"""What a refusal of the model's server means, in words: what was found, and what to do about it.

The Messages API answers `{"type": "error", "error": {"type": …, "message": …}}`, and says in mid
answer the same with status 200. Other servers drop the outer object, answer `{"error": "text"}`,
`{"detail": …}`, or a page of HTML. All of them come out as one `Failure`.
"""

import re
from collections.abc import Collection, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final

import msgspec

from pipeline.core.events import Json
from pipeline.core.shapes import is_object

MAX_REASON = 300

_STATUS_OF: Final = {
    "invalid_request_error": 400,
    "exceed_context_size_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "server_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_TOO_LONG = re.compile(
    r"prompt is too long|exceed\w* .{0,40}context|context (length|size|window)|maximum context",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\d{1,15}(\.\d*)?")
_SECRET_HEADER = re.compile(r"auth|key|token|secret|cookie", re.IGNORECASE)
_SHORTEST_SECRET = 8  # shorter ones, such as "ollama", would take words out of every text
_OK = 200
_CLIENT_ERRORS = range(400, 500)
_SERVER_ERRORS = range(500, 600)
_REDIRECTS = range(300, 400)


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why there is no answer. `may_retry` as in `ModelFailed`."""

    reason: str
    status: int | None = None
    may_retry: bool = False


def refused(
    status: int,
    body: object,
    *,
    model: str,
    secrets: Collection[str] = (),
    retry_after: float | None = None,
) -> Failure:
    """An answer that is not a turn. `body` is its JSON, or its text; None where there was none.

    `status` 200 stands for an error in mid answer: the type it names then tells the status.
    `retry_after` is the wait in seconds that the server asked for, where nobody will wait for it.
    """
    kind, message = _read(body)
    if status not in _CLIENT_ERRORS and status not in _SERVER_ERRORS:
        status = _status_in(body) or _STATUS_OF.get(kind, status)
    reason = _words(status, kind, message, model)
    if retry_after is not None:
        reason += f"; it asks to wait {retry_after:.0f} s, longer than first_token leaves"
    if message:
        reason += f"; it says {foreign(message, secrets)}"
    may_retry = status in _SERVER_ERRORS and retry_after is None
    return Failure(reason=reason, status=None if status == _OK else status, may_retry=may_retry)


def asked_wait(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that `retry-after-ms` or `retry-after` ask to wait; None if neither can be read.

    A date (RFC 9110, 10.2.3) is taken relative to `now`, in seconds since 1970; it may have passed.
    """
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        if _NUMBER.fullmatch(headers.get(name, "")):
            return float(headers[name]) / unit
    try:
        return parsedate_to_datetime(headers.get("retry-after", "")).timestamp() - now
    except ValueError:
        return None


def foreign(text: str, secrets: Collection[str] = ()) -> str:
    """Text from outside, quoted for an error: no secret, no control character, never long."""
    text = " ".join(redacted(text, secrets).split())
    return repr(text if len(text) <= MAX_REASON else f"{text[:MAX_REASON]}…")


def secrets_in(headers: Mapping[str, Any]) -> tuple[str, ...]:
    """What must never be told of our own headers, in case a server tells it to us."""
    values = [str(value) for name, value in headers.items() if _SECRET_HEADER.search(name)]
    words = [word for value in values for word in (value, value.split(" ")[-1])]
    return tuple(word for word in words if len(word) >= _SHORTEST_SECRET)


def redacted(text: str, secrets: Collection[str]) -> str:
    """The text without the secrets in it."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def _words(status: int, kind: str, message: str, model: str) -> str:
    if kind == "exceed_context_size_error" or (
        status in _CLIENT_ERRORS
        and status != _STATUS_OF["rate_limit_error"]
        and _TOO_LONG.search(message)
    ):
        return (
            f"the conversation no longer fits the context window of {model!r} ({status}): "
            "start a new one, or allow fewer tools"
        )
    match status:
        case 400 | 422:
            return f"the model's server takes the request for invalid ({status})"
        case 401:
            return (
                "the key was refused (401): check ANTHROPIC_API_KEY (or ANTHROPIC_AUTH_TOKEN), "
                "and that ANTHROPIC_BASE_URL is the server it belongs to"
            )
        case 402:
            return "the account cannot pay for the request (402): check its billing"
        case 403:
            return f"the key may not use {model!r} (403): choose another --model or another key"
        case 404:
            return (
                f"there is no model {model!r}, or no Messages API, at the model's server (404): "
                "check --model and ANTHROPIC_BASE_URL"
            )
        case 413:
            return "the conversation is too large for the model's server (413): start a new one"
        case 429:
            return "too many requests for this key (429): wait, or ask for a higher rate limit"
        case 529:
            return "the model's server is overloaded (529): try again in a while"
        case _ if status in _REDIRECTS:
            return (
                f"the model's server redirects ({status}), and a conversation goes nowhere else: "
                "set ANTHROPIC_BASE_URL to the address itself"
            )
        case _ if status in _SERVER_ERRORS:
            return f"the model's server failed ({status})"
        case _:
            found = ", ".join(filter(None, (repr(kind) if kind else "", str(status))))
            return f"the model's server answered with an error ({found})"


def _read(body: object) -> tuple[str, str]:
    """The type and the message of an error body; "" for what it does not say."""
    if not is_object(body):
        return "", body if isinstance(body, str) else ""
    inner: Any = body.get("error", body)
    if isinstance(inner, str):
        return _text(body, "type"), inner
    if not is_object(inner):
        return "", msgspec.json.encode(body).decode()
    message = _text(inner, "message") or _text(inner, "detail")
    return _text(inner, "type"), message or msgspec.json.encode(body).decode()


def _status_in(body: object) -> int | None:
    """llama.cpp names the status in the body: `{"code": 500, "message": …, "type": …}`."""
    if not is_object(body):
        return None
    inner: Any = body.get("error", body)
    code: Any = inner.get("code") if is_object(inner) else None
    is_status = isinstance(code, int) and (code in _CLIENT_ERRORS or code in _SERVER_ERRORS)
    return code if is_status else None


def _text(body: Json, key: str) -> str:
    value = body.get(key)
    return value if isinstance(value, str) else ""

"""An event as a message of Standard Webhooks (standardwebhooks.com, specification 1.0).

The body is `{"type": kind, "timestamp": at, "data": {"seq": …, "session": …, the event's fields}}`.
Headers: `webhook-id`, the same however often a message is sent, so that a receiver can tell a
repetition; `webhook-timestamp`, the Unix seconds of this sending; with a secret
`webhook-signature`, which is `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`.
"""

import base64
import binascii
import hashlib
import hmac
import re

import msgspec

from pipeline.core.codec import Entry, to_json

_PREFIX = "whsec_"
_SECRET_BYTES = range(24, 65)
_SESSION = re.compile(r"[A-Za-z0-9_-]{1,200}")


class Message(msgspec.Struct, frozen=True):
    """What is sent: the same id and bytes at every attempt; `session` and `seq` are its order."""

    id: str
    body: bytes
    session: str = ""
    seq: int = 0


def message_id(session: str, seq: int) -> str:
    """The same for an event however often it is sent, by whichever run."""
    return f"msg_{session}_{seq}"


def to_message(entry: Entry, session: str) -> Message:
    """One event as a message of its session."""
    item = to_json(entry.item)
    data = {"seq": entry.seq, "session": session, **item}
    body = {"type": item["kind"], "timestamp": entry.at, "data": data}
    return Message(message_id(session, entry.seq), msgspec.json.encode(body), session, entry.seq)


def headers(message: Message, timestamp: int, key: bytes | None) -> dict[str, str]:
    """The headers of one sending; signed if there is a key."""
    plain = {
        "content-type": "application/json",
        "webhook-id": message.id,
        "webhook-timestamp": str(timestamp),
    }
    if key is None:
        return plain
    signed = b"%b.%d.%b" % (message.id.encode(), timestamp, message.body)
    digest = hmac.digest(key, signed, hashlib.sha256)
    return {**plain, "webhook-signature": f"v1,{base64.b64encode(digest).decode()}"}


def read_secret(secret: str) -> bytes:
    """The key in `whsec_<base64>`.

    Raises:
        ValueError: If it has another form; the text does not show it.
    """
    expected = "expected whsec_ and the base64 of 24 to 64 bytes"
    if not secret.startswith(_PREFIX):
        raise ValueError(f"the webhook secret does not begin with whsec_; {expected}")
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"the webhook secret is not base64; {expected}") from None
    if len(key) not in _SECRET_BYTES:
        raise ValueError(f"the webhook secret has {len(key)} bytes; {expected}")
    return key


def require_session(session: str) -> None:
    """A session's name goes into ids, which are signed text with dots between the parts.

    Raises:
        ValueError: If it could be mistaken there.
    """
    if _SESSION.fullmatch(session) is None:
        raise ValueError(f"found session {session!r}, expected 1 to 200 of A-Z a-z 0-9 _ -")

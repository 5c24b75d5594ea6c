"""Messages that a server refused: which of them cannot have been carried out.

* 429 and 503: "Too Many Requests" (RFC 6585, 4), and "unable to handle the request" (RFC 9110,
  15.6.4). MCP servers, and what stands before them, count and refuse a message before it is
  dispatched; whether they say when to come back (`Retry-After`) changes nothing about that. The one
  exception is a gateway that tells of a server which broke off in the middle.
* 404 in a session: the server does not know it (2025-11-25, basic/transports, "Session
  Management"; the older dialects have their session in the address), and so had nobody to hand the
  message to.

Such a message may go out again, under a new id: it is refused, not lost.
"""

from typing import Final

from pipeline.core.events import PostAnswered, RequestLost
from pipeline.core.plan import Plan
from pipeline.core.session.state import Session

NOT_FOUND: Final = 404
_NOT_NOW = (429, 503)
_NEVER_RUN = (*range(300, 500), 501, 503)
# Envoy, and so most meshes, answers 503 also where the server reset the connection later on.
_BROKE_OFF = "disconnect/reset before headers"
_NEVER_THERE = "connection failure"


def is_not_now(posted: PostAnswered) -> bool:
    """Did the server refuse to take a message for now, and for now only?"""
    return posted.status in _NOT_NOW and not _has_broken_off(posted)


def is_not_run(posted: PostAnswered) -> bool:
    """Is it certain that what was posted was not carried out, and will not be?"""
    if posted.status is None:
        return not posted.is_sent
    return posted.status in _NEVER_RUN and not _has_broken_off(posted)


def is_told(plan: Plan, posted: PostAnswered) -> bool:
    """Does the session say what a refusal means, so that nobody else needs to judge it?"""
    return plan.max_refusals > 0 and (posted.status == NOT_FOUND or is_not_now(posted))


def not_now(session: Session, plan: Plan, posted: PostAnswered, why: str) -> RequestLost:
    """Whoever waits for an answer hears that the server did not take the message, for `why`."""
    wish = posted.retry_after
    return RequestLost(
        server=session.server,
        id=posted.id,
        reason=f"the server refused to take it: {why}",
        is_sent=False,
        is_refused=True,
        retry_in=None if wish is None else min(wish, plan.retry_max_wish),
    )


def unknown_session(session: Session, posted: PostAnswered, why: str) -> RequestLost:
    """Whoever waits for an answer hears that the message met no session."""
    return RequestLost(server=session.server, id=posted.id, reason=why, is_sent=False)


def _has_broken_off(posted: PostAnswered) -> bool:
    return _BROKE_OFF in posted.body and _NEVER_THERE not in posted.body

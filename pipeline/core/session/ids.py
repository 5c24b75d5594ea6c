"""Whose message is it? Told by its id, which is named after who waits for the answer."""

from pipeline.core.session import handshake, lists, modern
from pipeline.core.session.state import Session

ANSWER = "answer:"
"""Our answer to a request of a server's; so is the message of a question that was answered."""
CANCEL = "cancel:"
"""Tells that a request is of no use any more; nobody waits for what comes of it."""
LOG = "log:"
RESUME, LIMIT = "resume:", "limit:"
"""The pause before an answer is taken up again, and the time that all of it may take."""
SUBSCRIBE = "subscribe:"
_NO_REQUESTS = (ANSWER, CANCEL, "initialized:", RESUME)
_OWN = ("init:", "discover:", "list:", "own:", "listen:", LOG, SUBSCRIBE)


def owns(session: Session, id_: str) -> bool:
    """Is this the id of a message that the session itself posted, and still cares about?"""
    mine = (
        handshake.init_id(session),
        lists.list_id(session),
        handshake.hello_id(session),
        modern.discover_id(session),
        handshake.log_id(session),
    )
    return id_ in mine or id_.startswith((f"{ANSWER}{session.server}:", SUBSCRIBE))


def is_step(session: Session, id_: str) -> bool:
    """Is this the id of the request without whose answer there is no session?"""
    match session.phase:
        case "probing":
            return id_ == modern.discover_id(session)
        case "initializing":
            return id_ == handshake.init_id(session)
        case "listing":  # once a page is there, the session can do with that
            return id_ == lists.list_id(session) and not session.pages
        case _:
            return False


def is_of_a_session(id_: str) -> bool:
    """Is it a request of this session's, or of one before it?"""
    return id_.startswith(_OWN)


def is_for_others(id_: str) -> bool:
    """Is it a request whose answer a later stage waits for?"""
    return not id_.startswith((*_OWN, *_NO_REQUESTS))

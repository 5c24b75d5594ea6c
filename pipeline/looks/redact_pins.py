"""Pins of a recording without its secrets: each with the digest of what it says now.

The old digest would let a secret be guessed, and a tool that comes without the secret would say
otherwise than its pin.
"""

from pipeline.core.codec import NotARecordingError, Upgrade, decode_entry
from pipeline.core.events import RunResumed
from pipeline.core.plan import ServerPlan, ToolPin
from pipeline.core.tools import digest_of


def with_own_digests(line: bytes, clean: bytes) -> bytes:
    """`clean`, which is `line` without secrets, with the pins that it may hold put right.

    A pin that did not keep all that its tool said stays: what its digest is of is not there.
    """
    if clean == line or b'"pins":{' not in clean:
        return clean
    before = _pins(line)
    for (server, name), pin in _pins(clean).items():
        old = before.get((server, name))
        is_same = old is not None and old.said == pin.said
        if not is_same and not pin.cut:
            now = digest_of({"name": name, **pin.said})
            clean = clean.replace(pin.digest.encode(), now.encode())
    return clean


def _pins(line: bytes) -> dict[tuple[str, str], ToolPin]:
    """Those of a header, or of a run that goes on; a line that cannot be read has none."""
    return {
        (server.name, name): pin
        for server in _servers(line)
        for name, pin in (server.pins or {}).items()
    }


def _servers(line: bytes) -> tuple[ServerPlan, ...]:
    try:
        return Upgrade(line).header.plan.servers
    except NotARecordingError:
        pass  # it is the header of nothing: another line
    try:
        item = decode_entry(line).item
    except NotARecordingError:
        return ()
    return item.servers if isinstance(item, RunResumed) else ()
